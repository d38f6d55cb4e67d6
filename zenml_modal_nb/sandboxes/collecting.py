"""A large result on its way, in parts: one is read from our volume while the next ones are committed and written."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from zenml_modal_nb.errors import SandboxError
from zenml_modal_nb.events import Event
from zenml_modal_nb.runner import digests
from zenml_modal_nb.runner.allocation import fresh
from zenml_modal_nb.runner.frames import Frame
from zenml_modal_nb.sandboxes import volumes
from zenml_modal_nb.sandboxes.depot import RESULTS_PATH, Depot, Told
from zenml_modal_nb.sandboxes.transfer import read_file

logger = logging.getLogger(__name__)

_COMMIT_SECONDS = 30.0  # that a part may take to be there: commits are not instant
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0


@dataclass(frozen=True, slots=True)
class _Part:
    """A file in the volume; `memory` is where its content belongs."""

    name: str
    digest: str
    memory: memoryview


class Collection:
    """One result, from the first part that the sandbox tells of; lives on the background loop only."""

    def __init__(self, sandbox: Any, depot: Depot, emit: Callable[[Event], None], whole: int) -> None:
        """Make room for `whole` bytes; raises MemoryError."""
        self._sandbox = sandbox
        self._depot = depot
        self._content = memoryview(fresh(whole))
        self._told = Told(emit, "collecting", whole)
        self._parts: list[_Part] = []
        self._size = 0  # bytes of the parts so far
        self._result: Frame | None = None
        self._news = asyncio.Event()
        self._over = asyncio.Event()
        self._error: Exception | None = None

    def add(self, stored: Frame) -> None:
        """Take note of the next part."""
        size = stored.fields["size"]
        memory = self._content[self._size : self._size + size]
        self._parts.append(_Part(stored.fields["volume"], stored.fields["sha256"], memory))
        self._size += size
        self._news.set()

    async def run(self) -> None:
        """Read what there is to read, until `content` has all of it."""
        committed: asyncio.Queue[Sequence[_Part]] = asyncio.Queue()
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._commit(committed))
                both.create_task(self._read_all(committed))
        except* Exception as errors:  # noqa: BLE001 - `content` raises it
            self._error = errors.exceptions[0]
        self._over.set()

    async def content(self, result: Frame) -> memoryview:
        """Wait for all that the sandbox's last frame says there is; raises SandboxError and Modal's errors."""
        fields = result.fields
        digest = digests.joined([part.digest for part in self._parts] or [""])
        told = len(self._parts), self._size, digest
        if told != (fields["parts"], fields["size"], fields["sha256"]) or self._size != self._content.nbytes:
            raise SandboxError("The parts of the result are not those of its end. Run the cell again.")
        self._result = result
        self._news.set()
        await self._over.wait()
        if self._error is not None:
            raise self._error
        self._told.finish()
        await self._depot.expire()
        return self._content

    async def _commit(self, committed: asyncio.Queue[Sequence[_Part]]) -> None:
        """Commit parts as they are told of, those together that have come meanwhile; the last are none."""
        done = 0
        while self._result is None or done < len(self._parts):
            await self._news.wait()
            self._news.clear()
            while parts := self._parts[done:]:
                if failure := await volumes.commit(self._sandbox, (RESULTS_PATH,)):
                    # E.g. an image without that program: Modal commits within seconds by itself.
                    logger.debug(
                        "The results of %s were not committed at once: %s", self._sandbox.object_id, failure
                    )
                done += len(parts)
                committed.put_nowait(parts)
        committed.put_nowait(())

    async def _read_all(self, committed: asyncio.Queue[Sequence[_Part]]) -> None:
        while parts := await committed.get():
            await self._read(parts)

    async def _read(self, parts: Sequence[_Part]) -> None:
        missing = {part.name: part for part in parts}
        until, pause = time.monotonic() + _COMMIT_SECONDS, _SHORTEST_PAUSE
        while missing:
            wanted = {name: part.memory for name, part in missing.items()}
            found = await self._depot.read(wanted, self._told.advance)
            for name, digest in found.items():
                if digest == missing[name].digest:
                    del missing[name]
            if missing and time.monotonic() > until:
                for part in missing.values():
                    path = f"{RESULTS_PATH}/{part.name}"
                    part.memory[:] = await read_file(self._sandbox, path, part.memory.nbytes, part.digest)
                break
            if missing:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
        await self._depot.remove(part.name for part in parts)
