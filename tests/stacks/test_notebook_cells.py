"""`%%modal_step --operator` with an operator of our flavor on a team's stack: connected by itself, detached if told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from frontend import Kernel
from members import Member

STEP = """
run = Client().get_pipeline_run(_modal_run.id)
(step,) = run.steps.values()
"""


@pytest.fixture(scope="module")
def user(member: Member) -> Iterator[Kernel]:
    """A user whose stack has no registry and no image builder."""
    kernel = Kernel(member, "own")
    try:
        kernel.run("%load_ext zenml_modal_nb")
        kernel.run("from zenml.client import Client\nClient().activate_stack('light')")
        yield kernel
    finally:
        kernel.run("Client().activate_stack('team')")
        kernel.close()


def test_a_connected_cell_needs_no_docker_and_its_results_are_in_the_notebook_and_in_zenml(
    user: Kernel, member: Member
) -> None:
    before = time.time()
    user.run("class Model:\n    def __init__(self, n): self.n = n\nrows = [1, 2, 3]\nalias = rows")
    reply = user.run(
        "%%modal_step --operator own --gpu T4 --env COLOR=red --name fit\n"
        "import os\nprint('training on', rows, os.environ['COLOR'])\n"
        "model = Model(sum(rows))\nrows.append(4)\nmodel.n"
    )
    assert reply.results == ["6"]
    assert "training on [1, 2, 3] red" in reply.stdout
    assert user.ask("[model.n, type(model) is Model, rows, alias is rows]") == [6, True, [1, 2, 3, 4], True]
    (sandbox,) = member.launched(before)
    assert (sandbox.gpu, sandbox.cloud, sandbox.end) == ("T4:1", "gcp", "EXITED")
    assert "zenml.entrypoints.entrypoint" in sandbox.command
    assert "zenml_step_run" in sandbox.tags
    assert user.ask("[step.status.value, run.status.value]", given=STEP) == ["completed", "completed"]
    assert user.ask("step.outputs['model'][0].load().n", given=STEP) == 6


@pytest.mark.slow
def test_what_a_connected_cell_has_made_or_changed_is_the_same_artifact_as_the_next_ones_input(
    user: Kernel,
) -> None:
    ids = "{{name: str(found[0].id) for name, found in step.{0}.items()}}"
    user.run("lines = ['a']")
    user.run(
        "%%modal_step --operator own --name write\nlength = len(lines)\npages = [lines]\nlines.append('b')"
    )
    made = user.ask(ids.format("outputs"), given=STEP)
    user.run("%%modal_step --operator own --name read\ncounted = length + len(pages) + len(lines)")
    read = user.ask(ids.format("inputs"), given=STEP)
    assert {name: read[name] for name in ("length", "pages", "lines")} == made


@pytest.mark.slow
def test_a_failing_connected_cell_shows_its_own_traceback_and_fails_the_step(user: Kernel) -> None:
    reply = user.attempt("%%modal_step --operator own --name broken\nbefore = [1]\nratio = before[0] / 0")
    assert reply.ename == "ZeroDivisionError"
    assert "----> 3 ratio = before[0] / 0" in reply.traceback
    assert user.ask("[before, step.status.value]", given=STEP) == [[1], "failed"]


@pytest.mark.slow
def test_told_to_be_detached_the_sandbox_knows_nothing_of_the_server_and_the_record_is_with_it(
    user: Kernel, member: Member
) -> None:
    before = time.time()
    user.run(
        "%%modal_step --operator apart --name apart_step\n"
        "import os\nsecond = [name for name in os.environ if name.startswith('ZENML')]"
    )
    (sandbox,) = member.launched(before)
    assert (sandbox.environment, sandbox.command[1:3]) == ("main", ("-u", "-c"))
    assert user.ask("[second, step.outputs['second'][0].load(), step.status.value]", given=STEP) == [
        [], [], "completed",
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_what_an_image_prints_like_a_frame_when_python_starts_is_text(user: Kernel, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('\\x1b]777;zmnb;{', flush=True)\n")
    reply = user.run(f"%%modal_step --operator own --env PYTHONPATH={tmp_path}\nodd = 6 * 7\nodd")
    assert reply.results == ["42"]
