"""The faults that are to happen in a running server, and the questions its state asks about them."""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import count
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from zenml_modal_nb.emulator.faults import kinds
from zenml_modal_nb.emulator.faults.kinds import Fault
from zenml_modal_nb.emulator.faults.latencies import milliseconds_of
from zenml_modal_nb.emulator.state.refusals import NoCapacityError, NotFoundError

if TYPE_CHECKING:
    from zenml_modal_nb.emulator.state.sandboxes import Sandbox

Kind = TypeVar("Kind", bound=Fault, covariant=True)
Striking = kinds.Preemption | kinds.OutOfMemory | kinds.LostWorker


@dataclass
class Planned(Generic[Kind]):
    """A fault under its ID; `since` is monotonic time, `happened` how often it has."""

    id: str
    fault: Kind
    since: float
    happened: int = 0

    @property
    def over(self) -> bool:
        """Whether it will not happen again."""
        times = getattr(self.fault, "times", None)
        return times is not None and self.happened >= times


class Faults:
    """All faults of one server; changed by `control`, asked by the state (here) and at the wire (`wire`)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._planned: dict[str, Planned[Fault]] = {}
        self._numbers = count(1)
        self._changed = asyncio.Event()
        self._sandboxes: weakref.WeakSet[Sandbox] = weakref.WeakSet()
        self._strikes: set[asyncio.Task[None]] = set()
        self._counting = threading.Lock()

    def add(self, fault: Fault) -> str:
        """Let `fault` happen from now on; returns its ID."""
        planned: Planned[Fault] = Planned(f"fault-{next(self._numbers)}", fault, self._clock())
        self._planned[planned.id] = planned
        for sandbox in list(self._sandboxes):
            self._prepare_strike(planned, sandbox)
        self._tell()
        return planned.id

    def clear(self, fault_id: str) -> int:
        """Take back a fault, or all of them if the ID is empty; returns how many, or raises NotFoundError."""
        if fault_id and fault_id not in self._planned:
            raise NotFoundError(f"There is no fault {fault_id!r}.")
        gone = [fault_id] if fault_id else list(self._planned)
        for key in gone:
            del self._planned[key]
        self._tell()
        return len(gone)

    def listed(self) -> list[Planned[Fault]]:
        """Every fault that has not been cleared, oldest first."""
        return list(self._planned.values())

    def admit(self, gpu: str) -> None:
        """Raise NoCapacityError if a sandbox with this GPU (empty: none) is refused."""
        refusing = [planned for _, planned in self._lacking(gpu) if planned.fault.refuse]
        for planned in refusing:
            planned.happened += 1
        if refusing:
            raise NoCapacityError("Insufficient capacity to create sandbox.")

    def room(self, gpu: str) -> Coroutine[None, None, None] | None:
        """What a new sandbox with this GPU has to wait for; None if there is a machine."""
        slowest = max(
            self._live(kinds.SlowScheduling), key=lambda planned: planned.fault.seconds, default=None
        )
        if slowest is None and not any(self._lacking(gpu)):
            return None
        return self._wait(gpu, self._clock() + (_happens(slowest).seconds if slowest else 0.0))

    def shorten(self) -> int | None:
        """How many bytes of its output a V2 sandbox that is made now keeps; None: as the server was told."""
        smallest = min(self._live(kinds.LogRetention), key=lambda planned: planned.fault.size, default=None)
        return _happens(smallest).size if smallest else None

    def delay_commit(self) -> float:
        """How many seconds later a volume's commit that is made now becomes visible."""
        latest = max(self._live(kinds.LateCommits), key=lambda planned: planned.fault.seconds, default=None)
        return _happens(latest).seconds if latest else 0.0

    def latency(self, call: str) -> float:
        """How many seconds later this call is answered; asked once for each, also by threads."""
        total = 0.0
        with self._counting:
            for planned in self._live(kinds.Latency):
                if fnmatchcase(call, planned.fault.call):
                    fault = _happens(planned)
                    total += fault.milliseconds or 0.0
                    total += milliseconds_of(fault.profile, call) if fault.profile else 0.0
        return total / 1000

    def matching(self, kind: type[Kind], call: str = "") -> Planned[Kind] | None:
        """The oldest fault of this kind that concerns `call`; who lets it happen counts that."""
        for planned in self._live(kind):
            if fnmatchcase(call, getattr(planned.fault, "call", "*")):
                return planned
        return None

    def watch(self, sandbox: Sandbox) -> None:
        """Know of a sandbox that was just made, so that a fault can end it."""
        self._sandboxes.add(sandbox)
        for planned in self.listed():
            self._prepare_strike(planned, sandbox)

    def _live(self, kind: type[Kind]) -> Iterator[Planned[Kind]]:
        for planned in list(self._planned.values()):
            if isinstance(planned.fault, kind) and not planned.over:
                yield cast("Planned[Kind]", planned)

    def _lacking(self, gpu: str) -> Iterator[tuple[float | None, Planned[kinds.NoCapacity]]]:
        """The shortages of this GPU, each with the seconds it still lasts."""
        for found in self._live(kinds.NoCapacity):
            fault = found.fault
            if gpu and fault.gpu.upper() in ("", gpu):
                left = None if fault.seconds is None else found.since + fault.seconds - self._clock()
                if left is None or left > 0:
                    yield left, found

    async def _wait(self, gpu: str, earliest: float) -> None:
        met: set[str] = set()
        while True:
            lacking = list(self._lacking(gpu))
            for _, planned in lacking:
                if planned.id not in met:
                    met.add(planned.id)
                    planned.happened += 1
            lasting = [left for left, _ in lacking]
            slow = earliest - self._clock()
            if not lasting and slow <= 0:
                return
            # None: for ever. In any case a shortage that is cleared, or a new one, is looked at at once.
            known = [left for left in lasting if left is not None]
            longest = None if len(known) < len(lasting) else max([*known, slow])
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), longest)

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _prepare_strike(self, planned: Planned[Fault], sandbox: Sandbox) -> None:
        if isinstance(planned.fault, Striking) and not planned.over and sandbox.outcome is None:
            strike = asyncio.create_task(self._strike(planned, planned.fault, sandbox))
            self._strikes.add(strike)
            strike.add_done_callback(self._strikes.discard)

    async def _strike(self, planned: Planned[Fault], fault: Striking, sandbox: Sandbox) -> None:
        from zenml_modal_nb.emulator.state.sandboxes import End

        await sandbox.process.wait_to_begin()
        if await sandbox.wait(fault.after) is not None:
            return
        if planned.over or planned.id not in self._planned or not sandbox.running:
            return
        planned.happened += 1
        match fault:
            case kinds.Preemption():
                await sandbox.preempt(fault.code, fault.grace)
            case kinds.OutOfMemory():
                sandbox.strike(End.OUT_OF_MEMORY, fault.code)
            case kinds.LostWorker():
                sandbox.lose(fault.code)


def _happens(planned: Planned[Kind]) -> Kind:
    planned.happened += 1
    return planned.fault
