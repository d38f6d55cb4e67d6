"""One sandbox's life, from what it needs before it exists to its confirmed end, whatever happens in between.

What goes on meanwhile goes to `emit`, on the background loop's thread.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent import futures
from concurrent.futures import Future
from functools import partial
from threading import Event as Flag
from typing import Any, Generic, TypeVar

from zenml_modal_nb.events import Event, Reason
from zenml_modal_nb.pricing.meter import Meter
from zenml_modal_nb.sandboxes.creation import Creation
from zenml_modal_nb.sandboxes.depot import why_not_shipped
from zenml_modal_nb.sandboxes.ending import RunEndedError, why_not_followed
from zenml_modal_nb.sandboxes.launch import Launch
from zenml_modal_nb.sandboxes.loop import call, start
from zenml_modal_nb.sandboxes.losses import unsaid
from zenml_modal_nb.sandboxes.reading import lost_contact
from zenml_modal_nb.sandboxes.termination import terminate

SETTLE = 15.0  # seconds that the end of a run waits for the sandbox's termination to be confirmed

T = TypeVar("T")


class Life(ABC, Generic[T]):
    """`begin` starts it, `created` and `outcome` wait for it, `stop` ends it; made and asked by the step operator."""

    def __init__(self, launch: Launch, emit: Callable[[Event], None], meter: Meter) -> None:
        self._launch = launch
        self._emit = emit
        self._meter = meter  # runs while the sandbox exists
        self._shipped = False  # before that large values may be on their way
        self._created: Future[str] = Future()
        self._outcome: Future[T] = Future()
        self._creation = Creation(launch, emit)
        self._gone = Flag()  # nothing more is tried
        self._confirmed = False
        self._work: asyncio.Task[None] | None = None
        self.sandbox: Any = None  # there once it is created
        self._stop_reason: Reason | None = None

    @abstractmethod
    async def _follow(self) -> None:
        """Follow the sandbox, which exists, and set `_outcome`; raises why there is none."""

    @property
    def asked(self) -> bool:
        """Whether Modal may have been asked for a sandbox."""
        return self._shipped and self._creation.asked

    @property
    def sandbox_id(self) -> str | None:
        """Modal's name of the sandbox, None before it exists."""
        return None if self.sandbox is None else str(self.sandbox.object_id)

    def begin(self) -> None:
        """Create the sandbox and follow it, in the background; if it was stopped before, only end it."""
        start(self._live())

    def is_created(self, timeout: float) -> bool:
        """Wait, at most `timeout` seconds, until `created` has something to return or to raise; says whether it has."""
        return bool(futures.wait([self._created], timeout).done)

    def created(self) -> str:
        """Wait until the sandbox exists and return its ID; raises what prevented it."""
        return self._created.result()

    def outcome(self) -> T:
        """Wait for what the sandbox comes to; raises RunEndedError when that is nothing."""
        return self._outcome.result()

    def ended(self, timeout: float | None = None) -> bool:
        """Wait, at most `timeout` seconds, until `outcome` has something to return or to raise; says whether it has."""
        return bool(futures.wait([self._outcome], timeout).done)

    def stop(self, reason: Reason) -> None:
        """End the run now, at whatever stage; safe from any thread and more than once, the first reason counts."""
        call(partial(self._stop, reason))

    def closed(self, timeout: float | None) -> bool:
        """Wait, at most `timeout` seconds, for the sandbox's end; says whether it is confirmed to be gone."""
        return self._gone.wait(timeout) and self._confirmed

    def _stop(self, reason: Reason) -> None:
        if self._stop_reason is None:
            self._stop_reason = reason
            if self._work is not None:
                self._work.cancel()

    async def _live(self) -> None:
        """Never cancelled itself: whatever happens to the work, who waits for it is told and the sandbox ends."""
        with unsaid():
            await self._live_unsaid()

    async def _live_unsaid(self) -> None:
        self._work = asyncio.create_task(self._create_and_follow())
        if self._stop_reason is not None:
            self._work.cancel()
        try:
            await self._work
        except asyncio.CancelledError:
            reason = self._stop_reason or Reason.LOST_CONTACT
            self._fail(RunEndedError(reason, f"The run was ended: {reason}."))
        except Exception as error:  # noqa: BLE001 - handed to whoever waits, never lost
            self._fail(why_not_followed(error, self._launch.terms))
        finally:
            await self._close()

    async def _create_and_follow(self) -> None:
        await self._ship()
        self._shipped = True
        self.sandbox = await self._creation.sandbox()
        self._meter.start()
        self._created.set_result(self.sandbox.object_id)
        await self._follow()

    async def _ship(self) -> None:
        """Put what is large into our volume, before there is a sandbox that costs anything."""
        if self._launch.command or not self._launch.shipped:
            return
        try:
            await self._launch.depot.ship(self._launch.shipped, self._emit)
        except lost_contact() as error:
            raise why_not_shipped(error) from error

    def _fail(self, error: Exception) -> None:
        waited_for: tuple[Future[Any], ...] = (self._created, self._outcome)
        for each in waited_for:
            if not each.done():
                each.set_exception(error)

    async def _close(self) -> None:
        try:
            self._confirmed = self._creation.undone if self.sandbox is None else await terminate(self.sandbox)
        finally:
            self._meter.stop()
            self._gone.set()
