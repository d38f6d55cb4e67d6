"""What a step's metadata say of its run: what identifies it before there is a sandbox, and what it has used."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from zenml.client import Client
from zenml.enums import ExecutionStatus
from zenml.exceptions import RunStoppedException
from zenml.models import ExceptionInfo, PipelineRunUpdate, StepRunUpdate
from zenml.orchestrators.publish_utils import (
    publish_step_run_metadata,
    publish_stopped_step_run,
    step_exception_info,
)
from zenml.utils.dashboard_utils import get_run_url

from zenml_modal_nb.errors import SandboxError
from zenml_modal_nb.events import File, Recorded, Target

if TYPE_CHECKING:
    from uuid import UUID

    from zenml.config.step_run_info import StepRunInfo
    from zenml.metadata.metadata_types import MetadataType
    from zenml.models import StepRunResponse

    from zenml_modal_nb.pipelines.execution import CellJob, Execution

logger = logging.getLogger(__name__)

_MOST_NAMES = 50  # of files, in the metadata of a step


def publish_identity(operator: UUID, info: StepRunInfo, execution: Execution) -> None:
    """Record what identifies the run; before anything exists at Modal."""
    execution.info = info
    publish_step_run_metadata(info.step_run_id, {operator: _identity(execution.job)})


def open_record(info: StepRunInfo, execution: Execution) -> None:
    """Find the run, tell where it is recorded and open the step's log if this process writes it; once."""
    if execution.run is not None:
        return
    execution.run = run = Client().get_pipeline_run(info.run_id)
    execution.recorded = Recorded(str(info.run_id), info.run_name, info.pipeline_step_name, get_run_url(run))
    execution.emit(execution.recorded)
    if execution.log is not None:
        execution.log.open(info, run)


def publish_sandbox(
    operator: UUID, info: StepRunInfo, sandbox_id: str, target: Target, job: CellJob | None = None
) -> None:
    """Record which sandbox a step runs in, and what was asked for: each entry costs ZenML two writes."""
    metadata: dict[str, MetadataType] = {"sandbox_id": sandbox_id}
    publish_step_run_metadata(info.step_run_id, {operator: {**metadata, **_plan(target, job)}})
    info.step_run.run_metadata.update(metadata)


def publish_plan(operator: UUID, info: StepRunInfo, job: CellJob) -> None:
    """Record what was asked for, of a sandbox whose ID ZenML's own operator records."""
    publish_step_run_metadata(info.step_run_id, {operator: _plan(job.target, job)})


def publish_bill(operator: UUID, step_run: StepRunResponse, execution: Execution) -> None:
    """Record what a run that has ended has used and cost."""
    publish_step_run_metadata(step_run.id, {operator: _bill(execution)})


def publish_stopped(step_run: StepRunResponse) -> None:
    """Record a stop; the run first: a step stopped in a running run ends the run as completed."""
    run_id = step_run.pipeline_run_id
    Client().zen_store.update_run(run_id, PipelineRunUpdate(status=ExecutionStatus.STOPPING))
    publish_stopped_step(step_run)


def publish_stopped_step(step_run: StepRunResponse) -> None:
    """Record the stop of one step of a run that ends otherwise."""
    publish_stopped_step_run(step_run.id)


def publish_status_of_run(run_id: UUID, status: ExecutionStatus) -> None:
    """Record how a dynamic pipeline's run is, which does not follow from its steps, unless it has ended."""
    try:
        Client().zen_store.update_run(run_id, PipelineRunUpdate(status=status))
    except Exception as error:  # noqa: BLE001 - sandboxes are to end whatever the server says
        logger.debug("Run %s is not recorded as %s: %r", run_id, status, error)


@contextmanager
def reason_kept() -> Iterator[None]:
    """Let ZenML record why a step fails; it does so itself only where its StepRunner has seen the error."""
    try:
        yield
    except RunStoppedException:
        raise
    except Exception as error:
        if step_exception_info.get() is None:
            step_exception_info.set(_reason(error))
        raise


