"""Whom ZenML asks about a step: in a dynamic pipeline the first step operator of the stack, whose step it may not be.

`dispatch` lets the first one's class hand on what is asked about a step of ours to the operator that has submitted it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from zenml.enums import ExecutionStatus
    from zenml.models import StepRunResponse
    from zenml.step_operators import BaseStepOperator

_submitted: dict[UUID, BaseStepOperator] = {}  # by step run, from submission to end


def enlist(step_run_id: UUID, operator: BaseStepOperator) -> None:
    """Keep who has submitted a step."""
    _submitted[step_run_id] = operator


def forget(step_run_id: UUID) -> None:
    """Let go of a step that has ended."""
    _submitted.pop(step_run_id, None)


@cache
def dispatch(first: type[BaseStepOperator]) -> None:
    """Let a class of step operators hand on what it is asked about others' steps, once for each class."""
    get_status, cancel = first.get_status, first.cancel

    def get_status_of(self: Any, step_run: StepRunResponse) -> ExecutionStatus:
        operator = _submitted.get(step_run.id, self)
        return get_status(self, step_run) if operator is self else operator.get_status(step_run)

    def cancel_of(self: Any, step_run: StepRunResponse) -> None:
        operator = _submitted.get(step_run.id, self)
        if operator is self:
            cancel(self, step_run)
        else:
            operator.cancel(step_run)

    first.get_status = get_status_of  # type: ignore[method-assign]
    first.cancel = cancel_of  # type: ignore[method-assign]
