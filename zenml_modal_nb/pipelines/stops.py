"""A stop that somebody asks for elsewhere, e.g. in ZenML's dashboard: the status says so, and the sandbox ends."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from uuid import UUID

from zenml.client import Client
from zenml.enums import ExecutionStatus

from zenml_modal_nb.events import Reason

if TYPE_CHECKING:
    from zenml_modal_nb.pipelines.execution import Execution

logger = logging.getLogger(__name__)

LOOK = 5.0  # seconds between two looks; a heartbeat of ZenML's own comes about as often

_STOPPING = frozenset({ExecutionStatus.STOPPING, ExecutionStatus.CANCELLING})


def is_asked_for(step_run_id: UUID, run_id: UUID) -> bool:
    """Tell whether the step, or its whole run, is to stop."""
    client = Client()
    try:
        return (
            client.get_run_step(step_run_id, hydrate=False).status in _STOPPING
            or client.get_pipeline_run(run_id, hydrate=False).status in _STOPPING
        )
    except Exception as error:  # noqa: BLE001 - a server that is away for a while must not end a training
        logger.debug("Whether %s is to stop is not known: %r", step_run_id, error)
        return False


def heed_until_ended(execution: Execution) -> None:
    """Return when the sandbox has ended, which a stop brings about."""
    assert execution.info is not None
    while not execution.follower.ended(LOOK):
        if is_asked_for(execution.info.step_run_id, execution.info.run_id):
            execution.stop(Reason.STOPPED)
