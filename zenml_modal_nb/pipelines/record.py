"""One cell as one ZenML run: its inputs saved as artifacts, its step compiled, run and recorded."""

from __future__ import annotations

import linecache
import math
import sys
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from zenml_modal_nb.events import Log, Reason, Recorded
from zenml_modal_nb.pipelines import caching, execution, integrations, scope, stack, warmup
from zenml_modal_nb.pipelines.connected import CELL, code_directory, dispatch, docker_settings, save_cell
from zenml_modal_nb.pipelines.execution import CellJob, Execution
from zenml_modal_nb.pipelines.inputs import save_inputs
from zenml_modal_nb.pipelines.step_module import StepModule

if TYPE_CHECKING:
    from zenml.config import ResourceSettings
    from zenml.models import StackResponse


def record(running: Execution) -> None:
    """Run a packaged cell as a ZenML step, in the calling thread; raises what the step ended with.

    Never call it on the main thread: there ZenML replaces the process's signal handlers.
    """
    warmup.wait(running.stopped)
    running.refuse_stopped()
    warmup.hush()
    execution.enter(running)
    try:
        with scope.using(_stack(running)), integrations.sparing(), warmup.numbers_hushed():
            _run_pipeline(running)
    except BaseException:
        running.stop(Reason.LOST_CONTACT)  # nobody waits for it any more, e.g. since ZenML's database failed
        raise


def _stack(running: Execution) -> StackResponse:
    """Return the stack with the operator that the user has named, or ours."""
    if not running.job.operator.registered:
        return stack.own_stack(lambda told: running.observe(Log(f"{told}\n", "stderr")))
    from zenml.client import Client

    return Client().active_stack_model


def _run_pipeline(running: Execution) -> None:
    from zenml import pipeline, step
    from zenml.config import CachePolicy
    from zenml.enums import ExecutionMode
    from zenml.utils.dashboard_utils import get_run_url

    job = running.job
    kept = None if job.cache is None else caching.find(job.cache)
    as_step = step(
        step_operator=job.operator.name,
        enable_cache=job.cache is not None,
        # `variable` has digests of the inputs: those of artifacts change with the kernel that saves them.
        cache_policy=CachePolicy(include_artifact_values=False, include_artifact_ids=False),
        environment=_environment(job, kept),
        # Drawing a histogram of every array for a dashboard takes 0.2 s each, and detached runs have none at hand.
        enable_artifact_visualization=False,
        settings=settings_of(job),
    )
    cell = as_step(load_function(job.module))
    setattr(sys.modules[module_name(job.module)], job.module.function, cell)
    artifacts = save_inputs(job.inputs, job.digests) if kept is None else kept.inputs

    # Fail fast: the step's own exception is raised here, not a summary of it.
    # The cell's log is its step's; a log of the pipeline would hold what ZenML says about it, and cost two writes.
    @pipeline(
        name=job.notebook,
        enable_cache=job.cache is not None,
        enable_pipeline_logs=False,
        execution_mode=ExecutionMode.FAIL_FAST,
    )
    def run() -> None:
        cell(**artifacts)  # type: ignore[arg-type]  # ZenML takes saved artifacts as well

    if job.operator.connected:
        dispatch()
        artifacts = {**artifacts, CELL: save_cell(job)}
        with code_directory(job, module_name(job.module)) as code, scope.rooted(code):
            run()
        return
    response = run()
    if kept is not None and running.info is None:  # never submitted: ZenML has found the earlier run
        assert response is not None
        (name,) = response.steps
        running.recorded = Recorded(str(response.id), response.name, name, get_run_url(response))
        running.emit(running.recorded)
        running.take_over(kept)
        running.saved = {of: found[0].id for of, found in response.steps[name].outputs.items()}


def _environment(job: CellJob, kept: caching.Kept | None) -> dict[str, Any] | None:
    """Return the variables of the step in ZenML's hands: a digest for its cache, or what ZenML's operator passes on."""
    if job.operator.stock:
        return dict(job.environment)
    return None if job.cache is None else caching.variable(job.cache, kept)


def settings_of(job: CellJob) -> dict[str, Any]:
    """Return a cell's machine and limits as ZenML's settings of a step."""
    from zenml.config import ResourceSettings
    from zenml.integrations.modal.flavors import ModalStepOperatorSettings

    from zenml_modal_nb.pipelines.flavor import ModalNotebookSettings

    target = job.target
    asked = {
        "gpu": job.gpu_type,
        "region": target.region,
        "cloud": target.cloud,
        "modal_environment": job.connection.environment,
    }
    # ZenML takes None for "as the component has it", and an empty text for none.
    told = {
        name: "" if value is None and name in job.operator.usual else value for name, value in asked.items()
    }
    operator: ModalStepOperatorSettings = ModalStepOperatorSettings(**told, timeout=target.timeout)
    if not job.operator.stock:
        operator = ModalNotebookSettings(**operator.model_dump(), workspace=job.connection.workspace)
    unit = "MB" if job.operator.stock else "MiB"  # what ZenML's operator calls MB, Modal takes for MiB
    resources = ResourceSettings(
        cpu_count=target.cpu,
        memory=None if target.memory_mib is None else f"{target.memory_mib}{unit}",
        gpu_count=job.gpu_count if job.gpu_type else None,
    )
    docker = {"docker": docker_settings(job)} if job.operator.connected else {}
    # By name: in a stack of several operators the plain key is the first one's.
    return {f"step_operator:{job.operator.name}": operator, "resources": resources, **docker}


def memory_mib(resources: ResourceSettings) -> int | None:
    """Memory in MiB; ZenML's own mapping takes "32GiB" for 34360, decimal units are kept as ZenML sends them."""
    from zenml.config.resource_settings import ByteUnit

    if resources.memory is None:
        return None
    unit = ByteUnit.MIB if resources.memory.endswith("iB") else ByteUnit.MB
    return math.ceil(resources.get_memory(unit) or 0)


def module_name(module: StepModule) -> str:
    """Return the name under which ZenML imports a step module."""
    return f"extracted_notebook_code_{module.digest}"  # ZenML's own name for such a module


def load_function(module: StepModule) -> Callable[..., Any]:
    """Make the step module importable in this process: ZenML loads a step by its module's name."""
    name = module_name(module)
    filename = f"<{name}>"
    # inspect.getsource, which ZenML records the step's source with, reads from here.
    linecache.cache[filename] = (len(module.text), None, module.text.splitlines(keepends=True), filename)
    loaded = types.ModuleType(name)
    namespace = loaded.__dict__
    function = _function(module, filename, name)
    namespace[module.function] = function
    sys.modules[name] = loaded
    return function


def _function(module: StepModule, filename: str, name: str) -> Callable[..., Any]:
    """Compile the step function alone: the module's imports and definitions are not needed where it never runs."""
    import ast
    from typing import Annotated

    tree = ast.parse(module.text)
    functions = [
        node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == module.function
    ]
    tree.body = [functions[-1]]
    namespace: dict[str, Any] = {"Any": Any, "Annotated": Annotated, "__name__": name}
    # Not with this module's own `__future__`: annotations are to be types, as ZenML reads them.
    exec(compile(tree, filename, "exec", dont_inherit=True), namespace)  # noqa: S102 - the user's own cell, as a function
    function: Callable[..., Any] = namespace[module.function]
    return function
