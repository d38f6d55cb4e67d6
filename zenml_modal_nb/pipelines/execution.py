"""One cell's run as `pipelines` sees it: what is to be done, and what came of it.

`run` makes the job, `record` carries it out in a worker thread, the step operator finds it there.
"""

from __future__ import annotations

import contextvars
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from zenml_modal_nb.errors import ResultError, SandboxError
from zenml_modal_nb.events import Event, File, Files, Log, Reason, Recorded, Target
from zenml_modal_nb.pipelines.caching import CacheKey, Kept, Said
from zenml_modal_nb.pipelines.operators import Operator
from zenml_modal_nb.pipelines.step_module import StepModule
from zenml_modal_nb.pricing.meter import Meter
from zenml_modal_nb.runner import devices
from zenml_modal_nb.runner.results import LAST
from zenml_modal_nb.sandboxes.connection import Connection
from zenml_modal_nb.sandboxes.conversation import Outcome
from zenml_modal_nb.sandboxes.ending import RunEndedError
from zenml_modal_nb.sandboxes.follow import Follower
from zenml_modal_nb.sandboxes.image import ImageSpec
from zenml_modal_nb.sandboxes.launch import Part
from zenml_modal_nb.sandboxes.life import SETTLE
from zenml_modal_nb.sandboxes.usage import Usage

if TYPE_CHECKING:
    from zenml.config.step_run_info import StepRunInfo
    from zenml.models import PipelineRunResponse, StepRunResponse

    from zenml_modal_nb.pipelines.cell_log import CellLog


@dataclass(frozen=True, slots=True)
class CellJob:
    """A packaged cell, ready to be recorded and run."""

    nonce: str
    target: Target
    connection: Connection
    image: ImageSpec
    module: StepModule
    inputs: Mapping[str, object]  # values that become input artifacts, by variable
    digests: Mapping[str, str]  # of their pickles
    parts: tuple[Part, ...]
    known: list[object]  # what the sandbox's result may refer to; emptied when it has been read
    session: Mapping[str, Any]  # random states and settings when the cell was packaged
    run: Mapping[str, Any]  # RUN of the channel's contract
    grace: float  # seconds
    environment: Mapping[str, str] = field(repr=False)  # plain variables of the sandbox
    ephemeral: Mapping[str, str] = field(repr=False)  # variables whose values are recorded nowhere
    secrets: tuple[str, ...]  # names of Modal secrets
    gpu_type: str | None
    gpu_count: int
    notebook: str  # names the ZenML pipeline and the Modal app
    directory: Path = field(default_factory=Path.cwd)  # the notebook's: what is fetched is put there
    sent: tuple[File, ...] = ()  # files, by their path in the sandbox
    fetch: tuple[str, ...] = ()  # patterns of files that are to come back
    volumes: tuple[tuple[str, str], ...] = ()  # names of Modal volumes and their mount paths
    cache: CacheKey | None = None  # None: neither looked up nor kept
    operator: Operator = field(default_factory=Operator)
    ordinary: bool = False  # a step of a module or a script: its results alone are recorded, as ZenML would


@dataclass(frozen=True, slots=True)
class Values:
    """What the cell has done to the notebook's variables, unpickled, and its last expression's value.

    `changed` are variables that it has not bound, whose objects have been changed in place; they hold what they
    shall by now. `lost` is what could not come back, with the reason; `stale` are those of it that hold what they
    held before the cell.
    """

    named: Mapping[str, object]
    last: object
    changed: Mapping[str, object] = field(default_factory=dict)
    deleted: tuple[str, ...] = ()
    lost: Mapping[str, str] = field(default_factory=dict)
    stale: frozenset[str] = frozenset()
    moved: Mapping[str, str] = field(
        default_factory=dict
    )  # variables and the device of theirs that is not here
    imported: frozenset[tuple[str, str]] = (
        frozenset()
    )  # names that import statements have bound, and the modules
    # What no variable holds, for `runner.session.put`.
    session: Mapping[str, bytes] = field(default_factory=dict)


