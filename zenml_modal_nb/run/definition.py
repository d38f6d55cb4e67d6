"""`--define`: a cell as a ZenML step for the user's own pipelines, packaged as a cell is.

Its parameters are the names that the cell reads. What else it needs is as it was at its definition: code and values of
other cells, local modules, files, image. A pipeline's run of it goes the way of a cell, from `prepare` on.
"""

from __future__ import annotations

import importlib
import queue
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from zenml_modal_nb.errors import InvalidRequestError
from zenml_modal_nb.events import Event, Queued
from zenml_modal_nb.packaging.payload import unpack_error
from zenml_modal_nb.packaging.returned import restore
from zenml_modal_nb.pipelines.execution import CellJob, Execution, Values
from zenml_modal_nb.rendering.ansi import uncoloured
from zenml_modal_nb.rendering.plain import PlainRenderer
from zenml_modal_nb.rendering.publisher import TextPublisher
from zenml_modal_nb.run.cache_key import definition_digest
from zenml_modal_nb.run.preparation import Cell, Prepared, prepare
from zenml_modal_nb.runner import pickling
from zenml_modal_nb.runner.pickling import PAYLOAD

if TYPE_CHECKING:
    from zenml_modal_nb.pipelines.defined_step import DefinedRun, DefinedStep
    from zenml_modal_nb.request import StepRequest
    from zenml_modal_nb.run.failure import Tracebacks


def define(
    request: StepRequest, cell: Cell, namespace: dict[str, Any], tracebacks: Tracebacks
) -> DefinedStep:
    """Package a cell and bind it, under the name it was given, as a step; nothing runs.

    Raises:
        ModalStepError: the request, the cell or a value that its code needs makes the step impossible.
    """
    if request.name is None:
        raise InvalidRequestError(
            "--define needs the step's name. Write, for example, --define --name train."
        )
    if request.dry_run:
        raise InvalidRequestError(
            "--define runs nothing, so there is nothing to show. Leave out --dry-run; --no-dry-run drops a default."
        )
    prepared = prepare(request, cell, namespace)

    from zenml_modal_nb.pipelines import warmup

    warmup.wait()
    from zenml_modal_nb.pipelines.defined_step import define_step

    definition = _Definition.of(request, prepared, namespace, tracebacks)
    step = define_step(definition.job, definition.begin, cache=request.cache)
    namespace[request.name] = step
    return step


@dataclass(frozen=True, slots=True)
class _Definition:
    """What a run of the step needs besides its inputs; made at the definition, read by each run."""

    request: StepRequest
    cell: Cell
    namespace: dict[str, Any] = field(repr=False)
    tracebacks: Tracebacks
    job: CellJob
    code: Mapping[
        str, object
    ]  # functions, classes and modules: they do not change, the notebook gets new ones
    values: bytes  # of variables that other cells' code reads; a copy for each run, since it may change them

    @classmethod
    def of(
        cls, request: StepRequest, prepared: Prepared, namespace: dict[str, Any], tracebacks: Tracebacks
    ) -> _Definition:
        captured, job = prepared.analyzed.captured, prepared.job
        modules = {alias: importlib.import_module(name) for alias, name in captured.modules.items()}
        code = {**captured.definitions, **captured.references, **modules}
        values = {n: value for n, value in captured.values.items() if n not in job.module.inputs}
        digest = definition_digest(
            request,
            prepared.analyzed,
            job.run["source"],
            dict(sorted({**code, **values}.items())),
            namespace,
            job.image,
            job.parts,
            job.module.digest,
        )
        # ZenML takes a step's module for its code: two definitions of one text and different values are two.
        module = replace(job.module, text=f"{job.module.text}\n\n# definitions, values and image: {digest}\n")
        return cls(
            request,
            prepared.cell,
            namespace,
            tracebacks,
            replace(
                job,
                module=module,
                parts=tuple(part for part in job.parts if part.name != PAYLOAD),
                inputs={},
                known=[],
                ephemeral={},
                # The inputs are not known yet, from which it follows; see `pipelines.launching._launch`.
                target=job.target if request.memory_mib else replace(job.target, memory_mib=None),
            ),
            code,
            bytes(pickling.dump(values, namespace)),
        )

    def begin(
        self,
        inputs: Mapping[str, object],
        events: queue.SimpleQueue[Event | None],
        cpu: float | None,
        memory_mib: int | None,
    ) -> DefinedRun:
        """Package a run: code, image and files of the definition, values of now, priced with the machine it gets."""
        from zenml_modal_nb.pipelines.defined_step import DefinedRun

        values: dict[str, object] = pickling.load(self.values, self.namespace)
        seen = {"__name__": self.namespace.get("__name__"), **self.code, **values, **inputs}
        # Not its files: those of the definition are sent, and may be gone from here.
        request = replace(self.request, files=(), cpu=cpu, memory_mib=memory_mib)
        prepared = prepare(request, self.cell, self.namespace, seen)
        (payload,) = (part for part in prepared.job.parts if part.name == PAYLOAD)
        job = replace(
            prepared.job,
            module=self.job.module,
            image=self.job.image,
            parts=(payload, *self.job.parts),
            sent=self.job.sent,
            inputs=dict(inputs),
            digests={},
        )

        def read(data: bytes | memoryview) -> Values:
            found = restore(data, self.namespace, job.known)
            changed = {name: inputs[name] for name in found.changed if name in inputs}
            job.known.clear()
            return Values(
                found.named, found.last, changed, found.deleted, found.lost, found.stale, found.moved
            )

        execution = Execution(
            job, events.put, read, lambda data: unpack_error(data, self.namespace), prepared.meter
        )
        events.put(Queued(job.target))
        renderer = PlainRenderer(TextPublisher(sys.stdout, sys.stderr))
        return DefinedRun(execution, renderer, self._traceback, events)

    def _traceback(self, error: BaseException, fields: Mapping[str, Any]) -> str:
        dressed = self.tracebacks.of_cell(error, fields)
        lines: list[str] = dressed._render_traceback_()  # type: ignore[attr-defined]  # it has just got it
        return "".join(f"{uncoloured(line)}\n" for line in lines)
