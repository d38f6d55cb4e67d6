"""Steps of dynamic pipelines, which ZenML submits and then only asks about: here they are waited for, and stopped.

ZenML's runner takes an interrupt for a failure, waits for what it has submitted and never ends it. `watch` puts our
stop before that, hears SIGTERM while such a pipeline runs, and the interpreter's exit.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import copy_context
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from zenml.enums import ExecutionStatus
from zenml.exceptions import RunStoppedException

from zenml_modal_nb.errors import SandboxError
from zenml_modal_nb.events import Reason
from zenml_modal_nb.pipelines import facts, handover, stops
from zenml_modal_nb.sandboxes.life import SETTLE
from zenml_modal_nb.sandboxes.termination import advice
from zenml_modal_nb.sandboxes.watch import Watcher

if TYPE_CHECKING:
    from zenml.config.step_run_info import StepRunInfo
    from zenml.models import StepRunResponse

logger = logging.getLogger(__name__)

_RECORDING = 10.0  # seconds that what has been stopped may take to be recorded


class Ends(Protocol):
    """What can be stopped: the life of a sandbox, or the run that has one."""

    @property
    def sandbox_id(self) -> str | None:
        """Modal's name of the sandbox, None where none is known."""

    def stop(self, reason: Reason) -> None:
        """End it, also before it has begun."""

    def closed(self, timeout: float | None) -> bool:
        """Wait for the sandbox's end; says whether it is confirmed to be gone."""


class Submission:
    """One step of a dynamic pipeline, from its submission to its end; the step operator makes and asks it."""

    def __init__(self, step_run: StepRunResponse, tree: str, wake: Callable[[], None]) -> None:
        self.step_run = step_run
        self.tree = tree  # the pipeline's run and those of its child pipelines have it in common
        self.ended: Future[ExecutionStatus] = Future()
        self._wake = wake
        self._life: Ends | None = None
        self._stopped = False
        self._lock = threading.Lock()

    def bind(self, life: Ends) -> None:
        """Let a stop end a life that is about to begin, also a stop that came before."""
        with self._lock:
            self._life = life
            stopped = self._stopped
        if stopped:
            life.stop(Reason.STOPPED)

    def stop(self) -> None:
        """End the sandbox, or let none begin; the step is recorded as stopped, its run is not."""
        stops.cancel(self.step_run)
        with self._lock:
            self._stopped = True
            life = self._life
        if life is not None:
            life.stop(Reason.STOPPED)

    def attend(self, wait: Callable[[StepRunResponse], ExecutionStatus]) -> None:
        """Wait for the end in the background and record it when it comes, not when ZenML asks."""
        work = partial(copy_context().run, self._attend, wait)
        threading.Thread(target=work, name="zenml-modal-nb-submitted", daemon=True).start()

    def _attend(self, wait: Callable[[StepRunResponse], ExecutionStatus]) -> None:
        status = ExecutionStatus.FAILED
        try:
            status = wait(self.step_run)
        except RunStoppedException:
            status = ExecutionStatus.STOPPED
        except Exception as error:  # noqa: BLE001 - it is recorded as the step's, and ZenML raises it from there
            # Of a connected step's reason ZenML itself tells nothing; a detached one's footer has it.
            level = logging.ERROR if self._is_silent(error) else logging.DEBUG
            logger.log(level, "The step `%s` has failed: %s", self.step_run.name, error)
        finally:
            self.ended.set_result(status)
            self._wake()

    def _is_silent(self, error: Exception) -> bool:
        return isinstance(error, SandboxError) and isinstance(self._life, Watcher)

    @property
    def sandbox_id(self) -> str | None:
        """Modal's name of the step's sandbox, None where none is known."""
        return None if self._life is None else self._life.sandbox_id

    def settled(self, until: float) -> bool:
        """Wait, until a moment at most, for record and sandbox to have ended; says whether they have."""
        recorded = futures.wait([self.ended], max(0.0, until - time.monotonic())).done
        life = self._life
        return bool(recorded) and (life is None or life.closed(max(0.0, until - time.monotonic())))


_open: dict[UUID, Submission] = {}  # by step run
_pipelines: list[tuple[str, threading.Thread]] = []  # trees and the threads that run them, roots first
_stopped: set[str] = set()  # trees of which nothing is to be started any more


def open_for(info: StepRunInfo) -> Submission:
    """Make the submission of a step that is about to be started.

    Raises:
        RunStoppedException: the pipeline has been stopped.
    """
    from zenml.execution.pipeline.dynamic.run_context import DynamicPipelineRunContext

    context = DynamicPipelineRunContext.get()
    assert context is not None  # who else would submit a step of a dynamic pipeline
    runner = context.runner
    _hear_the_exit()
    submission = Submission(info.step_run, runner.orchestrator_run_id, runner._monitoring_event.set)
    _open[info.step_run_id] = submission
    if submission.tree in _stopped:
        close(info.step_run_id, ExecutionStatus.STOPPED)
        facts.publish_stopped_step(info.step_run)
        raise RunStoppedException("The pipeline was stopped before the step was started.")
    return submission


