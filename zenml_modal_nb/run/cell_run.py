"""One run of a cell in the foreground: a worker thread records it, the calling thread shows it.

ZenML must not run on the main thread, where it would replace the kernel's signal handlers; an interrupt reaches the
main thread, which only waits for events, at any moment.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import FunctionType
from typing import Any, Protocol

from zenml_modal_nb.cells.imports import Import
from zenml_modal_nb.errors import ModalStepError
from zenml_modal_nb.events import Cost, Event, Finished, Log, Queued, Reason, Stopped
from zenml_modal_nb.packaging.payload import unpack_error
from zenml_modal_nb.packaging.returned import restore
from zenml_modal_nb.pipelines.conclusion import conclude
from zenml_modal_nb.pipelines.execution import Execution, Values
from zenml_modal_nb.pipelines.inputs import remember
from zenml_modal_nb.pipelines.record import record
from zenml_modal_nb.run.advice import advice as advice_on
from zenml_modal_nb.run.failure import Tracebacks
from zenml_modal_nb.run.gpu_advice import with_gpu_advice
from zenml_modal_nb.run.interrupts import interrupts_to
from zenml_modal_nb.run.log_file import KEPT, LogFile
from zenml_modal_nb.run.preparation import Prepared
from zenml_modal_nb.run.values import digest_of
from zenml_modal_nb.runner import session
from zenml_modal_nb.sandboxes.ending import RunEndedError
from zenml_modal_nb.sandboxes.termination import advice

_TICK = 1.0  # seconds between two updates of the running cost


class Renderer(Protocol):
    """Whoever shows the run; see `rendering.renderer`."""

    def show(self, event: Event) -> None:
        """Show one event."""


class CellRun:
    """A run and its handle, `_modal_run` in the notebook; made by the cell magic."""

    def __init__(
        self, prepared: Prepared, namespace: dict[str, Any], renderer: Renderer, tracebacks: Tracebacks
    ) -> None:
        self._prepared = prepared
        self._namespace = namespace
        self._renderer = renderer
        self._tracebacks = tracebacks
        # Its `put` may interrupt itself. None: the run has ended.
        self._events: queue.SimpleQueue[Event | KeyboardInterrupt | None] = queue.SimpleQueue()
        self._interrupts = 0  # counted, since a flood may stand before one in the queue
        self._log: list[str] = []  # what the file could not take
        self._log_file = LogFile(prepared.job.nonce)
        self._raised: BaseException | None = None  # what `record` raised
        self._advice: str | None = None  # on what a failing cell lacks
        self._status = "running"
        self._tick = time.monotonic() + _TICK  # when the running cost is shown again
        self._execution = Execution(
            prepared.job, self._emit, self._read, lambda data: unpack_error(data, namespace), prepared.meter
        )
        self._worker = threading.Thread(target=self._record, name="zenml-modal-nb-run", daemon=True)

    def __repr__(self) -> str:
        recorded = self._execution.recorded
        name = "" if recorded is None else f" {recorded.run_name}"
        return f"<CellRun{name}: {self._status}>"

    @property
    def id(self) -> str | None:
        """ID of the run in ZenML, None until it is recorded."""
        recorded = self._execution.recorded
        return None if recorded is None else recorded.run_id

    @property
    def url(self) -> str | None:
        """The run's page in ZenML's dashboard, None without a dashboard."""
        recorded = self._execution.recorded
        return None if recorded is None else recorded.url

    @property
    def status(self) -> str:
        """Either "running" or why the run ended, e.g. "finished"."""
        return self._status

    @property
    def cost(self) -> float | None:
        """Estimate in USD so far; None when the request has no known price."""
        return self._execution.cost()

    @property
    def outputs(self) -> Mapping[str, object]:
        """What the cell bound, by variable; empty until the run has ended."""
        values = self._execution.values
        return {} if values is None else dict(values.named)

    @property
    def log_file(self) -> Path | None:
        """The file with everything the cell's processes have written, None if it could not be made."""
        return self._log_file.path

    def logs(self) -> str:
        """Everything the cell's processes have written so far; raises ModalStepError when its file is gone."""
        try:
            return "".join([self._log_file.read(), *self._log])
        except OSError as error:
            raise ModalStepError(
                f"The log of this run is not on the disk any more ({error}): of the latest {KEPT} runs it is kept. "
                "ZenML has it, as the log of the step."
            ) from error

    def cancel(self) -> None:
        """Stop the run and terminate its sandbox."""
        self._execution.stop(Reason.STOPPED)

    def wait(self) -> None:
        """Return when the run has ended."""
        self._worker.join()

    def result(self) -> object:
        """Wait for the run and return the value of the cell's last expression; raises what the cell raised."""
        self.wait()
        return self._conclusion()

    def follow(self) -> object:
        """Run to the end, showing what happens, and return the value of the last expression.

        Raises what the cell raised, ModalStepError when it could not run, KeyboardInterrupt when it was stopped.
        """
        with interrupts_to(self._interrupted):
            self._renderer.show(Queued(self._prepared.job.target, str(self._log_file.path or "")))
            self._worker.start()
            if not self._drain():
                self._status = str(Reason.STOPPED)
                self._renderer.show(
                    Stopped(Reason.STOPPED, self._execution.elapsed(), self.cost, self._execution.recorded)
                )
                raise (
                    self._tracebacks.abandoned() if self._execution.begun else self._tracebacks.never_begun()
                )
            self._write_back()
            self._remember()
            self._restore_session()
            if self._execution.cell_error is not None:
                self._advice = advice_on(self._execution.cell_error, self._execution.job)
            if not self._execution.gone:
                sandbox_id = self._execution.sandbox_id
                told = f"It is not confirmed that sandbox {sandbox_id} has ended; {advice(sandbox_id)}\n"
                self._renderer.show(Log(told, "stderr"))
            event = conclude(self._execution, self._raised)
            self._status = str(Reason.FINISHED if isinstance(event, Finished) else event.reason)
            self._renderer.show(event)
            self._execution.release()
            self._prepared = self._prepared.spent(self._execution.job)
        return self._conclusion()

    def _emit(self, event: Event) -> None:
        if isinstance(event, Log) and not self._log_file.write(event.text):
            self._log.append(event.text)
        self._events.put(event)

    def _read(self, data: bytes | memoryview) -> Values:
        known = self._prepared.job.known
        found = restore(data, self._namespace, known)
        changed = {name: self._namespace[name] for name in found.changed if name in self._namespace}
        # The handle of a run outlives it, and must not keep the inputs alive.
        known.clear()
        return Values(
            found.named,
            found.last,
            changed,
            found.deleted,
            found.lost,
            found.stale,
            found.moved,
            found.imported,
            found.session,
        )

    def _record(self) -> None:
        try:
            record(self._execution)
        except BaseException as error:  # noqa: BLE001 - raised again on the thread that runs the cell
            self._raised = error
            self._execution.stop(Reason.NOT_RECORDED)  # whatever failed, no sandbox goes on
        finally:
            self._execution.settle()
            self._log_file.close()
            self._events.put(None)

    def _drain(self) -> bool:
        """Show what happens until the run has ended; False when the user interrupts a second time."""
        stopping = False
        while (event := self._next()) is not None:
            if self._interrupts and not stopping:
                stopping = True
                self._execution.stop(Reason.STOPPED)
            elif self._interrupts > 1:  # nor does the user want to wait for the confirmation
                return False
            if not isinstance(event, KeyboardInterrupt):
                self._renderer.show(event)
        return True

    def _interrupted(self) -> None:
        self._interrupts += 1
        self._events.put(KeyboardInterrupt())

    def _next(self) -> Event | KeyboardInterrupt | None:
        """Wait for what happens next; the cost ticks however much the cell prints."""
        left = self._tick - time.monotonic()
        try:
            if left > 0:
                return self._events.get(timeout=left)
        except queue.Empty:
            pass
        self._tick = time.monotonic() + _TICK
        return Cost(self.cost, self._execution.running())

    def _write_back(self) -> None:
        """The one place that binds and deletes the user's variables; what they hold has changed already."""
        values = self._execution.values
        if values is None:
            return
        self._namespace.update(values.named)
        # What the cell bound and could not bring back is no longer what its name meant here before.
        for name in (*values.deleted, *self._execution.left):
            self._namespace.pop(name, None)
        if self._prepared.job.run["narrowed"]:
            return
        for each in self._prepared.imported:
            if (each.name, each.module) in values.imported:  # a cell may end before it gets there
                self._import(each)
        if self._execution.cell_error is not None:
            return
        for name in self._prepared.deleted:
            if name not in values.named and name not in self._execution.lost:
                self._namespace.pop(name, None)

    def _remember(self) -> None:
        """Note which artifacts the cell's values are: in the next cell's hands they are not saved again."""
        for name, artifact in self._execution.saved.items():
            value = self._namespace.get(name)
            if name in self._namespace and not isinstance(value, FunctionType | type):  # these travel as code
                with suppress(Exception):  # the object's own code: then it is saved again
                    remember(name, digest_of(value, self._namespace), artifact)

    def _restore_session(self) -> None:
        """Take over random states and settings, after imports; some belong to the context of the cell that runs."""
        values = self._execution.values
        changes = {} if values is None else values.session
        session.put(changes, self._namespace, self._prepared.job.session)

    def _import(self, wanted: Import) -> None:
        """Bind what the cell imported, where it is installed here too."""
        try:
            exec(wanted.statement, self._namespace)  # noqa: S102 - an import statement that the user's cell holds
        except Exception as error:  # noqa: BLE001 - e.g. a CUDA library that fails where there is no GPU
            # A package of the image only: the name stays unbound, and using it says so.
            self._renderer.show(Log(f"{wanted.statement} does not work here: {error}\n", "stderr"))

    def _conclusion(self) -> object:
        execution = self._execution
        if isinstance(execution.ended, RunEndedError) and execution.ended.reason is Reason.STOPPED:
            if not execution.begun:
                raise self._tracebacks.never_begun()
            raise self._tracebacks.stopped(execution.gone, execution.sandbox_id)
        if execution.cell_error is not None and execution.raised is not None:
            fields = with_gpu_advice(execution.cell_error, self._prepared.job.target)
            raise self._tracebacks.of_cell(execution.raised, fields, self._advice)
        if self._raised is None:
            values = execution.values
            return None if values is None else values.last
        if isinstance(self._raised, ModalStepError):
            raise self._raised
        raise ModalStepError(
            f"The cell ran, but ZenML could not record it: {type(self._raised).__name__}: {self._raised}. "
            "What the cell bound is in your variables."
            if execution.values is not None
            else f"The run could not be started: {type(self._raised).__name__}: {self._raised}."
        ) from self._raised
