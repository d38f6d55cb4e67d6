"""`%%modal_step --operator` with ZenML's own Modal step operator on a team's stack."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from frontend import Kernel
from members import Member
from team import IMAGE

from zenml_modal_nb.emulator.faults import NoCapacity

IMPORT = "from zenml.client import Client"
STEP = """
from zenml.client import Client
run = Client().get_pipeline_run(_modal_run.id)
(step,) = run.steps.values()
"""


@pytest.fixture(scope="module")
def user(member: Member) -> Iterator[Kernel]:
    kernel = Kernel(member, "stock")
    try:
        kernel.run("%load_ext zenml_modal_nb")
        kernel.run(f"%config ModalStep.operator = 'modal'\n%config ModalStep.image = {IMAGE!r}")
        yield kernel
    finally:
        kernel.close()


def test_a_cell_runs_as_a_step_of_the_team_and_its_results_are_in_the_notebook_and_in_zenml(
    user: Kernel, member: Member
) -> None:
    before = time.time()
    user.run("class Model:\n    def __init__(self, n): self.n = n\nrows = [1, 2, 3]\nalias = rows")
    reply = user.run(
        "%%modal_step --gpu A100 --gpu-count 2 --memory 32GiB --region us-east --timeout 10m --name fit\n"
        "print('training on', rows)\n"
        "model = Model(sum(rows))\nrows.append(4)\nmodel.n"
    )
    assert reply.results == ["6"]
    assert "training on [1, 2, 3]" in reply.stdout
    assert user.ask("[model.n, type(model) is Model, rows, alias is rows]") == [6, True, [1, 2, 3, 4], True]
    (sandbox,) = member.launched(before)
    assert (sandbox.gpu, sandbox.memory_mib, sandbox.timeout) == ("A100:2", 32768, 600)
    assert sandbox.regions == ("us-east",)
    assert (sandbox.end, sandbox.code) == ("EXITED", 0)
    assert user.ask("[step.name, step.status.value, run.status.value]", given=STEP) == [
        "fit", "completed", "completed",
    ]  # fmt: skip
    assert user.ask("step.outputs['model'][0].load().n", given=STEP) == 6
    assert user.ask("sorted(step.inputs)", given=STEP) == ["rows", "zenml_modal_nb_cell"]


@pytest.mark.slow
def test_a_failing_cell_shows_its_own_traceback_and_fails_the_step(user: Kernel) -> None:
    reply = user.attempt("%%modal_step --name broken\nbefore = [1]\nratio = before[0] / 0")
    assert reply.ename == "ZeroDivisionError"
    assert "----> 3 ratio = before[0] / 0" in reply.traceback
    assert user.ask("before") == [1]
    assert user.ask("[step.status.value, run.status.value]", given=STEP) == ["failed", "failed"]
    recorded = user.ask("step.exception_info.traceback", given=STEP)
    assert "ZeroDivisionError: division by zero" in recorded


@pytest.mark.slow
def test_an_interrupt_ends_the_sandbox_and_stops_the_run(user: Kernel, member: Member) -> None:
    cell = user.send(
        "%%modal_step --name endless\nimport time\nprint('waits')\nwhile True:\n    time.sleep(1)"
    )
    user.wait_for_text(cell, "waits")
    user.interrupt()
    assert user.finish(cell).ename == "KeyboardInterrupt"
    assert member.launched()[-1].end == "TERMINATED"
    assert user.ask("[step.status.value, run.status.value]", given=STEP) == ["stopped", "stopped"]


@pytest.mark.slow
def test_an_interrupt_while_a_gpu_is_waited_for_ends_the_creation_too(user: Kernel, member: Member) -> None:
    before = time.time()
    with member.fault(NoCapacity("T4")):  # for as long as the test likes
        cell = user.send("%%modal_step --gpu T4 --name waiting\none = 1")
        user.wait_for_state(cell, "waiting for a sandbox")
        user.interrupt()
        assert user.finish(cell).ename == "KeyboardInterrupt"
        assert user.ask("[step.status.value, run.status.value]", given=STEP) == ["stopped", "stopped"]
    user.run("%%modal_step --gpu T4\none = 1")  # by now there is room, and what waited would have gone first
    assert [each.end for each in member.launched(before)] in (["EXITED"], ["TERMINATED", "EXITED"])


@pytest.mark.slow
def test_what_it_writes_is_in_zenmls_log_of_the_step(user: Kernel) -> None:
    user.run(
        "%%modal_step --name talking\nimport sys\nprint('to the log')\nprint('and this', file=sys.stderr)"
    )
    log = (  # as ZenML keeps it
        f"{STEP}\nlogs = Client().get_run_step(step.id).log_collection\n"
        "(found,) = [each for each in logs if each.source == 'step']\n"
        "store = Client().active_stack.log_store\n"
        "entries = [entry.message for entry in store.fetch(found, limit=100).items]"
    )
    assert {"to the log", "and this"} <= set(user.ask("entries", given=log))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("--on local", "--on does not hold with the step operator 'modal' of ZenML's flavor 'modal'"),
        ("--env HOME", "--env K does not hold"),
        ("--secret mine", "--secret does not hold"),
        ("--volume data:/data", "--volume does not hold"),
        ("--cache", "--cache does not hold"),
        ("--define --name x", "--define does not hold"),
        ("--operator other", "has no step operator 'other'. It has: modal, modal_dev."),
        ("--workspace other", "The token belongs to workspace 'local', not 'other'; nothing was created."),
    ],
)
def test_what_does_not_hold_is_refused_before_anything_is_created(
    user: Kernel, member: Member, line: str, told: str
) -> None:
    before, runs = time.time(), user.ask("Client().list_pipeline_runs(size=1).total", given=IMPORT)
    assert told in user.attempt(f"%%modal_step {line}\none = 1").evalue
    assert (member.launched(before), user.ask("Client().list_pipeline_runs(size=1).total")) == ([], runs)


def test_a_dry_run_tells_the_operator_and_whose_image_it_is(user: Kernel, member: Member) -> None:
    before = time.time()
    (plan,) = user.run("%%modal_step --dry-run\none = 1").results
    assert "modal, connected, ZenML's flavor" in plan
    assert f"{IMAGE}" in plan
    assert "used as it is" in plan
    (plan,) = user.run("%%modal_step --dry-run --pip six\none = 1").results
    assert "built upon by ZenML, with Docker" in plan
    assert member.launched(before) == []


@pytest.mark.slow
def test_a_cell_that_is_not_done_in_time_says_so_and_fails_its_step(user: Kernel, member: Member) -> None:
    reply = user.attempt("%%modal_step --timeout 1 --name late\none = 1")
    assert "The cell did not end within its timeout" in reply.evalue
    assert member.launched()[-1].end == "TIMED_OUT"
    assert user.ask("[step.status.value, run.status.value]", given=STEP) == ["failed", "failed"]
