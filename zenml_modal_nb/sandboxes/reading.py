"""Reads one output stream of a sandbox to its end: live, complete, in order, across gaps and reconnections."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from zenml_modal_nb.events import Stream
from zenml_modal_nb.runner.frames import Frame
from zenml_modal_nb.sandboxes import chunks
from zenml_modal_nb.sandboxes.channel import Channel, Gap, Item, Text
from zenml_modal_nb.sandboxes.losses import Losses

logger = logging.getLogger(__name__)

_HOLD = 0.015  # seconds that text waits for the frame that verifies it
# Seconds for which it waits on in a flood, where the next mark is on its way, and after a loss, which comes in floods.
_FLOOD = 0.5
_CLOSE = 0.1  # seconds between two marks of a flood, that is, 40 kB a second or more
_SEGMENT = 1 << 20  # bytes; the size of the pieces of the runner's own copy (ARCHITECTURE.md)
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0  # seconds before the stream is read again
_TRIES_AFTER_END = 3  # to read what a sandbox that has ended printed last

Sink = Callable[[Text | Frame], Awaitable[None]]


class _BrokenOffError(Exception):
    """The stream can be read no further by this handle."""


class StreamReading:
    """The reading of one stream; made and used by one follower.

    `patience` is for how long, in seconds, the sandbox may be out of reach.
    """

    def __init__(
        self,
        sandbox: Any,
        client: Any,
        stream: Stream,
        channel: Channel,
        sink: Sink,
        patience: float,
        losses: Losses,
    ) -> None:
        self._sandbox = sandbox
        self._client = client
        self._stream = stream
        self._channel = channel
        self._sink = sink
        self._patience = patience
        self._losses = losses
        self._timer: asyncio.Task[None] | None = None
        # `time.monotonic` of the latest mark, and of the latest that came close to the one before it.
        self._marked = self._flooded = float("-inf")
        self._lock = asyncio.Lock()  # the timer and the lines take turns
        self.directory = ""  # the runner's, known after its hello

    async def run(self) -> None:
        """Read until the stream ends; raises what has kept it out of reach for too long."""
        try:
            await self._read()
            await self._flush()
        finally:
            if self._timer is not None:
                self._timer.cancel()

    async def catch_up(self, end: int | None = None) -> None:
        """Read from the sandbox's own copy what the stream has not delivered, up to byte `end` or all there is."""
        async with self._lock:
            start = self._channel.verified
            if end is not None and end <= start:
                return
            data = await self._read_copy(start, end)
            whole = data.rfind(b"\n") + 1 if end is None else len(data)
            gap = self._channel.skip_to(start + whole if end is None else end)
            await self._act([*self._channel.recover(gap, data[:whole])])

    async def _read(self) -> None:
        pause, tries_after_end = _SHORTEST_PAUSE, 0
        fresh = False
        while True:
            try:
                async with aclosing(self._lines(fresh)) as lines:
                    async for text in lines:
                        pause = _SHORTEST_PAUSE
                        await self._take(text)
                return
            except _BrokenOffError as error:
                logger.debug("Reading %s again after %r", self._stream, error.__cause__)
                if isinstance(error.__cause__, UnicodeDecodeError):
                    # The server has dropped output up to the middle of a character; a fresh handle may begin there.
                    await self.catch_up()
            if await has_ended(self._sandbox, self._patience):
                tries_after_end += 1
                if tries_after_end == _TRIES_AFTER_END:
                    return
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            fresh = True
            self._channel.reconnect()

    async def _lines(self, fresh: bool) -> AsyncGenerator[str, None]:
        try:
            sandbox = self._sandbox
            if fresh:
                import modal

                sandbox = await modal.Sandbox.from_id.aio(sandbox.object_id, client=self._client)
            async with aclosing(chunks.lines(getattr(sandbox, self._stream))) as lines:
                async for text in lines:
                    yield text
        except lost_contact(UnicodeDecodeError) as error:
            raise _BrokenOffError from error

    async def _take(self, text: str) -> None:
        async with self._lock:
            items = self._channel.feed(text)
            await self._act(items)
            self._note_marks(sum(isinstance(item, Frame) and item.kind == "mark" for item in items))
        if self._channel.holding and (self._timer is None or self._timer.done()):
            self._timer = asyncio.create_task(self._flush_later())

    def _note_marks(self, count: int) -> None:
        if count:
            now = time.monotonic()
            if count > 1 or now - self._marked < _CLOSE:
                self._flooded = now
            self._marked = now

    async def _flush_later(self) -> None:
        await asyncio.sleep(_HOLD)
        while (rest := max(self._flooded, self._losses.latest) + _FLOOD - time.monotonic()) > 0:
            await asyncio.sleep(rest)
        await self._flush()

    async def _flush(self) -> None:
        async with self._lock:
            await self._act(self._channel.release())

    async def _act(self, items: list[Item]) -> None:
        """Hand on what the items hold: as one text what only marks stand between, which say nothing to others."""
        texts: list[str] = []
        for item in await self._recovered(items):
            if isinstance(item, Text):
                texts.append(item.text)
            elif item.kind != "mark":
                if texts:
                    await self._sink(Text("".join(texts)))
                    texts.clear()
                await self._sink(item)
        if texts:
            await self._sink(Text("".join(texts)))

    async def _recovered(self, items: list[Item]) -> list[Text | Frame]:
        found: list[Text | Frame] = []
        for item in items:
            if isinstance(item, Gap):
                data = await self._read_copy(item.start, item.end)
                found += self._channel.recover(item, data)
            else:
                found.append(item)
        return found

    async def _read_copy(self, start: int, end: int | None) -> bytes:
        """Read from `start` up to `end`, or as far as the copy goes; less when the sandbox has ended by now."""
        number, offset = divmod(start - self._channel.base, _SEGMENT)
        data = bytearray()
        while end is None or len(data) < offset + end - start:
            path = f"{self.directory}/log/{self._stream}.{number:06d}"
            try:
                segment = await self._sandbox.filesystem.read_bytes.aio(path)
            except lost_contact() as error:
                logger.debug("Cannot read %s: %r", path, error)
                break
            data += segment
            number += 1
            if len(segment) < _SEGMENT:
                break
        return bytes(data[offset:] if end is None else data[offset : offset + end - start])


async def has_ended(sandbox: Any, patience: float) -> bool:
    """Ask a sandbox whether it has ended, with patience, in seconds: a laptop may have been closed."""
    loop = asyncio.get_running_loop()
    began, pause = loop.time(), _SHORTEST_PAUSE
    while True:
        try:
            return await sandbox.poll.aio() is not None
        except lost_contact() as error:
            if loop.time() - began > patience:
                raise
            logger.debug("Sandbox %s does not answer: %r", sandbox.object_id, error)
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def lost_contact(*also: type[Exception]) -> tuple[type[Exception], ...]:
    """What the SDK raises where a server does not answer or does not have what it is asked for."""
    import grpclib.exceptions
    import modal

    return (
        *also,
        modal.exception.Error,
        grpclib.exceptions.GRPCError,
        grpclib.exceptions.StreamTerminatedError,
        OSError,
        TimeoutError,
    )
