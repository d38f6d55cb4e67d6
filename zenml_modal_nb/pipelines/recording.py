"""ZenML's own StepRunner, with the step's body replaced by what came back from the sandbox.

Materializers, output artifacts, exceptions and hooks then behave as for any step. StepRunner has no public seam for
that: four of its private methods are overridden here and nowhere else, and
tests/unit/pipelines/test_private_places.py fails when they move.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from zenml.client import Client
from zenml.config.step_configurations import Step
from zenml.enums import ExecutionStatus, HookType
from zenml.orchestrators import output_utils
from zenml.orchestrators.step_runner import StepRunner
from zenml.steps.step_context import StepContext
from zenml.utils import env_utils

from zenml_modal_nb.errors import ResultError
from zenml_modal_nb.events import Log
from zenml_modal_nb.pipelines import artifacts, caching, cell_error, facts, warmup
from zenml_modal_nb.pipelines.conclusion import is_by_the_way
from zenml_modal_nb.pipelines.execution import told

if TYPE_CHECKING:
    import inspect

    from zenml.config.source import Source
    from zenml.config.step_run_info import StepRunInfo
    from zenml.materializers.base_materializer import BaseMaterializer
    from zenml.models import ArtifactVersionResponse
    from zenml.models.v2.core.step_run import StepRunInputResponse
    from zenml.steps import BaseStep
    from zenml.steps.utils import OutputSignature

    from zenml_modal_nb.pipelines.execution import Execution


T = TypeVar("T")

_LEFT = object()  # the value of an output that could not come back: the step completes without it


class _Recorder(StepRunner):
    """A StepRunner for a body that ran elsewhere."""

    body: Callable[..., Any]
    execution: Execution

    def _load_step(self) -> BaseStep:
        step = copy.copy(super()._load_step())  # a defined step may run several times at once
        step.call_entrypoint = self.body  # type: ignore[method-assign]
        return step

    def _store_output_artifacts(
        self,
        output_data: dict[str, Any],
        output_materializers: dict[str, tuple[type[BaseMaterializer], ...]],
        output_artifact_uris: dict[str, str],
        output_annotations: dict[str, OutputSignature],
        artifact_metadata_enabled: bool,
        artifact_visualization_enabled: bool,
    ) -> dict[str, ArtifactVersionResponse]:
        """Store each output by itself, so that one that cannot be saved does not cost the others."""
        # A function of its own: `super` would not find its arguments in the lambda below.
        store = super()._store_output_artifacts
        if self.execution.job.ordinary:
            return store(
                output_data=output_data,
                output_materializers=output_materializers,
                output_artifact_uris=output_artifact_uris,
                output_annotations=output_annotations,
                artifact_metadata_enabled=artifact_metadata_enabled,
                artifact_visualization_enabled=artifact_visualization_enabled,
            )

        def write(name: str, data: object) -> dict[str, ArtifactVersionResponse]:
            return store(
                output_data={name: data},
                output_materializers=output_materializers,
                output_artifact_uris=output_artifact_uris,
                output_annotations=output_annotations,
                artifact_metadata_enabled=artifact_metadata_enabled,
                artifact_visualization_enabled=artifact_visualization_enabled,
            )

        stored: dict[str, ArtifactVersionResponse] = {}
        for name, value in output_data.items():
            if value is not _LEFT:
                clean = partial(self._clean, output_artifact_uris[name])
                save = partial(artifacts.attempt, value, partial(write, name), clean)
                stored |= _attempt(self.execution, name, save) or {}
        self.execution.saved |= {name: artifact.id for name, artifact in stored.items()}
        return stored

    def _fire_step_hook(
        self,
        hook_source: Source | None,
        hook_type: HookType,
        step_environment: dict[str, str],
        optional_args: tuple[Any, ...] | None = None,
    ) -> None:
        if hook_type is not HookType.STEP_START:  # which `fire_start_hook` has called
            super()._fire_step_hook(hook_source, hook_type, step_environment, optional_args)

    def _clean(self, uri: str) -> None:
        store = self._stack.artifact_store
        if store.exists(uri):
            store.rmtree(uri)

    def _parse_inputs(
        self, signature: inspect.Signature, input_artifacts: dict[str, list[StepRunInputResponse]]
    ) -> dict[str, Any]:
        return {}  # they have travelled already


def fire_start_hook(info: StepRunInfo) -> None:
    """Call the step's start hook when its sandbox is about to be created: the record is made at the end."""
    source = info.config.start_hook_source
    if source is None:
        return
    client = Client()
    stack = client.active_stack
    step = Step(spec=info.spec, config=info.config, step_config_overrides=info.config)
    context = StepContext(
        pipeline_run=client.get_pipeline_run(info.run_id),
        step_run=info.step_run,
        output_materializers={},
        output_artifact_uris={},
        output_artifact_configs={},
    )
    environment = env_utils.get_runtime_environment(config=info.config, stack=stack)
    with context:
        StepRunner(step=step, stack=stack)._fire_step_hook(source, HookType.STEP_START, environment)


