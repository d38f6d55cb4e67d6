"""One output stream of a process: kept whole or in part, followed live by any number of readers."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from bisect import bisect_left
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from zenml_modal_nb.emulator.state.refusals import NotFoundError, UnavailableError

DATE_GRAIN = 2_000_000  # nanoseconds within which pieces of output have one time
MOST_DATES = 20_000  # times remembered of one stream
LONGEST_CHARACTER = 4  # bytes of UTF-8
BLOCK = 256 * 1024  # bytes of a log read at once
IN_MEMORY = 1024 * 1024  # bytes of a complete stream before it moves to a file


class Kept(Protocol):
    """The bytes of a stream that can still be read; positions count from the stream's first byte."""

    start: int
    end: int

    def append(self, data: bytes) -> None:
        """Take the next bytes of the stream."""

    def read(self, offset: int, size: int) -> bytes:
        """At most `size` bytes from `offset`, which is within `start` and `end`."""

    def close(self) -> None:
        """Let the bytes go."""


class RecentBytes:
    """The most recent `limit` bytes, as Modal keeps the output of a V2 sandbox."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._data = bytearray()
        self.start = 0
        self.end = 0

    def append(self, data: bytes) -> None:
        self._data += data
        self.end += len(data)
        surplus = len(self._data) - self._limit
        if surplus > 0:
            del self._data[:surplus]
            self.start += surplus

    def read(self, offset: int, size: int) -> bytes:
        begin = offset - self.start
        return bytes(self._data[begin : begin + size])

    def close(self) -> None:
        self._data.clear()


class AllBytes:
    """The whole stream, in memory while small, then in a file without a name in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._file = tempfile.SpooledTemporaryFile(  # noqa: SIM115  closed by `close`
            IN_MEMORY, dir=str(directory)
        )
        self.start = 0
        self.end = 0

    def append(self, data: bytes) -> None:
        self._file.seek(0, os.SEEK_END)
        self._file.write(data)
        self.end += len(data)

    def read(self, offset: int, size: int) -> bytes:
        self._file.seek(offset)
        data: bytes = self._file.read(size)
        return data

    def close(self) -> None:
        self._file.close()


class FileBytes:
    """What was kept of a stream that has ended, in a file; its first byte is at position `start`."""

    def __init__(self, path: Path, start: int) -> None:
        self._path = path
        self.start = start
        self.end = start + (path.stat().st_size if path.exists() else 0)

    def append(self, data: bytes) -> None:
        raise ValueError("The stream has ended.")

    def read(self, offset: int, size: int) -> bytes:
        with self._path.open("rb", buffering=0) as file:
            file.seek(offset - self.start)
            return file.read(size)

    def close(self) -> None:
        """Nothing is open between two reads."""


@dataclass(frozen=True)
class Reading:
    """How a stream is handed out: pieces of at most `size` bytes, each after `delay` seconds."""

    size: int = 65536
    delay: float = 0.0


