"""The step operator: ships a cell to a Modal sandbox, follows it, and lets ZenML's own StepRunner record it."""

from __future__ import annotations

import getpass
import logging
import os
import platform
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from zenml.client import Client
from zenml.enums import ExecutionStatus
from zenml.exceptions import RunStoppedException
from zenml.integrations.modal import sandbox_utils
from zenml.integrations.modal.step_operators import ModalStepOperator
from zenml.models import PipelineRunUpdate
from zenml.orchestrators.publish_utils import publish_step_run_metadata, publish_stopped_step_run
from zenml.utils.dashboard_utils import get_run_url

from zenml_modal_nb.errors import ResultError, SandboxError
from zenml_modal_nb.events import File, Reason, Recorded
from zenml_modal_nb.pipelines import defined_step
from zenml_modal_nb.pipelines import execution as executions
from zenml_modal_nb.pipelines.cell_log import CellLog
from zenml_modal_nb.pipelines.execution import CellJob, Execution
from zenml_modal_nb.pipelines.flavor import ModalNotebookConfig, ModalNotebookSettings
from zenml_modal_nb.pipelines.record import memory_mib
from zenml_modal_nb.pipelines.recording import record_step
from zenml_modal_nb.sandboxes import image as images
from zenml_modal_nb.sandboxes import layers, secrets, volumes
from zenml_modal_nb.sandboxes.depot import Depot
from zenml_modal_nb.sandboxes.ending import RunEndedError, is_of_stopped_app, why_not_created
from zenml_modal_nb.sandboxes.follow import Follower
from zenml_modal_nb.sandboxes.launch import Launch

if TYPE_CHECKING:
    from zenml.config.base_settings import BaseSettings
    from zenml.config.build_configuration import BuildConfiguration
    from zenml.config.step_run_info import StepRunInfo
    from zenml.metadata.metadata_types import MetadataType
    from zenml.models import PipelineSnapshotBase, StepRunResponse
    from zenml.stack import StackValidator

    from zenml_modal_nb.pipelines.defined_step import DefinedRun

logger = logging.getLogger(__name__)

_MOST_NAMES = 50  # of files, in the metadata of a step
_STOPPED_BY_HAND = frozenset({Reason.STOPPED, Reason.COST_CAP})


