"""Every option that is said to hold with an operator does: all of them on one cell, for each kind of operator."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from frontend import Kernel
from launches import NOTE_BUILDS
from members import Member
from team import IMAGE

from zenml_modal_nb.magics.options import SUPPORTED
from zenml_modal_nb.run.holding import KINDS, LACKS

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
PREBUILT = f"--image {IMAGE}"
LINES = {
    "detached": f"{CELL} {OURS}",
    "connected, our flavor": f"{CELL} {OURS}",
    "connected, ZenML's flavor": f"{CELL} {PREBUILT}",
}
BELOW = {"--dry-run", "--cache", "--define"}
BY_DOCKER = {"--pip", "--apt"}  # of ZenML's flavor: there is none here


@pytest.mark.parametrize("kind", KINDS)
def test_no_option_that_is_said_to_hold_goes_untried(kind: str) -> None:
    tried = BELOW | set(LINES[kind].split()) | (BY_DOCKER if "ZenML's" in kind else set())
    assert {option.flag for option in SUPPORTED} - set(LACKS[kind]) - tried == set()


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
        kernel.run(NOTE_BUILDS)
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
    user.run("built.clear()")
    before = time.time()
    series = user.ask("f'{sys.version_info.major}.{sys.version_info.minor}'")
    more = OURS.format(series=series) if ours else PREBUILT
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
    built = user.ask("built")
    assert f"FROM {f'python:{series}' if ours else IMAGE}" in built
    if ours:
        assert "six" in sandbox.packages
        assert any("apt-get install" in each and "ffmpeg" in each for each in built)
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


@pytest.mark.slow
def test_a_cell_of_our_flavor_run_detached_can_be_cached(user: Kernel, member: Member) -> None:
    user.run("Client().activate_stack('light')")
    before = time.time()
    for _ in range(2):
        user.run("%%modal_step --operator apart --cache\nhalf = 1 / 2")
    assert user.ask("half") == 0.5
    assert len(member.launched(before)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("operator", ["own", "apart"])
def test_a_step_that_a_cell_defines_runs_detached_on_either_of_our_flavor(
    user: Kernel, member: Member, operator: str
) -> None:
    user.run("Client().activate_stack('light')\nfrom zenml import pipeline")
    before = time.time()
    user.run(f"%%modal_step --operator {operator} --define --name defined --gpu T4\nhalf = 1 / 2")
    assert member.launched(before) == []
    user.run("@pipeline(enable_cache=False)\ndef calls():\n    defined()\nrun = calls()")
    (sandbox,) = member.launched(before)
    assert (sandbox.gpu, sandbox.command[1:3]) == ("T4:1", ("-u", "-c"))


@pytest.mark.slow
@pytest.mark.parametrize(("stack", "operator"), [("team", "modal"), ("light", "own"), ("light", "apart")])
def test_a_dry_run_creates_nothing(user: Kernel, member: Member, stack: str, operator: str) -> None:
    user.run(f"Client().activate_stack('{stack}')")
    before = time.time()
    reply = user.run(f"%%modal_step --operator {operator} --gpu L4 --dry-run {PREBUILT}\nhalf = 1 / 2")
    assert "Dry run: no image, no sandbox, no ZenML run." in reply.results[0]
    assert "L4" in reply.results[0]
    assert member.launched(before) == []
