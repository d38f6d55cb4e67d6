"""A cell as a step of the user's own pipelines: `--define` makes it, ZenML calls it, our step operator runs it.

Nothing here knows the cell's text or values: what a run of it needs comes from `begin`, which `run.definition` gives.
"""

from __future__ import annotations

import inspect
import queue
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from zenml.client import Client
from zenml.enums import StackComponentType
from zenml.exceptions import StackComponentInterfaceError
from zenml.steps import BaseStep
from zenml.utils import source_utils
from zenml.utils.logging_utils import LoggingContext

from zenml_modal_nb.errors import ModalStepError
from zenml_modal_nb.events import (
    Cleared,
    Display,
    Event,
    Failed,
    Finished,
    Log,
    Progress,
    Queued,
    Reason,
    Stopped,
    Stream,
)
from zenml_modal_nb.pipelines import stack, stops
from zenml_modal_nb.pipelines.arguments import arguments_of
from zenml_modal_nb.pipelines.conclusion import conclude
from zenml_modal_nb.pipelines.record import load_function, memory_mib, module_name, settings_of
from zenml_modal_nb.pipelines.whole_lines import WholeLines

if TYPE_CHECKING:
    from zenml.config.source import Source
    from zenml.config.step_run_info import StepRunInfo

    from zenml_modal_nb.pipelines.execution import CellJob, Execution


class Shows(Protocol):
    """Whoever tells a run in words; made anew for each run."""

    def show(self, event: Event) -> None:
        """Tell one event."""


class _Labelled:
    """Puts the step's name before each line of a log that is told beside others, as other lines of a run have it."""

    def __init__(self, to: Shows, name: str) -> None:
        self._to = to
        self._name = name
        self._open: dict[Stream, WholeLines] = {"stdout": WholeLines(), "stderr": WholeLines()}

    def show(self, event: Event) -> None:
        """Tell one event, of a log whole lines only."""
        match event:
            case Log(text=text, stream=stream):
                self._write(self._open[stream].take(text), stream)
                return
            case Queued(target=target):
                event = replace(event, target=replace(target, step_name=self._name))
            case Finished() | Failed() | Stopped():
                for stream, lines in self._open.items():
                    self._write([rest] if (rest := lines.rest()) else [], stream)
        self._to.show(event)

    def _write(self, lines: list[str], stream: Stream) -> None:
        if lines:
            self._to.show(Log("".join(f"[{self._name}] {line}\n" for line in lines), stream))


@dataclass(frozen=True, slots=True)
class DefinedRun:
    """One run of a defined step; `events` come from its sandbox, and end with None."""

    execution: Execution
    renderer: Shows
    traceback: Callable[[BaseException, Mapping[str, Any]], str]  # the cell's own; the error gets it too
    events: queue.SimpleQueue[Event | None]

    def show_until_ended(self) -> None:
        """Tell what happens until there is a result, or none; on the thread that runs the pipeline."""
        threading.Thread(target=self._wait, name="zenml-modal-nb-defined", daemon=True).start()
        while (event := self.events.get()) is not None:
            self._show(event)

    def labelled(self, name: str) -> DefinedRun:
        """Return this run for telling it beside others, e.g. by the name "train_2"."""
        return replace(self, renderer=_Labelled(self.renderer, name))

    def conclude(self, raised: BaseException | None) -> None:
        """Tell how the run has ended."""
        error, fields = self.execution.raised, self.execution.cell_error
        if error is not None and fields is not None:
            self._show(Log(self.traceback(error, fields), "stderr"))
        self._show(conclude(self.execution, raised))

    def _show(self, event: Event) -> None:
        context = LoggingContext.get()
        if context is None or not isinstance(event, Log | Display | Cleared | Progress):
            self.renderer.show(event)
            return
        with context.disabled():  # the step's own log has these lines already
            self.renderer.show(event)

    def _wait(self) -> None:
        try:
            stops.heed_until_ended(self.execution)
        finally:
            self.events.put(None)

    def abandon(self) -> None:
        """End the sandbox, whatever happened here."""
        self.execution.stop(Reason.STOPPED)
        self.execution.settle()
        if self.execution.log is not None:
            self.execution.log.close()


# The values of the step's parameters, cores and MiB → a run that is not started; the queue gets its events.
Begin = Callable[
    [Mapping[str, object], "queue.SimpleQueue[Event | None]", float | None, int | None], DefinedRun
]

_running: dict[UUID, DefinedRun] = {}  # by step run, from submission to end