def record_step(execution: Execution) -> ExecutionStatus:
    """Record outputs or error of a run whose sandbox has ended; raises the error that the step ended with."""
    info = execution.info
    assert info is not None
    client = Client()
    stack = client.active_stack
    step = Step(spec=info.spec, config=info.config, step_config_overrides=info.config)
    # Read while the cell ran, where there was a sandbox: what is needed of them does not change.
    step_run = execution.step_run or client.get_run_step(info.step_run_id)
    run = execution.run or client.get_pipeline_run(info.run_id)
    recorder = _Recorder(step=step, stack=stack)
    recorder.execution = execution
    recorder.body = lambda: _body(execution)
    try:
        with warmup.numbers_hushed():
            recorder.run(
                pipeline_run=run,
                step_run=step_run,
                input_artifacts=step_run.regular_inputs,
                output_artifact_uris=output_utils.prepare_output_artifact_uris(
                    step_run=step_run, stack=stack, step=step, skip_artifact_materialization=False
                ),
                step_run_info=info,
            )
    except Exception as error:
        if execution.ended is not None or execution.cell_error is not None:
            facts.publish_reason(
                info.step_run_id, error, execution.cell_error if execution.ended is None else None
            )
        raise
    return ExecutionStatus.COMPLETED


def _body(execution: Execution) -> Any:
    """Return or raise what the cell returned or raised."""
    if execution.ended is not None:
        raise execution.ended
    values = execution.values
    assert values is not None
    declared = execution.job.module.outputs
    lost = execution.lost
    if execution.job.run["narrowed"]:  # else the cell ended before it got there, by sys.exit()
        lost = {**{name: "not bound by the cell" for name in declared if name not in values.named}, **lost}
    # A step that fails has no outputs, whatever it has declared.
    recorded = () if lost or execution.cell_error is not None else declared
    inputs = execution.job.inputs
    for name, value in {**values.changed, **values.named}.items():
        # Bound on some paths only, or changed in place: a step's declared outputs are fixed before it runs.
        if not (name in recorded or is_by_the_way(name)) and (
            name in values.changed or value is not inputs.get(name)
        ):
            saved = _attempt(execution, name, lambda value=value, name=name: artifacts.save(value, name))  # type: ignore[misc]
            if saved is not None:
                execution.saved[name] = saved.id
    if execution.cell_error is not None:
        execution.raised = cell_error.restore(execution.cell_error, execution.read_error)
        raise cell_error.recordable(execution.raised)
    if lost:
        raise ResultError(
            f"The cell ran, but not all that it did can come back: {told(lost)}. The rest is in your variables."
        )
    if (
        execution.job.cache is not None and not execution.left
    ):  # what is kept must be all that the cell has done
        caching.keep(execution)
    results = tuple(values.named.get(name, _LEFT) for name in declared)
    return results[0] if len(results) == 1 else (results or None)


def _attempt(execution: Execution, name: str, save: Callable[[], T]) -> T | None:
    """Save something, or tell that ZenML has it not: the variable is the user's all the same."""
    try:
        return save()
    except Exception as error:  # noqa: BLE001 - the object's own code, or a full disk
        reason = f"{type(error).__name__}: {error}"[:300]
        execution.emit(Log(f"{name} could not be recorded in ZenML: {reason}\n", "stderr"))
        return None
