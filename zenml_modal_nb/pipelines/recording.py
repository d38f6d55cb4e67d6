"""ZenML's own StepRunner, with the step's body replaced by what came back from the sandbox.

Materializers, output artifacts, exceptions and hooks then behave as for any step. StepRunner has no public seam for
that: two of its private methods are overridden here and nowhere else, and tests/unit/pipelines/test_recording.py
fails when they move.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from zenml import save_artifact
from zenml.client import Client
from zenml.config.step_configurations import Step
from zenml.enums import ExecutionStatus
from zenml.orchestrators import output_utils
from zenml.orchestrators.step_runner import StepRunner

from zenml_modal_nb.errors import ResultError
from zenml_modal_nb.pipelines import caching, cell_error

if TYPE_CHECKING:
    import inspect

    from zenml.models.v2.core.step_run import StepRunInputResponse
    from zenml.steps import BaseStep

    from zenml_modal_nb.pipelines.execution import Execution


_EXIT_CODE = "_exit_code"  # of `!command`: comes back, as in IPython, but is no result worth an artifact


class _Recorder(StepRunner):
    """A StepRunner for a body that ran elsewhere."""

    body: Callable[..., Any]

    def _load_step(self) -> BaseStep:
        step = copy.copy(super()._load_step())  # a defined step may run several times at once
        step.call_entrypoint = self.body  # type: ignore[method-assign]
        return step

    def _parse_inputs(
        self, signature: inspect.Signature, input_artifacts: dict[str, list[StepRunInputResponse]]
    ) -> dict[str, Any]:
        return {}  # they have travelled already


def record_step(execution: Execution) -> ExecutionStatus:
    """Record outputs or error of a run whose sandbox has ended; raises the error that the step ended with."""
    info = execution.info
    assert info is not None
    client = Client()
    stack = client.active_stack
    step = Step(spec=info.spec, config=info.config, step_config_overrides=info.config)
    step_run = client.get_run_step(info.step_run_id)  # anew: it knows the log by now
    recorder = _Recorder(step=step, stack=stack)
    recorder.body = lambda: _body(execution)
    recorder.run(
        pipeline_run=client.get_pipeline_run(info.run_id),
        step_run=step_run,
        input_artifacts=step_run.regular_inputs,
        output_artifact_uris=output_utils.prepare_output_artifact_uris(
            step_run=step_run, stack=stack, step=step, skip_artifact_materialization=False
        ),
        step_run_info=info,
    )
    return ExecutionStatus.COMPLETED


def _body(execution: Execution) -> Any:
    """Return or raise what the cell returned or raised."""
    if execution.ended is not None:
        raise execution.ended
    values = execution.values
    assert values is not None
    declared = execution.job.module.outputs
    unbound = {name: "not bound by the cell" for name in declared if name not in values.named}
    lost = {**unbound, **execution.lost}
    # A step that fails has no outputs, whatever it has declared.
    recorded = () if lost or execution.cell_error is not None else declared
    inputs = execution.job.inputs
    for name, value in {**values.changed, **values.named}.items():
        # Bound on some paths only, or changed in place: a step's declared outputs are fixed before it runs.
        if name not in (*recorded, _EXIT_CODE) and (name in values.changed or value is not inputs.get(name)):
            save_artifact(value, name, include_visualizations=False)
    if execution.cell_error is not None:
        execution.raised = cell_error.restore(execution.cell_error, execution.read_error)
        raise execution.raised
    if lost:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in lost.items())
        raise ResultError(
            f"The cell ran, but not all that it did can come back: {reasons}. The rest is in your variables."
        )
    if execution.job.cache is not None:
        caching.keep(execution)
    results = tuple(values.named[name] for name in declared)
    return results[0] if len(results) == 1 else (results or None)
