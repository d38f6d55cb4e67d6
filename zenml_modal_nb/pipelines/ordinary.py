"""Steps of the user's own modules and scripts, run detached: the function and its inputs go, its results come back.

What packs a step is in `run`, above this room. ZenML loads the flavor alone, so the one look upwards is an import by
name, when the first such step is submitted.
"""

from __future__ import annotations

import importlib
import queue
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import FunctionType
from typing import TYPE_CHECKING, Any

from zenml.client import Client
from zenml.exceptions import StackComponentInterfaceError
from zenml.steps import BaseStep
from zenml.utils import env_utils

from zenml_modal_nb.errors import InvalidRequestError
from zenml_modal_nb.pipelines.arguments import arguments_of
from zenml_modal_nb.pipelines.docker import Recipe, recipe_of
from zenml_modal_nb.pipelines.record import memory_mib
from zenml_modal_nb.pricing import gpus, regions

if TYPE_CHECKING:
    from zenml.config import ResourceSettings
    from zenml.config.step_run_info import StepRunInfo

    from zenml_modal_nb.events import Event
    from zenml_modal_nb.pipelines.defined_step import DefinedRun
    from zenml_modal_nb.pipelines.flavor import ModalNotebookSettings
    from zenml_modal_nb.pipelines.operators import Operator

_PACKER = "zenml_modal_nb.run.ordinary"
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class StepCall:
    """One call of a step's function, with all that its settings say; made here, packed by `run.ordinary`."""

    name: str
    pipeline: str
    function: FunctionType
    inputs: Mapping[str, object] = field(repr=False)
    outputs: tuple[str, ...]  # their names in ZenML, in the order in which they are returned
    gpu: str | None
    gpu_count: int
    cpu: float | None
    memory_mib: int | None
    settings: ModalNotebookSettings
    operator: Operator
    recipe: Recipe
    environment: Mapping[str, str] = field(repr=False)
    secrets: Mapping[str, str] = field(repr=False)


Pack = Callable[[StepCall, "queue.SimpleQueue[Event | None]"], "DefinedRun"]


def begin(info: StepRunInfo, settings: ModalNotebookSettings, operator: Operator) -> DefinedRun:
    """Make a run of a step that a pipeline has come to, with the inputs it has there.

    Raises:
        StackComponentInterfaceError: its settings contradict each other, or it is no function.
        StepInterfaceError: its arguments are not what its annotations say.
        ModalStepError: its code needs ZenML where it runs, or cannot travel.
    """
    step = BaseStep.load_from_source(info.spec.source)
    function = step.entrypoint
    if not isinstance(function, FunctionType):
        raise StackComponentInterfaceError(
            f"The step '{step.name}' is no function, so it cannot be sent to a sandbox by itself. Run it connected: "
            "settings={'step_operator': {'execution': 'connected'}}, on a stack with a remote server and store."
        )
    gpu, count = gpu_of(settings, info)
    stack = Client().active_stack
    resources = info.config.resource_settings
    call = StepCall(
        name=info.pipeline_step_name,
        pipeline=info.pipeline.name,
        function=function,
        inputs=arguments_of(info, function),
        outputs=tuple(info.config.outputs),
        gpu=gpu,
        gpu_count=count,
        cpu=resources.cpu_count,
        memory_mib=memory_mib(resources),
        settings=settings,
        operator=operator,
        recipe=recipe_of(info.config.docker_settings, detached=True),
        environment=_texts(env_utils.get_runtime_environment(config=info.config, stack=stack)),
        secrets=_texts(env_utils.get_runtime_secret_environment(config=info.config, stack=stack)),
    )
    pack: Pack = importlib.import_module(_PACKER).pack
    return pack(call, queue.SimpleQueue())


def gpu_of(settings: ModalNotebookSettings, info: StepRunInfo) -> tuple[str | None, int]:
    """Return type and count, of which Modal makes one word; a count of 0 is none, with ZenML's own warning.

    Raises:
        StackComponentInterfaceError: as `refuse_unknown`.
    """
    from zenml.integrations.modal import sandbox_utils

    refuse_unknown(info.pipeline_step_name, settings, info.config.resource_settings)
    wanted = sandbox_utils.get_gpu_values(settings, info.config.resource_settings)
    if wanted is None:
        return None, 1
    kind, _, number = wanted.partition(":")
    return gpus.check(kind), int(number or 1)


def refuse_unknown(step: str, settings: ModalNotebookSettings, resources: ResourceSettings) -> None:
    """Refuse a machine or a place that Modal does not have, as a magic's line does, before anything is created.

    Raises:
        StackComponentInterfaceError: an unknown GPU, region or cloud, two counts, or one that is not possible.
    """
    try:
        if settings.region:
            regions.region(settings.region)
        if settings.cloud:
            regions.cloud(settings.cloud)
        asked = (settings.gpu or "").strip()
        kind, colon, number = asked.partition(":")
        if not kind or (resources.gpu_count == 0 and not colon):  # of a count without a type ZenML tells
            return
        gpu = gpus.find(kind)
    except InvalidRequestError as error:
        raise StackComponentInterfaceError(f"The step '{step}': {error} Nothing was created.") from None
    if colon and resources.gpu_count is not None:
        raise StackComponentInterfaceError(
            f"The step '{step}' has gpu='{asked}' and gpu_count={resources.gpu_count}: both give a count. Write "
            f"gpu='{kind}' and keep the count."
        )
    if colon and not (number.isdecimal() and int(number)):
        raise StackComponentInterfaceError(
            f"The step '{step}' has gpu='{asked}', and '{number}' is no number of GPUs. Write, for example, "
            f"gpu='{kind}:2'."
        )
    count = int(number) if colon else resources.gpu_count or 1
    if count > gpu.max_count:
        raise StackComponentInterfaceError(
            f"The step '{step}' asks for {count} GPUs of type {gpu.name}, and one Modal sandbox has {gpu.max_count} of "
            "them at most. Ask for fewer. Nothing was created."
        )


def name_at_modal(pipeline: str) -> str:
    """Return a pipeline's name as an app's may hold it, e.g. "train-my-model" for "train my model"."""
    return _NOT_IN_A_NAME.sub("-", pipeline).strip("-.")[:40] or "pipeline"


def _texts(variables: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in variables.items()}


def is_of_zenml(found: object) -> bool:
    """Tell whether an object is ZenML's own; not of another step, which is called as the function that it is."""
    home = getattr(found, "__module__", None) or getattr(found, "__name__", "")
    return isinstance(home, str) and home.partition(".")[0] == "zenml" and not isinstance(found, BaseStep)