class Execution:
    """The state of one run, shared by the worker thread that records it and the thread that may stop it."""

    def __init__(
        self,
        job: CellJob,
        emit: Callable[[Event], None],
        read: Callable[[bytes | memoryview], Values],
        read_error: Callable[[bytes], object],
        meter: Meter,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.job = job
        self.emit = emit
        self._read = read  # a verified values file → objects in the notebook's namespace
        self.read_error = read_error
        self.meter = meter
        self.info: StepRunInfo | None = None
        self.run: PipelineRunResponse | None = None  # ZenML's, as it was when the sandbox was asked for
        self.step_run: StepRunResponse | None = None  # as it was when the sandbox had been created
        self.log: CellLog | None = None
        self.values: Values | None = None
        self.lost: Mapping[str, str] = {}  # what has to come back and could not, with the reason
        # What the cell bound, nobody asked for and cannot come back, e.g. an open file.
        self.left: Mapping[str, str] = {}
        self.files = Files()  # what the cell wrote, and what came back of it
        self.seconds = 0.0  # of the cell's own code
        self.cell_error: Mapping[str, Any] | None = None  # fields of the runner's `error` frame
        self.raised: BaseException | None = None  # the cell's error, as it was restored
        self.ended: SandboxError | ResultError | None = None  # why there is no result
        self.recorded: Recorded | None = None
        self.saved: dict[str, UUID] = {}  # artifacts of what the cell has bound or changed, by variable
        self.sandbox_id: str | None = None
        self.said = Said()  # kept only for a cache
        self.delivered: bytes | memoryview = b""  # the values file, for a cache only
        self.cached: Kept | None = None  # the earlier run whose outcome this one has
        self.gone = True  # nothing of this run is left at Modal, as far as is confirmed
        self._clock = clock
        self._began = clock()
        self._follower: Follower | None = None
        self._begun = False  # of a follower that has been let go
        self._stop: Reason | None = None
        self.stopped: Future[None] = Future()  # done when the run is to end
        self._lock = threading.Lock()

    @property
    def follower(self) -> Follower:
        """The follower of the sandbox; there once `follow` has begun it."""
        assert self._follower is not None
        return self._follower

    @property
    def begun(self) -> bool:
        """Whether a sandbox has been asked for."""
        return self._begun or (self._follower is not None and self._follower.asked)

    def elapsed(self) -> float:
        """Seconds since the cell started."""
        return self._clock() - self._began

    def cost(self) -> float | None:
        """Estimate in USD up to now; None when the request has no known price."""
        usd = self.meter.usd()
        return None if usd is None else float(usd)

    def observe(self, event: Event) -> None:
        """Take an event from the follower: the log goes to ZenML too."""
        if isinstance(event, Log) and self.log is not None:
            self.log.write(event)
        if self.job.cache is not None:
            self.said.add(event)
        self.emit(event)

    def stop(self, reason: Reason) -> None:
        """End the run at whatever stage it is; from any thread."""
        with self._lock:
            self._stop = self._stop or reason
            if not self.stopped.done():
                self.stopped.set_result(None)
            if self._follower is not None:
                self._follower.stop(reason)

    def follow(self, follower: Follower) -> None:
        """Begin the sandbox, unless the run has been stopped before it got this far."""
        with self._lock:
            self._refuse_stopped()
            self._follower = follower
            follower.begin()

    def refuse_stopped(self) -> None:
        """Raise RunEndedError if the run is to end before there is anything to end."""
        with self._lock:
            self._refuse_stopped()

    def _refuse_stopped(self) -> None:
        if self._stop is not None:
            told = f"The run was ended before its sandbox was created: {self._stop}."
            self.ended = RunEndedError(self._stop, told)
            raise self.ended

    def settle(self) -> None:
        """Wait, for some seconds at most, until nothing of this run is left at Modal; `gone` says whether it is so."""
        self.gone = self.closed(SETTLE)

    def closed(self, timeout: float | None) -> bool:
        """Wait, at most `timeout` seconds, for the sandbox's end; says whether nothing of this run is left at Modal."""
        return self._follower is None or self._follower.closed(timeout)

    def running(self) -> float:
        """Seconds in the sandbox, or since the cell started as long as there is none."""
        return self.meter.elapsed() or self.elapsed()

    def usage(self) -> Usage:
        """The most that the sandbox was seen to use; zeros without one."""
        return Usage() if self._follower is None else self._follower.usage

    def release(self) -> None:
        """Forget what only a run in progress needs: its handle must not keep large values alive."""
        self.job = replace(self.job, parts=(), inputs={}, ephemeral={}, known=[], cache=None)
        self.delivered, self.said = b"", Said()
        if self.cached is not None:
            self.cached = replace(self.cached, values=b"", said=(), states={}, inputs={})
        with self._lock:
            self._begun = self.begun
            self._follower = None

    def unpack(self, outcome: Outcome) -> None:
        """Take what the runner delivered; its values become objects here."""
        fields = outcome.result.fields
        self.seconds = float(fields["seconds"])
        self.cell_error = outcome.error.fields if outcome.error is not None else None
        delivered = outcome.values
        if self.job.cache is not None:
            self.delivered = delivered = memoryview(delivered).toreadonly()
        self.values = self._read(delivered)
        self.files = outcome.fetched.files
        lost = {**fields["lost"], **self.values.lost, **outcome.fetched.lost}
        bound = {*self.job.run["outputs"]} - self.values.stale
        must = bound if self.job.run["narrowed"] else set()
        self.left = {name: reason for name, reason in lost.items() if name == LAST or name in bound - must}
        self.lost = {name: reason for name, reason in lost.items() if name not in self.left}
        for name, reason in self.left.items():
            why = reason if reason.startswith("it came back") else f"it cannot come back: {reason}"
            self.observe(Log(f"{name} is not in the notebook, {why}\n", "stderr"))
        if self.values.moved:
            self.observe(Log(f"{devices.told(self.values.moved, 'in the sandbox')}\n", "stderr"))
        if self.lost and self.cell_error is not None:  # the cell's own error is what is raised
            self.observe(Log(f"What could not come back: {told(self.lost)}.\n", "stderr"))

    def take_over(self, kept: Kept) -> None:
        """Take an earlier run's outcome for this one's; raises ResultError when it cannot be restored in full."""
        self.cached = kept
        self.seconds = kept.seconds
        values = self._read(kept.values)
        self.values = replace(values, session={**kept.states, **values.session})
        self.lost = values.lost
        for event in kept.said:
            self.emit(event)
        if self.lost:
            raise ResultError(
                f"Not all that the earlier run has done can come back: {told(self.lost)}. "
                "The rest is in your variables."
            )


def told(lost: Mapping[str, str]) -> str:
    """Return names and reasons as a phrase."""
    return "; ".join(f"{name}: {reason}" for name, reason in lost.items())


# Weak: whatever copies this thread's context, e.g. a library's own tasks, must not keep the run's values alive.
_current: contextvars.ContextVar[weakref.ref[Execution] | None] = contextvars.ContextVar(
    "zenml_modal_nb_execution", default=None
)


def current() -> Execution | None:
    """The execution that this thread records, None in a step that is not a cell."""
    found = _current.get()
    return None if found is None else found()


def enter(execution: Execution) -> None:
    """Make the execution known to the step operator that ZenML creates in this thread."""
    _current.set(weakref.ref(execution))
