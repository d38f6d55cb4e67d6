"""A user's own ZenML goes on as ever: the active stack, and pipelines after and during a cell."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from frontend import Gate, Home, Kernel

OWN_STACK = """
from zenml.client import Client
Client().create_stack("mine", {"orchestrator": "default", "artifact_store": "default"})
Client().activate_stack("mine")
"""
OWN_PIPELINE = """
from zenml import pipeline, step

@step
def three() -> int:
    return 3

@pipeline(enable_cache=False)
def own():
    three()

def stack_of(run):
    return Client().get_pipeline_run(run.id).stack.name
"""


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A user with a ZenML repository and a stack of their own, whom nobody has started a local Modal API for."""
    home = Home(tmp_path_factory.mktemp("user"))
    (home.path / "work").mkdir()
    (home.path / "work" / ".zen").mkdir()
    kernel = Kernel(home, "user")
    try:
        kernel.run(OWN_STACK)
        kernel.run("%load_ext zenml_modal_nb")
        kernel.run(OWN_PIPELINE)
        yield kernel
    finally:
        kernel.close()
        stopped = home.python("-m", "zenml_modal_nb.emulator", "stop")
        assert "has ended" in stopped.stdout


def test_the_active_stack_stays_the_users(user: Kernel) -> None:
    user.run("%%modal_step\nonce = 1")
    assert user.ask("[Client().active_stack_model.name, Client().active_stack.name]") == ["mine", "mine"]
    assert user.ask("stack_of(_modal_run)") == "modal_notebook"


@pytest.mark.slow
def test_a_pipeline_runs_on_its_own_stack_after_a_cell(user: Kernel) -> None:
    user.run("%%modal_step\ntwice = 2")
    user.run("after = own()")
    assert user.ask("[stack_of(after), after.status.value]") == ["mine", "completed"]
    assert user.ask("Client().get_pipeline_run(after.id).steps['three'].output.load()") == 3


@pytest.mark.slow
def test_a_pipeline_of_another_thread_runs_on_its_own_stack_during_a_cell(user: Kernel, gate: Gate) -> None:
    user.run(
        "import threading\n"
        "begun = threading.Event()\n"
        "def run_own():\n"
        "    global during\n"
        "    begun.wait()\n"
        "    during = own()\n"
        f"    open({str(gate.path)!r}, 'w').close()  # only now the cell in the sandbox can end\n"
        "threading.Thread(target=run_own).start()"
    )
    # The first event of the run's log is what the other thread waits for.
    user.run(
        "from zenml_modal_nb.run import cell_run\n"
        "emit = cell_run.CellRun._emit\n"
        "def noting(self, event):\n"
        "    if type(event).__name__ == 'Log':\n"
        "        begun.set()\n"
        "    emit(self, event)\n"
        "cell_run.CellRun._emit = noting"
    )
    user.run(f"%%modal_step\nprint('begun')\n{gate.wait}\nmeanwhile = 1")
    assert user.ask("[stack_of(during), during.status.value]") == ["mine", "completed"]
    assert user.ask("[stack_of(_modal_run), _modal_run.status]") == ["modal_notebook", "finished"]
    assert user.ask("__import__('os').environ.get('ZENML_ACTIVE_STACK_ID')") is None


@pytest.mark.slow
def test_the_users_pipelines_still_talk_in_their_own_cells(user: Kernel) -> None:
    user.run("%%modal_step\nthrice = 3")
    reply = user.run("spoken = own()")
    assert "three" in reply.stdout + reply.stderr
