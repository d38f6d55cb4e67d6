"""A step's function of the user's own module, packed as a cell that calls it; `pipelines.ordinary` names this."""

from __future__ import annotations

import queue
import sys
from collections.abc import Mapping
from dataclasses import replace
from keyword import iskeyword
from types import FunctionType
from typing import Any

from zenml_modal_nb.events import Event, Queued
from zenml_modal_nb.packaging.payload import unpack_error
from zenml_modal_nb.packaging.returned import restore
from zenml_modal_nb.pipelines.defined_step import DefinedRun
from zenml_modal_nb.pipelines.execution import Execution, Values
from zenml_modal_nb.pipelines.ordinary import StepCall, name_at_modal
from zenml_modal_nb.rendering.ansi import clean
from zenml_modal_nb.rendering.plain import PlainRenderer
from zenml_modal_nb.rendering.publisher import TextPublisher
from zenml_modal_nb.request import StepRequest
from zenml_modal_nb.run.ordinary_uses import refuse_zenml
from zenml_modal_nb.run.preparation import Cell, prepare

_FUNCTION, _INPUT, _OUTPUT = "zenml_step", "zenml_input_", "zenml_output_"


def pack(call: StepCall, events: queue.SimpleQueue[Event | None]) -> DefinedRun:
    """Return a run of the call that is not started.

    Raises:
        ModalStepError: the code needs ZenML, it or a value cannot travel, or Modal is not to be reached.
    """
    refuse_zenml(call.name, call.function)
    home = sys.modules[call.function.__module__]
    # Without annotations, which may name ZenML's own classes: the sandbox then needs no ZenML.
    function = FunctionType(
        call.function.__code__,
        call.function.__globals__,
        call.function.__name__,
        call.function.__defaults__,
        call.function.__closure__,
    )
    function.__kwdefaults__ = call.function.__kwdefaults__
    function.__module__ = home.__name__
    inputs = {f"{_INPUT}{name}": value for name, value in call.inputs.items()}
    seen = {**vars(home), **inputs, _FUNCTION: function}
    outputs = tuple(
        name if name.isidentifier() and not iskeyword(name) else f"{_OUTPUT}{number}"
        for number, name in enumerate(call.outputs)
    )
    given = ", ".join(f"{name}={_INPUT}{name}" for name in call.inputs)
    target = f"{', '.join(outputs)} = " if outputs else ""
    label = f"step {call.name}"
    cell = Cell(f"{target}{_FUNCTION}({given})", label, f"<{label}>", name_at_modal(call.pipeline))
    prepared = prepare(_request(call, outputs), cell, vars(home), seen, call.operator)
    job = replace(
        prepared.job, ephemeral=dict(call.secrets), inputs=dict(call.inputs), digests={}, ordinary=True
    )

    def read(data: bytes | memoryview) -> Values:
        found = restore(data, vars(home), job.known)
        job.known.clear()
        return Values(found.named, None, lost=found.lost, stale=found.stale, moved=found.moved)

    execution = Execution(job, events.put, read, lambda data: unpack_error(data, vars(home)), prepared.meter)
    events.put(Queued(job.target))
    return DefinedRun(execution, PlainRenderer(TextPublisher(sys.stdout, sys.stderr)), _drawn, events)


def _request(call: StepCall, outputs: tuple[str, ...]) -> StepRequest:
    settings = call.settings
    return StepRequest(
        gpu=call.gpu,
        gpu_count=call.gpu_count,
        cpu=call.cpu,
        memory_mib=call.memory_mib,
        region=settings.region,
        cloud=settings.cloud,
        timeout=settings.timeout,
        modal_environment=settings.modal_environment,
        workspace=settings.workspace,
        name=call.name,
        outputs=outputs,
        pip=call.recipe.pip,
        apt=call.recipe.apt,
        image=call.recipe.base,
        env=tuple({**call.recipe.environment, **call.environment}.items()),
    )


def _drawn(error: BaseException, fields: Mapping[str, Any]) -> str:
    lines = [
        f'  File "{each["file"]}", line {each["line"]}, in {each["name"]}\n    {each["text"]}'
        for each in fields["frames"]
        if not str(each["file"]).startswith("<step ")  # our own call of the function
    ]
    said = f"{fields['ename']}: {fields['evalue']}" if fields["evalue"] else str(fields["ename"])
    return clean("\n".join(["Traceback (most recent call last, in the sandbox):", *lines, said])) + "\n"
