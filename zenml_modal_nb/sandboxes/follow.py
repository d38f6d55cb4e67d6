"""Follows one sandbox from its creation to its verified result, whatever happens in between.

Made and waited for by the step operator; what happens meanwhile goes to `emit`, on the background loop's thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent import futures
from concurrent.futures import Future
from functools import partial
from threading import Event as Flag
from typing import Any

from zenml_modal_nb.events import Event, Reason, Resources
from zenml_modal_nb.pricing.meter import Meter
from zenml_modal_nb.sandboxes.acknowledgement import acknowledge
from zenml_modal_nb.sandboxes.conversation import Conversation, Outcome
from zenml_modal_nb.sandboxes.creation import Creation
from zenml_modal_nb.sandboxes.depot import why_not_shipped
from zenml_modal_nb.sandboxes.ending import RunEndedError, why_not_followed
from zenml_modal_nb.sandboxes.launch import Launch
from zenml_modal_nb.sandboxes.loop import call, start
from zenml_modal_nb.sandboxes.losses import Losses, unsaid
from zenml_modal_nb.sandboxes.reading import lost_contact
from zenml_modal_nb.sandboxes.termination import terminate
from zenml_modal_nb.sandboxes.usage import Usage


class Follower:
    """One sandbox's life: `begin` starts it, `created` and `outcome` wait for it, `stop` ends it."""

    def __init__(self, launch: Launch, emit: Callable[[Event], None], meter: Meter) -> None:
        self._launch = launch
        self._emit = emit
        self._meter = meter  # runs while the sandbox exists
        self.usage = Usage()
        self._shipped = False  # before that large values may be on their way
        self._created: Future[str] = Future()
        self._outcome: Future[Outcome] = Future()
        self._creation = Creation(launch, emit)
        self._gone = Flag()  # nothing more is tried
        self._confirmed = False
        self._work: asyncio.Task[None] | None = None
        self.sandbox: Any = None  # there once it is created
        self._stop_reason: Reason | None = None

    @property
    def asked(self) -> bool:
        """Whether Modal may have been asked for a sandbox."""
        return self._shipped and self._creation.asked

    def begin(self) -> None:
        """Create the sandbox and follow it, in the background; if it was stopped before, only end it."""
        start(self._live())

    def created(self) -> str:
        """Wait until the sandbox exists and return its ID; raises what prevented it."""
        return self._created.result()

    def outcome(self) -> Outcome:
        """Wait for the verified result; raises RunEndedError when there is none."""
        return self._outcome.result()

    def is_over(self) -> bool:
        """Tell whether `outcome` has something to return or to raise."""
        return self._outcome.done()

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
            self._fail(why_not_followed(error))
        finally:
            await self._close()

    async def _create_and_follow(self) -> None:
        await self._ship()
        self._shipped = True
        self.sandbox = await self._creation.sandbox()
        self._meter.start()
        self._created.set_result(self.sandbox.object_id)
        losses = Losses(self.sandbox.object_id)
        conversation = Conversation(self._launch, self.sandbox, self._emit, losses, self._use)
        with losses.heard():
            try:
                self._outcome.set_result(await conversation.outcome())
            finally:
                await conversation.close()
        if self._launch.command:
            await acknowledge(self.sandbox, conversation.directory)

    async def _ship(self) -> None:
        """Put what is large into our volume, before there is a sandbox that costs anything."""
        if self._launch.command or not self._launch.shipped:
            return
        try:
            await self._launch.depot.ship(self._launch.shipped, self._emit)
        except lost_contact() as error:
            raise why_not_shipped(error) from error

    def _use(self, fields: Mapping[str, Any]) -> None:
        cpu, memory_mib = self.usage.take(fields)
        self._meter.observe(cpu, memory_mib)
        gpus = tuple((percent, used) for percent, used in fields.get("gpu", ()))
        self._emit(Resources(cpu, memory_mib, gpus))

    def _fail(self, error: Exception) -> None:
        for waited_for in (self._created, self._outcome):
            if not waited_for.done():
                waited_for.set_exception(error)

    async def _close(self) -> None:
        try:
            self._confirmed = self._creation.undone if self.sandbox is None else await terminate(self.sandbox)
        finally:
            self._meter.stop()
            self._gone.set()