def of(step_run_id: UUID) -> Submission | None:
    """Return the submission of a step whose end ZenML has not been told."""
    return _open.get(step_run_id)


def bind(step_run_id: UUID, life: Ends) -> None:
    """Let a stop of a step, if a dynamic pipeline has submitted it, end a life that is about to begin."""
    submission = _open.get(step_run_id)
    if submission is not None:
        submission.bind(life)


def close(step_run_id: UUID, status: ExecutionStatus) -> None:
    """Let go of a step that has ended."""
    submission = _open.pop(step_run_id, None)
    if submission is not None and not submission.ended.done():
        submission.ended.set_result(status)
    stops.forget(step_run_id)
    handover.forget(step_run_id)


def is_waited_for() -> bool:
    """Tell whether ZenML waits for a step that this thread submits: as it does on the thread of a pipeline."""
    here = threading.current_thread()
    return any(thread is here for _, thread in _pipelines)


def _running(tree: str | None = None) -> list[Submission]:
    return [each for each in list(_open.values()) if tree in (None, each.tree) and not each.ended.done()]


@cache
def watch() -> None:
    """Let interrupts of dynamic pipelines stop what they have submitted, once for all; called on the main thread."""
    from zenml.execution.pipeline.dynamic.runner import DynamicPipelineRunner as Runner

    run_pipeline, abort_and_drain = Runner.run_pipeline, Runner._abort_and_drain

    def run_heard(self: Any) -> None:
        place = (self.orchestrator_run_id, threading.current_thread())
        _pipelines.append(place)
        try:
            with _termination_heard():
                run_pipeline(self)
        finally:
            _pipelines.remove(place)

    def stop_and_drain(self: Any, exception: BaseException) -> None:
        if not _is_interrupt(exception):
            abort_and_drain(self, exception)
            return
        _stopped.add(self.orchestrator_run_id)  # also for what is about to be submitted
        stopped = _running(self.orchestrator_run_id)
        with _stopped_runs(stopped, {self.run.id} if stopped else set()):
            abort_and_drain(self, exception)

    Runner.run_pipeline = run_heard  # type: ignore[method-assign]
    Runner._abort_and_drain = stop_and_drain  # type: ignore[method-assign]


def _is_interrupt(error: BaseException) -> bool:
    """Tell an interrupt from a failure; while a pipeline waits for somebody's input ZenML makes another error of it."""
    return not isinstance(error, Exception) or isinstance(error.__cause__, KeyboardInterrupt)


@contextmanager
def _stopped_runs(submitted: Iterable[Submission], runs: set[UUID]) -> Iterator[None]:
    """Stop steps and let no more of their pipelines begin; at the end of the context they and `runs` are recorded."""
    stopped = list(submitted)
    for each in stopped:
        _stopped.add(each.tree)
        each.stop()
    runs = runs | {each.step_run.pipeline_run_id for each in stopped}
    try:
        for run_id in runs:
            facts.publish_status_of_run(run_id, ExecutionStatus.STOPPING)
        yield
    finally:
        until = time.monotonic() + SETTLE + _RECORDING
        for each in stopped:
            if not each.settled(until):
                logger.warning(
                    "It is not confirmed that the sandbox of the step `%s` has ended; %s",
                    each.step_run.name,
                    advice(each.sandbox_id),
                )
        for run_id in runs:
            facts.publish_status_of_run(run_id, ExecutionStatus.STOPPED)


@contextmanager
def _termination_heard() -> Iterator[None]:
    """Let SIGTERM, which ends Python on the spot, stop what has been submitted first; another's handler stays."""
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    heard: list[int] = []

    def hear(number: int, frame: object) -> None:
        heard.append(number)
        if not _running():
            _end_by(number)
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, hear)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if heard:
            _end_by(signal.SIGTERM)


def _end_by(number: int) -> None:
    """End as the signal would have ended this process, which whoever has sent it may look for."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)


@cache
def _hear_the_exit() -> None:
    """Stop at the interpreter's exit what nobody will wait for then."""
    # Not by `atexit`: then no thread pool takes work any more, and the SDK needs one for a new connection.
    threading._register_atexit(_stop_what_is_left)  # type: ignore[attr-defined]


def _stop_what_is_left() -> None:
    # The exit waits for threads that are no daemons, and with them for their pipelines.
    goes_on = {
        tree
        for tree, thread in _pipelines
        if thread.is_alive() and not (thread.daemon or thread is threading.main_thread())
    }
    left = [each for each in _running() if each.tree not in goes_on]
    if left:
        with _stopped_runs(left, set()):
            pass