class Output:
    """A stream that one process writes and any number of readers follow, woken by each write."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self._changed = asyncio.Event()
        self._ended = False
        self._discarded = False
        self._lost = False
        self._dates: list[tuple[int, int]] = []

    def append(self, data: bytes) -> None:
        """Take the next bytes and wake the readers."""
        if not self._discarded:
            self._kept.append(data)
            self._date()
            self._wake()

    def end(self) -> None:
        """Say that no more bytes will come; saying it twice is harmless."""
        self._ended = True
        self._wake()

    def discard(self) -> None:
        """Let the bytes go; whoever still reads is told."""
        self._discarded = True
        self._kept.close()
        self._wake()

    def lose(self) -> None:
        """Let the bytes go with the machine that had them; whoever reads is told."""
        self._lost = True
        self.discard()

    def _read(self, offset: int, size: int) -> bytes:
        if self._discarded:
            raise NotFoundError("This output is no longer kept.")
        return self._kept.read(offset, size) if offset < self._kept.end else b""

    async def backwards(self, until: int) -> AsyncIterator[tuple[int, str]]:
        """Lines with their times (nanoseconds since 1970), the last first, of what came before `until`.

        A line's time is that of its end. What follows the last end of a line has its own. Others get their turn
        between two pieces of `BLOCK` bytes, so a large log keeps nobody waiting.
        """
        ends, times = [end for end, _ in self._dates], [at for _, at in self._dates]
        known = bisect_left(times, until)
        if not known:
            return
        position = ends[known - 1]
        # A line that ended later does not count, with the part of it that came before.
        late = known < len(times)
        rest: list[bytes] = []  # pieces of the line that is being read, the last piece first
        end = position
        while position > self._kept.start and not self._discarded:
            begin = max(self._kept.start, position - BLOCK)
            *lines, first = reversed(self._kept.read(begin, position - begin).split(b"\n"))
            position = begin
            for line in lines:
                rest.append(line)
                whole = b"".join(reversed(rest))
                if whole and not late:
                    yield times[bisect_left(ends, end)], whole.decode("utf-8", "replace")
                end -= len(whole)
                late = False
                rest = [b"\n"]
            rest.append(first)
            await asyncio.sleep(0)
        whole = b"".join(reversed(rest))
        if whole and not late and not self._discarded:
            yield times[bisect_left(ends, end)], whole.decode("utf-8", "replace")

    @property
    def dates(self) -> list[tuple[int, int]]:
        """(Position after a piece, nanoseconds since 1970), for whoever keeps the stream for later."""
        return self._dates

    def restore(self, dates: Iterable[tuple[int, int]]) -> None:
        """Be a stream that has ended."""
        self._dates = [(end, at) for end, at in dates]
        self.end()

    async def move(self, path: Path) -> int:
        """Put what is kept of an ended stream into a file, to be read from there; returns where it starts.

        Raises OSError, e.g. for a disk that is full; then there is no file, and it can be tried again.
        """
        start, position = self._kept.start, self._kept.start
        if isinstance(self._kept, FileBytes):
            return start  # put there by an attempt that failed at something else
        # It may hold what a program printed of its secrets.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                while position < self._kept.end and not self._discarded:
                    data = self._kept.read(position, IN_MEMORY)
                    file.write(data)
                    position += len(data)
                    await asyncio.sleep(0)  # others' turn
        except OSError:
            path.unlink(missing_ok=True)
            raise
        if not self._discarded:
            self._kept.close()
            self._kept = FileBytes(path, start)
        return start

    def _date(self) -> None:
        now = time.time_ns()
        if self._dates and now - self._dates[-1][1] < DATE_GRAIN:
            self._dates[-1] = (self._kept.end, self._dates[-1][1])
            return
        self._dates.append((self._kept.end, now))
        if len(self._dates) > MOST_DATES:
            # Every second one is enough for what is long ago.
            self._dates = self._dates[1 : MOST_DATES // 2 : 2] + self._dates[MOST_DATES // 2 :]

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def chunks(self, offset: int, reading: Reading) -> AsyncIterator[tuple[int, bytes]]:
        """Yield (position, bytes) from `offset`, or from the oldest byte kept, until the stream ends."""
        while True:
            if self._lost:
                raise UnavailableError("The worker that kept this output does not answer.")
            offset = max(offset, self._kept.start)
            if offset < self._kept.end:
                if reading.delay:
                    await asyncio.sleep(reading.delay)
                    offset = max(offset, self._kept.start)
                data = self._read(offset, reading.size)
                yield offset, data
                offset += len(data)
            elif self._ended:
                return
            else:
                await self._changed.wait()

    async def texts(
        self, offset: int, reading: Reading, deadline: float
    ) -> AsyncIterator[tuple[int, str] | None]:
        """Yield (position after it, text) from `offset`; a last None says that the stream has ended.

        Returns without None at `deadline` (loop time). Invalid UTF-8 is replaced; a character is never split.
        """
        loop = asyncio.get_running_loop()
        size = max(reading.size, LONGEST_CHARACTER)
        while loop.time() < deadline:
            offset = max(offset, self._kept.start)
            data = self._read(offset, size)
            last = self._ended and offset + len(data) >= self._kept.end
            whole = len(data) if last else len(data) - _unfinished(data)
            if whole:
                if reading.delay:
                    await asyncio.sleep(reading.delay)
                offset += whole
                yield offset, data[:whole].decode("utf-8", "replace")
            elif self._ended and not data:
                yield None
                return
            else:
                # Not by setting the event at the deadline: it is every reader's, and stays set for the next.
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), deadline - loop.time())


def _unfinished(data: bytes) -> int:
    """How many bytes at the end begin a character that is not complete yet (0 to 3)."""
    for back in range(1, min(LONGEST_CHARACTER - 1, len(data)) + 1):
        byte = data[-back]
        if byte >= 0xC0:
            needed = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return back if back < needed else 0
        if byte < 0x80:
            return 0
    return 0