class ModalNotebookStepOperator(ModalStepOperator):
    """Runs cells detached: the sandbox never talks to ZenML, this process records what comes back."""

    @property
    def config(self) -> ModalNotebookConfig:
        """The component's configuration."""
        return cast(ModalNotebookConfig, self._config)

    @property
    def settings_class(self) -> type[BaseSettings]:
        """The settings a step may carry."""
        return ModalNotebookSettings

    @property
    def validator(self) -> StackValidator | None:
        """No registry, no image builder and no remote store are needed."""
        return None

    def get_docker_builds(self, snapshot: PipelineSnapshotBase) -> list[BuildConfiguration]:
        """None: Modal's own builder makes the image."""
        return []

    def submit(self, info: StepRunInfo, entrypoint_command: list[str], environment: dict[str, str]) -> None:
        """Create the sandbox; it is followed in the background until `wait`.

        Raises:
            StackComponentInterfaceError: the step is not a cell.
        """
        execution = executions.current()
        if execution is not None:
            self._submit(info, execution)
            return
        run = defined_step.begin(info)
        try:
            self._submit(info, run.execution)
        except BaseException:  # an interrupt too: no sandbox goes on
            run.abandon()
            defined_step.forget(info.step_run_id)
            raise

    def _submit(self, info: StepRunInfo, execution: Execution) -> None:
        execution.info = info
        execution.log = CellLog()
        publish_step_run_metadata(info.step_run_id, {self.id: _identity(execution.job)})
        try:
            sandbox_id = self._begin(info, execution)
        except SandboxError as error:
            execution.ended = error  # `wait` records it: here it would be taken for ZenML's own
            _open_record(info, execution)
            return
        execution.sandbox_id = sandbox_id
        metadata: dict[str, MetadataType] = {"sandbox_id": sandbox_id}
        # While the sandbox starts, not before: each entry costs ZenML's store two writes.
        publish_step_run_metadata(info.step_run_id, {self.id: {**metadata, **_plan(execution.job)}})
        info.step_run.run_metadata.update(metadata)
        execution.step_run = Client().get_run_step(info.step_run_id)  # it knows its log by now

    def wait(self, step_run: StepRunResponse) -> ExecutionStatus:
        """Wait for the verified result and record it; the end is an event, nothing polls.

        Raises:
            RunStoppedException: the run was stopped; ZenML then records it as stopped.
            Exception: what the cell raised, or why it could not end.
        """
        run = defined_step.running(step_run.id)
        if run is None:
            execution = executions.current()
            assert execution is not None  # submit refused otherwise
            return self._record(step_run, execution)
        try:
            if run.execution.ended is None:
                self._follow(step_run, run)
            status = self._record(step_run, run.execution)
        except Exception as error:
            run.conclude(error)
            raise
        finally:
            defined_step.forget(step_run.id)
        run.conclude(None)
        return status

    def get_status(self, step_run: StepRunResponse) -> ExecutionStatus:
        """Tell how a step is that nobody waits for, e.g. one that a dynamic pipeline has submitted; records its end."""
        run = defined_step.running(step_run.id)
        if run is None:
            return super().get_status(step_run)
        if not run.is_over():
            return ExecutionStatus.RUNNING
        try:
            return self.wait(step_run)
        except RunStoppedException:
            return ExecutionStatus.STOPPED
        except Exception as error:  # noqa: BLE001 - it is recorded as the step's, and ZenML raises it from there
            logger.debug("%s has failed: %r", step_run.name, error)
            return ExecutionStatus.FAILED

    def _follow(self, step_run: StepRunResponse, run: DefinedRun) -> None:
        """Tell what happens until the sandbox has ended; an interrupt ends it and stops step and run."""
        try:
            run.show_until_ended()
        except BaseException:
            run.abandon()
            _publish_stopped(step_run)
            raise

    def _record(self, step_run: StepRunResponse, execution: Execution) -> ExecutionStatus:
        if execution.ended is None:
            try:
                execution.unpack(execution.follower.outcome())
            except (SandboxError, ResultError) as error:
                execution.ended = error
        publish_step_run_metadata(step_run.id, {self.id: _bill(execution)})
        assert execution.log is not None
        execution.log.close()
        if isinstance(execution.ended, RunEndedError) and execution.ended.reason in _STOPPED_BY_HAND:
            _publish_stopped(step_run)
            raise RunStoppedException(str(execution.ended))
        return record_step(execution)

    def cancel(self, step_run: StepRunResponse) -> None:
        """End a cell's sandbox, followed here or not."""
        run = defined_step.running(step_run.id)
        execution = executions.current() if run is None else run.execution
        if execution is not None:
            execution.stop(Reason.STOPPED)
            return
        super().cancel(step_run)

    def _begin(self, info: StepRunInfo, execution: Execution) -> str:
        """Create and follow the sandbox; an app that was stopped since the last cell is looked up again, once."""
        job = execution.job
        plan = layers.plan(job.image, job.notebook, job.connection.label)
        for last in (False, True):
            try:
                launch = self._launch(info, job, plan)
            except Exception as error:  # Modal's, e.g. an unknown environment
                raise why_not_created(error, job.connection.server) from error
            try:
                execution.follow(Follower(launch, execution.observe, execution.meter))
                _open_record(info, execution)  # while Modal creates the sandbox
                sandbox_id = execution.follower.created()
            except SandboxError as error:
                if last or not is_of_stopped_app(error):
                    raise
                _app.cache_clear()
            else:
                plan.keep()
                return sandbox_id
        raise AssertionError("the second attempt returns or raises")

    def _launch(self, info: StepRunInfo, job: CellJob, plan: layers.Plan) -> Launch:
        settings = cast(ModalNotebookSettings, self.get_settings(info))
        resources = info.config.resource_settings
        client = job.connection.client
        arguments: dict[str, Any] = sandbox_utils.build_sandbox_create_kwargs(
            app=_app(client, f"zenml-modal-nb-{job.notebook}"[:64], job.connection.environment),
            image=images.define(job.image, plan.layers),
            settings=settings,
            resource_settings=resources,
            environment={**job.environment, **volumes.environment(job.volumes)},
            modal_client=client,
        )
        arguments["memory"] = memory_mib(resources) or job.target.memory_mib
        arguments["secrets"] = [
            *arguments.get("secrets", []),
            *secrets.of(job.secrets, job.ephemeral, job.connection),
        ]
        if job.volumes:
            arguments["volumes"] = volumes.of(job.volumes, job.connection)
        arguments["tags"] = _tags(job, info)
        return Launch(
            nonce=job.nonce,
            parts=job.parts,
            run=job.run,
            python=job.image.python,
            grace=job.grace,
            arguments=arguments,
            depot=Depot(client, job.connection.environment, job.notebook),
            # Models that a GPU has trained are large.
            large_results=job.gpu_type is not None,
            into=job.directory,
            server=job.connection.server,
            why_built=plan.why,
        )


def _publish_stopped(step_run: StepRunResponse) -> None:
    """Record a stop; the run first: a step stopped in a running run ends the run as completed."""
    run_id = step_run.pipeline_run_id
    Client().zen_store.update_run(run_id, PipelineRunUpdate(status=ExecutionStatus.STOPPING))
    publish_stopped_step_run(step_run.id)


@cache
def _app(client: Any, name: str, environment: str | None) -> Any:
    return sandbox_utils.lookup_modal_app(name, modal_environment=environment, modal_client=client)


def _tags(job: CellJob, info: StepRunInfo) -> dict[str, str]:
    """What finds a sandbox whose ID never reached us, and tells a user's own from another's."""
    return {
        "zenml_modal_nb_user": _user(),
        "zenml_modal_nb_machine": platform.node()[:64],
        "zenml_modal_nb_kernel": str(os.getpid()),
        "zenml_step_run": str(info.step_run_id),
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a uid without a name, as in many containers
        return str(os.getuid())


def _open_record(info: StepRunInfo, execution: Execution) -> None:
    """Find the run and open the step's log, once."""
    if execution.run is not None:
        return
    execution.run = run = Client().get_pipeline_run(info.run_id)
    execution.recorded = Recorded(str(info.run_id), info.run_name, info.pipeline_step_name, get_run_url(run))
    execution.emit(execution.recorded)
    assert execution.log is not None
    execution.log.open(info, run)


def _identity(job: CellJob) -> dict[str, MetadataType]:
    """What has to be known before the sandbox exists: enough to find it and its results again; one entry."""
    known: dict[str, MetadataType] = {
        "nonce": job.nonce,
        "target": job.target.place,
        "modal_environment": job.connection.environment or "default",
        "outputs": list(job.run["outputs"]),  # those that are bound on some paths only, too
    }
    return {"run": known}


def _plan(job: CellJob) -> dict[str, MetadataType]:
    """What was asked for."""
    target = job.target
    return {
        "gpu": target.gpu or "none",
        "cpu": target.cpu or 0.0,
        "memory_mib": target.memory_mib or 0,
        "region": target.region or "any",
        "timeout_seconds": target.timeout,
        "billed": target.billed,
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
