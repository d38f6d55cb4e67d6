"""A stop that somebody asks for elsewhere, as ZenML's dashboard does, ends the sandbox and the run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from frontend import Home, Kernel, LocalModal

STOP = """
import sys
from zenml.client import Client
from zenml.enums import ExecutionStatus
from zenml.models import PipelineRunUpdate

(run,) = Client().list_pipeline_runs(status="running").items
Client().zen_store.update_run(run.id, PipelineRunUpdate(status=ExecutionStatus.STOPPING))
"""


@pytest.fixture(scope="module")
def user(home: Home) -> Iterator[Kernel]:
    kernel = Kernel(home, "stopped")
    try:
        kernel.run("%load_ext zenml_modal_nb")
        yield kernel
    finally:
        kernel.close()


@pytest.mark.slow
def test_a_cells_run_that_is_told_to_stop_ends_its_sandbox(user: Kernel, home: Home) -> None:
    cell = user.send("%%modal_step\nimport time\nprint('waits')\nwhile True:\n    time.sleep(1)")
    user.wait_for_text(cell, "waits")
    asked = home.python("-c", STOP)
    assert asked.returncode == 0, asked.stderr
    reply = user.finish(cell)
    assert reply.ename == "KeyboardInterrupt"
    assert LocalModal(home).sandboxes() == []
    given = "from zenml.client import Client\nrun = Client().get_pipeline_run(_modal_run.id)"
    assert user.ask("run.status.value", given=given) == "stopped"
