"""The meter: what running sandboxes use, once in a while, and the end of those that use too much or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from zenml_modal_nb.emulator import processes
from zenml_modal_nb.emulator.state.sandboxes import End, Sandbox

INTERVAL = 0.5  # seconds between two looks at all processes, which takes some 10 ms
KILLED = 137  # 128 + SIGKILL, as Modal's own exit code
MEBIBYTE = 1024 * 1024


class Meter:
    """Looks as long as there are sandboxes; made by `Sandboxes`, which says which ones run."""

    def __init__(self, running: Callable[[], Sequence[Sandbox]]) -> None:
        self._running = running
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
        while sandboxes := self._running():
            await asyncio.sleep(INTERVAL)
            pids = {sandbox.process.pid for sandbox in sandboxes if sandbox.process.pid}
            used = await asyncio.to_thread(processes.used_below, pids)
            for sandbox in sandboxes:
                if sandbox.running and (measured := used.get(sandbox.process.pid)):
                    sandbox.usage.note(*measured)
                    self._judge(sandbox, measured[1])

    def _judge(self, sandbox: Sandbox, memory: int) -> None:
        asked = sandbox.definition
        if asked.request.memory_limit and memory > asked.request.memory_limit * MEBIBYTE:
            sandbox.strike(End.OUT_OF_MEMORY, KILLED)
        elif asked.idle_timeout and sandbox.idle_seconds >= asked.idle_timeout:
            sandbox.strike(End.IDLE, KILLED)