class DefinedStep(BaseStep):
    """A step whose body runs in a sandbox; made by `define_step`, one subclass for each definition."""

    begin: Begin  # not in the instance: a copy of the step runs the same
    outputs: tuple[str, ...]

    def __repr__(self) -> str:
        parameters = ", ".join(inspect.signature(self.entrypoint).parameters)
        results = f" -> {', '.join(self.outputs)}" if self.outputs else ""
        return f"<ZenML step {self.name}({parameters}){results}; runs in a sandbox, call it in a @pipeline>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Add the step to a pipeline, or run it alone, as every ZenML step; the active stack must be able to run it."""
        self._check_stack()
        return super().__call__(*args, **kwargs)

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        """Start the step in a dynamic pipeline, which goes on meanwhile."""
        self._check_stack()
        return super().submit(*args, **kwargs)

    def _check_stack(self) -> None:
        wanted = self.configuration.step_operator
        active = Client().active_stack_model
        operators = active.components.get(StackComponentType.STEP_OPERATOR, [])
        there = [each.name for each in operators]
        if isinstance(wanted, str) and wanted not in there:
            from zenml_modal_nb.pipelines import registration

            commands = "`, then `".join(registration.adding(active.name, there, wanted))
            raise ModalStepError(
                f"The active ZenML stack '{active.name}' has no step operator '{wanted}', which the step '{self.name}' "
                f"runs on. Activate a stack that has it: run `zenml stack set {stack.NAME}` in a terminal, or "
                f'`Client().activate_stack("{stack.NAME}")` in a cell; or add it to yours: `{commands}`.'
            )

    def call_entrypoint(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse to run here: the cell's text runs in a sandbox only, and its results come from the step operator."""
        raise ModalStepError(
            f"The step '{self.name}' runs in a sandbox, as a step of a @pipeline. It cannot be called inside another "
            "step or without a stack."
        )

    @property
    def source_object(self) -> Any:
        """The function that the step's source shows."""
        return self.entrypoint

    def resolve(self) -> Source:
        """Return where ZenML finds the step: in its own module."""
        return source_utils.resolve(self.entrypoint, skip_validation=True)


def define_step(job: CellJob, begin: Begin, *, cache: bool = False) -> DefinedStep:
    """Make a step of a packaged cell; ZenML's cache, which it asks for, knows the definition by the module's text."""
    function = load_function(job.module)
    body = {
        "entrypoint": staticmethod(function),
        "begin": staticmethod(begin),
        "outputs": job.module.outputs,
        "__module__": function.__module__,
        "__doc__": function.__doc__,
    }
    defined: type[DefinedStep] = type(job.module.function, (DefinedStep,), body)
    step = defined(
        name=job.module.function,
        step_operator=job.operator.name,
        enable_artifact_visualization=False,  # as for cells
        # None: the pipeline's own setting. ZenML keeps outputs alone, no files that come back and no volumes.
        enable_cache=False if job.fetch or job.volumes else cache or None,
        settings=settings_of(job),
    )
    setattr(sys.modules[module_name(job.module)], job.module.function, step)
    return step


def find(source: Source) -> DefinedStep | None:
    """Return the defined step of that source, None for a step that is none.

    Raises:
        StackComponentInterfaceError: it was defined in a kernel that has ended.
    """
    try:
        step = BaseStep.load_from_source(source)
    except ImportError as error:
        raise StackComponentInterfaceError(
            f"The step {source.import_path} cannot be loaded: {error}. If a cell has defined it, with `%%modal_step "
            "--define`, run that cell in this kernel."
        ) from error
    return step if isinstance(step, DefinedStep) else None


def begin(info: StepRunInfo, step: DefinedStep) -> DefinedRun:
    """Make a run of the step that a pipeline has come to, with the inputs it has there."""
    inputs = arguments_of(info, step.entrypoint)
    events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
    resources = info.config.resource_settings  # those of `with_options`, where the user has said more
    return step.begin(inputs, events, resources.cpu_count, memory_mib(resources))


def enlist(step_run_id: UUID, run: DefinedRun) -> None:
    """Keep a run that is about to be submitted, for whoever waits for its step."""
    _running[step_run_id] = run


def running(step_run_id: UUID) -> DefinedRun | None:
    """Return the run of a step that has been submitted and has not ended."""
    return _running.get(step_run_id)


def forget(step_run_id: UUID) -> None:
    """Let go of a run that has ended, and of its values."""
    _running.pop(step_run_id, None)
