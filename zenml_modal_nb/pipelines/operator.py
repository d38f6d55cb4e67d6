"""The step operator: which way each step goes, and how its end is recorded."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from zenml.client import Client
from zenml.config import DockerSettings
from zenml.config.build_configuration import BuildConfiguration
from zenml.enums import ExecutionStatus
from zenml.exceptions import StackComponentInterfaceError
from zenml.integrations.modal.step_operators import ModalStepOperator

from zenml_modal_nb.errors import SandboxError
from zenml_modal_nb.events import Reason
from zenml_modal_nb.pipelines import (
    defined_step,
    entrypoints,
    facts,
    handover,
    launching,
    ordinary,
    stops,
    submissions,
)
from zenml_modal_nb.pipelines import execution as executions
from zenml_modal_nb.pipelines.cell_log import CellLog
from zenml_modal_nb.pipelines.connected import wait_connected
from zenml_modal_nb.pipelines.flavor import ModalNotebookConfig, ModalNotebookSettings
from zenml_modal_nb.pipelines.launching import Entrypoint
from zenml_modal_nb.pipelines.operators import Operator, of_component
from zenml_modal_nb.pipelines.recording import fire_start_hook, record_step

if TYPE_CHECKING:
    from uuid import UUID

    from zenml.config.base_settings import BaseSettings
    from zenml.config.step_configurations import Step
    from zenml.config.step_run_info import StepRunInfo
    from zenml.models import PipelineSnapshotBase, StepRunResponse
    from zenml.stack import StackValidator

    from zenml_modal_nb.pipelines.defined_step import DefinedRun
    from zenml_modal_nb.pipelines.execution import Execution

logger = logging.getLogger(__name__)

_NO_IMAGE = "built-by-modal"  # what ZenML has down as the image of a step without one in a registry


class ModalNotebookStepOperator(ModalStepOperator):
    """Runs cells and other steps: detached, where this process records what comes back, or connected."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Make the component; a stack that has it may run dynamic pipelines from now on."""
        super().__init__(*args, **kwargs)
        submissions.watch()

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
        """None that Docker would make: Modal's own builder makes the image; a connected step needs its code sent.

        ZenML asks before the first step runs, so what no step can have is refused here already.
        """
        for name, step in snapshot.step_configurations.items():
            if step.config.uses_step_operator(self.name) and executions.current() is None:
                machine = cast(ModalNotebookSettings, self.get_settings(step))
                ordinary.refuse_unknown(name, machine, step.config.resource_settings)
        wanted = {
            name: step.config.docker_settings
            for name, step in snapshot.step_configurations.items()
            if step.config.uses_step_operator(self.name) and self._is_connected(step)
        }
        builds = [
            BuildConfiguration(key=self.flavor, settings=_unbuilt(settings), step_name=name)
            for name, settings in wanted.items()
        ]
        # The steps of a dynamic pipeline are not known yet.
        if snapshot.is_dynamic and of_component(self, Client().active_stack, self.config.execution).connected:
            settings = snapshot.pipeline_configuration.docker_settings
            builds.append(BuildConfiguration(key=self.flavor, settings=_unbuilt(settings)))
        return builds

    def _is_connected(self, step: Step) -> bool:
        execution = executions.current()
        if execution is not None:
            return execution.job.operator.connected
        return defined_step.find(step.spec.source) is None and self._operator(step).connected

    def _operator(self, step: Step | StepRunInfo) -> Operator:
        settings = cast(ModalNotebookSettings, self.get_settings(step))
        return of_component(self, Client().active_stack, settings.execution)

    def submit(self, info: StepRunInfo, entrypoint_command: list[str], environment: dict[str, str]) -> None:
        """Create the sandbox; it is followed in the background until `wait`.

        Raises:
            StackComponentInterfaceError: settings that contradict each other, or cannot be honoured.
            ModalStepError: a value or the code cannot travel, or Modal refuses.
        """
        entrypoint = Entrypoint(tuple(entrypoint_command), environment)
        with facts.reason_kept(), stops.interrupts_recorded(info.step_run):
            if info.snapshot.is_dynamic and executions.current() is None:
                self._submit_dynamic(info, entrypoint)
            else:
                self._submit_step(info, entrypoint)

    def _submit_dynamic(self, info: StepRunInfo, entrypoint: Entrypoint) -> None:
        self._answer_for(info.step_run_id)
        submission = submissions.open_for(info)
        try:
            self._submit_step(info, entrypoint)
        except BaseException:
            submissions.close(info.step_run_id, ExecutionStatus.FAILED)
            raise
        if not submissions.is_waited_for():
            submission.attend(self._wait_with_reason)

    def _submit_step(self, info: StepRunInfo, entrypoint: Entrypoint) -> None:
        execution = executions.current()
        if execution is not None:
            self._submit(info, execution, entrypoint if execution.job.operator.connected else None)
            return
        settings = cast(ModalNotebookSettings, self.get_settings(info))
        step = defined_step.find(info.spec.source)
        if step is not None:
            if settings.execution == "connected":
                raise StackComponentInterfaceError(
                    f"The step '{info.pipeline_step_name}' is a cell's, whose code is in this kernel: it runs "
                    "detached. Leave out execution='connected'."
                )
            self._begin(info, defined_step.begin(info, step))
            return
        operator = self._operator(info)
        if operator.connected:
            entrypoints.submit(self.id, info, settings, operator, entrypoint)
        else:
            self._begin(info, ordinary.begin(info, settings, operator))

    def _answer_for(self, step_run_id: UUID) -> None:
        first = Client().active_stack.step_operator
        assert first is not None  # this one, if no other
        handover.enlist(step_run_id, self)
        handover.dispatch(type(first))

    def _begin(self, info: StepRunInfo, run: DefinedRun) -> None:
        if info.snapshot.is_dynamic and not submissions.is_waited_for():
            run = run.labelled(info.pipeline_step_name)
        defined_step.enlist(info.step_run_id, run)
        submissions.bind(info.step_run_id, run.execution)
        try:
            self._submit(info, run.execution)
        except BaseException:  # no sandbox goes on
            run.abandon()
            defined_step.forget(info.step_run_id)
            raise

    def _submit(self, info: StepRunInfo, execution: Execution, entrypoint: Entrypoint | None = None) -> None:
        facts.publish_identity(self.id, info, execution)
        if entrypoint is None:  # else the step's own process writes it
            execution.log = CellLog()
            fire_start_hook(info)
        settings = cast(ModalNotebookSettings, self.get_settings(info))
        open_record = partial(facts.open_record, info, execution)
        try:
            sandbox_id = launching.begin(info, execution, settings, open_record, entrypoint)
        except SandboxError as error:
            execution.ended = error  # `wait` records it: here it would be taken for ZenML's own
            open_record()
            return
        execution.sandbox_id = sandbox_id
        facts.publish_sandbox(self.id, info, sandbox_id, execution.job.target, execution.job)
        if entrypoint is None:
            execution.step_run = Client().get_run_step(info.step_run_id)  # it knows its log by now

    def wait(self, step_run: StepRunResponse) -> ExecutionStatus:
        """Wait for the verified result and record it; the end is an event, nothing polls.

        Raises:
            RunStoppedException: the run was stopped; ZenML then records it as stopped.
            Exception: what the cell raised, or why it could not end.
        """
        try:
            return self._wait_with_reason(step_run)
        finally:
            submissions.close(step_run.id, ExecutionStatus.COMPLETED)

    def _wait_with_reason(self, step_run: StepRunResponse) -> ExecutionStatus:
        with facts.reason_kept():
            return self._wait(step_run)

    def _wait(self, step_run: StepRunResponse) -> ExecutionStatus:
        if entrypoints.is_running(step_run.id):
            with stops.interrupts_recorded(step_run):
                return entrypoints.wait(step_run)
        run = defined_step.running(step_run.id)
        if run is None:
            execution = executions.current()
            assert execution is not None  # submit refused otherwise
            if execution.job.operator.connected:
                return wait_connected(self.id, step_run, execution)
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
        """Tell how a step is that ZenML does not wait for, e.g. one that a dynamic pipeline has submitted."""
        facts.forget_reason()
        submission = submissions.of(step_run.id)
        if submission is None:
            return super().get_status(step_run)
        if not submission.ended.done():
            return ExecutionStatus.RUNNING
        submissions.close(step_run.id, ExecutionStatus.COMPLETED)
        return submission.ended.result()

    def _follow(self, step_run: StepRunResponse, run: DefinedRun) -> None:
        """Tell what happens until the sandbox has ended; an interrupt ends it and stops step and run."""
        with stops.interrupts_recorded(step_run):
            try:
                run.show_until_ended()
            except BaseException:
                run.abandon()
                raise

    def _record(self, step_run: StepRunResponse, execution: Execution) -> ExecutionStatus:
        if execution.ended is None:
            stops.take_outcome(execution)
        facts.publish_bill(self.id, step_run, execution)
        assert execution.log is not None
        execution.log.close()
        stops.raise_if_by_hand(step_run, execution.ended)
        return record_step(execution)

    def cancel(self, step_run: StepRunResponse) -> None:
        """End a step's sandbox, followed here or not."""
        execution = executions.current()
        submission = submissions.of(step_run.id)
        if submission is not None:
            submission.stop()
        elif execution is not None:
            execution.stop(Reason.STOPPED)
        else:
            super().cancel(step_run)


def _unbuilt(settings: DockerSettings) -> DockerSettings:
    """Return settings by which ZenML builds no image and sends the code of a step all the same."""
    image = settings.parent_image or _NO_IMAGE
    return settings.model_copy(update={"skip_build": True, "parent_image": image, "dockerfile": None})
