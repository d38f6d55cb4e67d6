"""A stop that somebody asks for elsewhere, e.g. in ZenML's dashboard: the status says so, and the sandbox ends."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import UUID

from zenml.client import Client
from zenml.enums import ExecutionStatus
from zenml.exceptions import RunStoppedException

from zenml_modal_nb.errors import ResultError, SandboxError
from zenml_modal_nb.events import Reason
from zenml_modal_nb.pipelines import facts
from zenml_modal_nb.sandboxes.ending import RunEndedError

if TYPE_CHECKING:
    from zenml.models import StepRunResponse

    from zenml_modal_nb.pipelines.execution import Execution

logger = logging.getLogger(__name__)

LOOK = 5.0  # seconds between two looks; a heartbeat of ZenML's own comes about as often

_cancelled: set[UUID] = set()  # steps that ZenML itself ends, e.g. since another one of the run has failed
_STOPPING = frozenset({ExecutionStatus.STOPPING, ExecutionStatus.CANCELLING})
_BY_HAND = frozenset({Reason.STOPPED, Reason.COST_CAP})


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


def cancel(step_run: StepRunResponse) -> None:
    """Note that ZenML ends this step alone, whatever becomes of its run."""
    _cancelled.add(step_run.id)


def is_cancelled(step_run: StepRunResponse) -> bool:
    """Tell whether ZenML has ended this step alone."""
    return step_run.id in _cancelled


def publish(step_run: StepRunResponse) -> None:
    """Record a step as stopped, and its run too unless ZenML has ended this step alone."""
    if is_cancelled(step_run):
        facts.publish_stopped_step(step_run)
    else:
        facts.publish_stopped(step_run)


def forget(step_run_id: UUID) -> None:
    """Let go of a step that has ended."""
    _cancelled.discard(step_run_id)


def heed(
    is_over: Callable[[float], bool], step_run_id: UUID, run_id: UUID, stop: Callable[[Reason], None]
) -> None:
    """Return when what is waited for is over, which a stop brings about; `is_over` waits for so many seconds."""
    while not is_over(LOOK):
        if is_asked_for(step_run_id, run_id):
            stop(Reason.STOPPED)


def heed_until_ended(execution: Execution) -> None:
    """Return when the sandbox has ended, which a stop brings about."""
    info = execution.info
    assert info is not None
    heed(execution.follower.ended, info.step_run_id, info.run_id, execution.stop)


def take_outcome(execution: Execution) -> None:
    """Wait for what the sandbox delivers and take it; why there is nothing, if so, is in `execution.ended`."""
    try:
        heed_until_ended(execution)
        execution.unpack(execution.follower.outcome())
    except (SandboxError, ResultError) as error:
        execution.ended = error


def raise_if_by_hand(step_run: StepRunResponse, ended: Exception | None) -> None:
    """Record a run that somebody has stopped, or its cost cap; raises RunStoppedException, as ZenML expects then."""
    if isinstance(ended, RunEndedError) and ended.reason in _BY_HAND:
        publish(step_run)
        raise RunStoppedException(str(ended))


@contextmanager
def interrupts_recorded(step_run: StepRunResponse) -> Iterator[None]:
    """Record an interrupt as a stop, not a failure as ZenML would; around what ends the sandbox before it raises."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception):
            publish(step_run)
        raise
