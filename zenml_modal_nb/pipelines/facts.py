"""What a step's metadata say of its run: what identifies it before there is a sandbox, and what it has used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from zenml.client import Client
from zenml.enums import ExecutionStatus
from zenml.models import PipelineRunUpdate
from zenml.orchestrators.publish_utils import publish_step_run_metadata, publish_stopped_step_run
from zenml.utils.dashboard_utils import get_run_url

from zenml_modal_nb.events import File, Recorded

if TYPE_CHECKING:
    from uuid import UUID

    from zenml.config.step_run_info import StepRunInfo
    from zenml.metadata.metadata_types import MetadataType
    from zenml.models import PipelineRunResponse, StepRunResponse

    from zenml_modal_nb.pipelines.execution import CellJob, Execution

_MOST_NAMES = 50  # of files, in the metadata of a step


def publish_plan(operator: UUID, info: StepRunInfo, execution: Execution) -> PipelineRunResponse:
    """Record what identifies the run, and tell where it is recorded; before anything exists at Modal."""
    execution.info = info
    run = Client().get_pipeline_run(info.run_id, hydrate=False)
    execution.recorded = Recorded(str(info.run_id), info.run_name, info.pipeline_step_name, get_run_url(run))
    execution.emit(execution.recorded)
    publish_step_run_metadata(info.step_run_id, {operator: _plan(execution.job, info)})
    return run


def publish_sandbox(operator: UUID, info: StepRunInfo, sandbox_id: str) -> None:
    """Record which sandbox a step runs in."""
    metadata: dict[str, MetadataType] = {"sandbox_id": sandbox_id}
    publish_step_run_metadata(info.step_run_id, {operator: metadata})
    info.step_run.run_metadata.update(metadata)


def publish_bill(operator: UUID, step_run: StepRunResponse, execution: Execution) -> None:
    """Record what a run that has ended has used and cost."""
    publish_step_run_metadata(step_run.id, {operator: _bill(execution)})


def publish_stopped(step_run: StepRunResponse) -> None:
    """Record a stop; the run first: a step stopped in a running run ends the run as completed."""
    run_id = step_run.pipeline_run_id
    Client().zen_store.update_run(run_id, PipelineRunUpdate(status=ExecutionStatus.STOPPING))
    publish_stopped_step_run(step_run.id)


def _plan(job: CellJob, info: StepRunInfo) -> dict[str, MetadataType]:
    """What is known before the sandbox exists, enough to find it and its results again."""
    target = job.target
    return {
        "run_nonce": job.nonce,
        "target": target.place,
        "gpu": target.gpu or "none",
        "cpu": target.cpu or 0.0,
        "memory_mib": target.memory_mib or 0,
        "region": target.region or "any",
        "timeout_seconds": target.timeout,
        "outputs": list(job.run["outputs"]),  # those that are bound on some paths only, too
        "modal_environment": job.connection.environment or "default",
        **_files(job),
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
        "peak_cpu_cores": usage.cpu,
        "peak_memory_mib": round(usage.memory_mib, 1),
        "peak_gpu_percent": usage.gpu_percent,
        "peak_gpu_memory_mib": usage.gpu_memory_mib,
    }
    return {
        "duration_seconds": round(execution.elapsed(), 3),
        "cell_seconds": round(execution.seconds, 3),
        "billed": execution.job.target.billed,
        **{
            name: amount for name, amount in used.items() if amount
        },  # a short cell ends before the first sample
        **({"not_returned": dict(execution.left)} if execution.left else {}),
        **({} if cost is None else {"estimated_cost_usd": round(cost, 6)}),
        **({"files_fetched": _names(execution.files.fetched)} if execution.files.fetched else {}),
    }