def forget_reason() -> None:
    """Let an earlier step's reason be no later one's, on a thread that looks after several."""
    step_exception_info.set(None)


def publish_reason(step_run_id: UUID, error: Exception, cell_error: Mapping[str, Any] | None) -> None:
    """Record why a step has failed in the user's own terms, where StepRunner has recorded frames of this process."""
    update = StepRunUpdate(exception_info=_reason(error, cell_error))
    Client().zen_store.update_run_step(step_run_id, update)


def _reason(error: Exception, cell_error: Mapping[str, Any] | None = None) -> ExceptionInfo:
    # Of ours the class that is made of a message alone, as ZenML makes it again, e.g. for a step's future.
    kind = SandboxError if isinstance(error, SandboxError) else type(error)
    last, frames = f"{kind.__name__}: {error}", []
    if cell_error is not None:
        last = f"{cell_error['ename']}: {cell_error['evalue']}"
        # Not our own call of a step's function.
        frames = [each for each in cell_error["frames"] if not str(each["file"]).startswith("<step ")]
    lines = [
        f'  File "{each["file"]}", line {each["line"]}, in {each["name"]}\n    {each["text"]}'
        for each in frames
    ]
    head = ["Traceback (most recent call last, in the sandbox):"] if lines else []
    return ExceptionInfo(
        traceback="\n".join([*head, *lines, last]) + "\n",
        source=f"{kind.__module__}.{kind.__qualname__}",
        message=str(error) or None,
    )


def _identity(job: CellJob) -> dict[str, MetadataType]:
    """What has to be known before the sandbox exists: enough to find it and its results again; one entry."""
    known: dict[str, MetadataType] = {
        "nonce": job.nonce,
        "target": job.target.place,
        "modal_environment": job.connection.environment or "default",
        "outputs": list(job.run["outputs"]),  # those that are bound on some paths only, too
    }
    return {"run": known}


def _plan(target: Target, job: CellJob | None) -> dict[str, MetadataType]:
    return {
        "gpu": target.gpu or "none",
        "cpu": target.cpu or 0.0,
        "memory_mib": target.memory_mib or 0,
        "region": target.region or "any",
        "timeout_seconds": target.timeout,
        "billed": target.billed,
        **({} if job is None else _files(job)),
        # An unknown price is no price of 0.
        **({} if target.hourly_rate is None else {"hourly_rate_usd": target.hourly_rate}),
    }


def _files(job: CellJob) -> dict[str, MetadataType]:
    """What goes in and out beside the variables, as far as there is any."""
    told: dict[str, MetadataType] = {}
    if job.sent:
        told["files_sent"] = _names(job.sent)
        told["files_sent_bytes"] = sum(each.size for each in job.sent)
    if job.fetch:
        told["fetch"] = list(job.fetch)
    if job.volumes:
        told["volumes"] = [":".join(each) for each in job.volumes]
    return told


def _names(files: Sequence[File]) -> list[MetadataType]:
    """Their paths, of a great many the first only."""
    rest = len(files) - _MOST_NAMES
    return [*(each.path for each in files[:_MOST_NAMES]), *([f"and {rest} more"] if rest > 0 else [])]


def _bill(execution: Execution) -> dict[str, MetadataType]:
    cost, usage = execution.cost(), execution.usage()
    used: dict[str, MetadataType] = {
        "cpu_cores": usage.cpu,
        "memory_mib": round(usage.memory_mib, 1),
        "gpu_percent": usage.gpu_percent,
        "gpu_memory_mib": usage.gpu_memory_mib,
    }
    peaks = {name: amount for name, amount in used.items() if amount}
    return {
        "duration_seconds": round(execution.elapsed(), 3),
        "cell_seconds": round(execution.seconds, 3),
        **({"peak_usage": peaks} if peaks else {}),  # a short cell ends before the first sample
        **({"not_returned": dict(execution.left)} if execution.left else {}),
        **({} if cost is None else {"estimated_cost_usd": round(cost, 6)}),
        **({"files_fetched": _names(execution.files.fetched)} if execution.files.fetched else {}),
    }
