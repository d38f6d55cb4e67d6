"""How a run has ended, as the last of its events."""

from __future__ import annotations

from zenml_modal_nb.errors import ResultError
from zenml_modal_nb.events import Failed, Finished, Reason, Stopped
from zenml_modal_nb.pipelines.execution import Execution
from zenml_modal_nb.sandboxes.ending import RunEndedError


def conclude(execution: Execution, raised: BaseException | None) -> Finished | Failed | Stopped:
    """Return the event for a run that is recorded; `raised` is what recording it has raised."""
    elapsed, usd, recorded = execution.elapsed(), execution.cost(), execution.recorded
    ended = execution.ended
    if isinstance(ended, RunEndedError) and ended.reason in (Reason.STOPPED, Reason.COST_CAP):
        return Stopped(ended.reason, elapsed, usd, recorded)
    values = execution.values
    if raised is None:
        kept = execution.cached
        cached = "" if kept is None else f"run {kept.run_name} of {kept.date}"
        outputs = () if values is None else tuple(name for name in values.named if not is_by_the_way(name))
        return Finished(elapsed, usd, outputs, recorded, execution.files, cached)
    if isinstance(ended, RunEndedError):
        reason = ended.reason
    elif execution.cell_error is not None:
        reason = Reason.CELL_FAILED
    elif isinstance(raised, ResultError):
        reason = Reason.INCOMPLETE
    else:
        reason = Reason.NOT_STARTED if values is None else Reason.NOT_RECORDED
    return Failed(reason, _message(execution, raised), elapsed, usd, recorded, execution.files)


def is_by_the_way(name: str) -> bool:
    """Tell whether a variable is no result worth an artifact or a word: a command's exit code, `_`."""
    return name == "_exit_code" or not name.strip("_")


def _message(execution: Execution, raised: BaseException) -> str:
    """A cell's own error as Python names it, e.g. "KeyError: 'missing'"; what we say is a sentence already."""
    fields = execution.cell_error
    if fields is None or isinstance(execution.ended, RunEndedError):
        return str(raised)
    return f"{fields['ename']}: {fields['evalue']}" if fields["evalue"] else str(fields["ename"])
