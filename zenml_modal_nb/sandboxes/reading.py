"""Reads one output stream of a sandbox to its end: live, complete, in order, across gaps and reconnections."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from zenml_modal_nb.events import Stream
from zenml_modal_nb.runner.frames import Frame
from zenml_modal_nb.sandboxes.channel import Channel, Gap, Item, Text

logger = logging.getLogger(__name__)

_HOLD = 0.015  # seconds that text waits for the frame that verifies it
_SEGMENT = 1 << 20  # bytes; the size of the pieces of the runner's own copy (ARCHITECTURE.md)
_RECONNECTS = 10

Sink = Callable[[Text | Frame], Awaitable[None]]


class StreamReading:
    """The reading of one stream; made and used by one follower."""

    def __init__(self, sandbox: Any, client: Any, stream: Stream, channel: Channel, sink: Sink) -> None:
        self._sandbox = sandbox
        self._client = client
        self._stream = stream
        self._channel = channel
        self._sink = sink
        self._timer: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()  # the timer and the lines take turns
        self.directory = ""  # the runner's, known after its hello

    async def run(self) -> None:
        """Read until the stream ends."""
        import modal

        sandbox = self._sandbox
        for attempt in range(_RECONNECTS + 1):
            try:
                async for line in getattr(sandbox, self._stream):
                    await self._take(line)
                break
            except (modal.exception.Error, UnicodeDecodeError, OSError) as error:
                # UnicodeDecodeError: the server dropped old output in the middle of a character.
                if attempt == _RECONNECTS:
                    raise
                logger.debug("Reading %s again after %r", self._stream, error)
                self._channel.reconnect()
                sandbox = await modal.Sandbox.from_id.aio(self._sandbox.object_id, client=self._client)
        await self._flush()

    async def catch_up(self, position: int) -> None:
        """Read from the sandbox's own copy what the stream has not delivered up to byte `position`."""
        async with self._lock:
            if self._channel.verified < position:
                await self._act(self._channel.skip_to(position))

    async def _take(self, line: str) -> None:
        async with self._lock:
            await self._act(self._channel.feed(line))
        if self._channel.holding and (self._timer is None or self._timer.done()):
            self._timer = asyncio.create_task(self._flush_later())

    async def _flush_later(self) -> None:
        await asyncio.sleep(_HOLD)
        await self._flush()

    async def _flush(self) -> None:
        async with self._lock:
            await self._act(self._channel.release())

    async def _act(self, items: list[Item]) -> None:
        for item in items:
            if isinstance(item, Gap):
                for recovered in self._channel.recover(item, await self._read_copy(item)):
                    await self._sink(recovered)
            else:
                await self._sink(item)

    async def _read_copy(self, gap: Gap) -> bytes:
        base = self._channel.base or 0
        first, last = (gap.start - base) // _SEGMENT, (gap.end - 1 - base) // _SEGMENT
        data = bytearray()
        for number in range(first, last + 1):
            path = f"{self.directory}/log/{self._stream}.{number:06d}"
            data += await self._sandbox.filesystem.read_bytes.aio(path)
        offset = gap.start - base - first * _SEGMENT
        return bytes(data[offset : offset + gap.end - gap.start])
