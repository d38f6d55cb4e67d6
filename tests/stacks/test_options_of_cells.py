"""Every option that is said to hold with an operator does: all of them on one cell, for each kind of operator."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from frontend import Kernel
from members import Member
from team import IMAGE

CELL = """%%modal_step --operator {operator} --gpu L4 --gpu-count 2 --cpu 3 --memory 5GiB --region eu --cloud oci \
--timeout 20m --modal-environment main --workspace local --name everything --in rows --out total,text \
--env COLOR=red --file given.txt --fetch made.txt {more}
import os
from pathlib import Path
text = Path("given.txt").read_text()
Path("made.txt").write_text(text + os.environ["COLOR"])
total = sum(rows)
{inside}
left = "not asked for" """
OURS = (
    "--env OWN_VALUE --secret named --volume data:/root/data --pip six --apt ffmpeg --on modal "
    "--image python:{series}"
)
INSIDE = """
text += os.environ["OWN_VALUE"] + os.environ["IN_SECRET"]
Path("data").joinpath("kept.txt").write_text("kept")"""


@pytest.fixture(scope="module")
def user(member: Member) -> Iterator[Kernel]:
    kernel = Kernel(member, "options")
    try:
        kernel.run(
            "%load_ext zenml_modal_nb\nfrom zenml.client import Client\nfrom pathlib import Path\nimport os, sys"
        )
        kernel.run(
            "rows = [1, 2]\n_ = Path('given.txt').write_text('given ')\nos.environ['OWN_VALUE'] = 'own '"
        )
        kernel.run(
            "import modal\nmodal.Secret.objects.create('named', {'IN_SECRET': 'secret'}, environment_name='main')"
        )
        yield kernel
    finally:
        kernel.run("Client().activate_stack('team')")
        kernel.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stack", "operator", "ours"),
    [("team", "modal", False), ("light", "own", True), ("light", "apart", True)],
)
def test_each_does_what_it_says(user: Kernel, member: Member, stack: str, operator: str, ours: bool) -> None:
    user.run(
        f"Client().activate_stack('{stack}')\nfor name in ('left', 'total', 'text'):\n    globals().pop(name, None)"
    )
    before = time.time()
    series = user.ask("f'{sys.version_info.major}.{sys.version_info.minor}'")
    more = OURS.format(series=series) if ours else f"--image {IMAGE}"
    user.run(CELL.format(operator=operator, more=more, inside=INSIDE if ours else ""))
    assert user.ask("[total, text, 'left' in globals()]") == [
        3,
        "given own secret" if ours else "given ",
        False,
    ]
    assert user.ask("Path('made.txt').read_text()") == "given red"
    (sandbox,) = member.launched(before)
    assert (sandbox.gpu, sandbox.cores, sandbox.memory_mib, sandbox.timeout) == ("L4:2", 3.0, 5120, 1200)
    assert (sandbox.regions, sandbox.cloud, sandbox.environment) == (("eu",), "oci", "main")
    given = "step = Client().get_pipeline_run(_modal_run.id).steps['everything']"
    assert user.ask("[step.outputs[name][0].load() for name in ('total', 'text')]", given=given) == [
        3, "given own secret" if ours else "given ",
    ]  # fmt: skip
    assert "own " not in sandbox.record
    if ours:
        read = (
            "list(modal.Volume.from_name('data', environment_name='main').read_file('kept.txt'))[0].decode()"
        )
        assert user.ask(read) == "kept"


@pytest.mark.slow
def test_a_cell_of_our_flavor_run_connected_cannot_be_cached(user: Kernel, member: Member) -> None:
    user.run("Client().activate_stack('light')")
    before = time.time()
    refused = user.attempt("%%modal_step --operator own --cache\none = 1").evalue
    assert (
        "--cache does not hold with the step operator 'own' of flavor 'modal_notebook', run connected"
        in refused
    )
    assert member.launched(before) == []
