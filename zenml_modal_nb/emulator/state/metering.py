"""The meter: what running sandboxes use, once in a while, and the end of those that use too much or nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from zenml_modal_nb.emulator.families import Census
from zenml_modal_nb.emulator.state.sandboxes import End, Sandbox

INTERVAL = 0.5  # seconds between two looks at all processes, which takes some 10 ms
SAVE_INTERVAL = 5.0  # seconds: the most that the bill lacks when the server is killed
KILLED = 137  # 128 + SIGKILL, as Modal's own exit code
MEBIBYTE = 1024 * 1024


class Meter:
    """Looks as long as there are sandboxes; made by `Sandboxes`, which says which have not ended completely.

    `save` is called every few seconds to write down what was found, for as long as something runs or is `unsaved`.
    """

    def __init__(
        self,
        census: Census,
        there: Callable[[], Sequence[Sandbox]],
        save: Callable[[], Awaitable[None]],
        unsaved: Callable[[], bool],
    ) -> None:
        self._census = census
        self._there = there
        self._save = save
        self._unsaved = unsaved
        self._saved_at = 0.0
        self._looking: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look, unless it does."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())

    async def stop(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])

    async def _look(self) -> None:
        while (sandboxes := self._there()) or self._unsaved():
            await asyncio.sleep(INTERVAL)
            families = [sandbox.family for sandbox in sandboxes]
            used = await asyncio.to_thread(self._census.measure, families) if families else {}
            for sandbox in sandboxes:
                if sandbox.running and sandbox.process.begun:
                    measured = used[sandbox.id]
                    sandbox.usage.note(measured.cpu_seconds, measured.memory)
                    self._judge(sandbox, measured.memory)
            if time.monotonic() - self._saved_at >= SAVE_INTERVAL:
                await self._save()
                self._saved_at = time.monotonic()

    def _judge(self, sandbox: Sandbox, memory: int) -> None:
        asked = sandbox.definition
        if asked.request.memory_limit and memory > asked.request.memory_limit * MEBIBYTE:
            sandbox.strike(End.OUT_OF_MEMORY, KILLED)
        elif asked.idle_timeout and sandbox.idle_seconds >= asked.idle_timeout:
            sandbox.strike(End.IDLE, KILLED)
