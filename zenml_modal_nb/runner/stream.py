r"""One output stream: arbitrary bytes in; whole lines of UTF-8, frames and marks out.

Pure but for the two places it writes to; time comes in as an argument, seconds of a monotonic clock.
"""

from __future__ import annotations

import codecs
import threading
from collections.abc import Callable, Iterator
from typing import Any

from zenml_modal_nb.runner import frames

MARK_EVERY = 4096  # bytes of plain text
PARTIAL_AFTER = 0.1  # seconds until an unfinished line is sent
PROGRESS_EVERY = 0.1  # seconds between two states of a rewritten line

_PREFIX = frames.PREFIX.encode()
_MASKED_PREFIX = _PREFIX.replace(b"\x1b", "\N{SYMBOL FOR ESCAPE}".encode())

Write = Callable[[bytes], None]


class Stream:
    """Turns what processes write into the lines of the channel; the caller holds `lock` around every call.

    Made by `output`; `write` gets every byte in order, many lines at a time.
    """

    def __init__(self, write: Write, nonce: str, *, position: int = 0, sequence: int = 0) -> None:
        self.lock = threading.Lock()
        self._write = write
        self._nonce = nonce
        # What `frames.encode` would make of a mark, only quicker: a flood has thousands a second.
        self._mark = f'{frames.PREFIX}{{"v":{frames.VERSION},"n":"{nonce}","s":%d,"at":%d,"k":"mark"'
        self._position = position  # bytes, of what is written and of `_ready`
        self._sequence = sequence
        self._unmarked = 0  # bytes of plain text since the latest frame
        self._ready: list[bytes] = []
        self._closed = False
        self._pending = b""  # the part of the open line that is not sent yet
        self._since: float | None = None  # when the first byte of `_pending` came
        self._open = False  # pieces of the open line were sent
        self._sent = b""  # what they hold, unless it is long
        self._rewriting = False  # the open line holds a carriage return
        self._shown: str | None = None  # the latest state sent of the rewritten line
        self._next_progress = 0.0

    @property
    def position(self) -> int:
        """Bytes of the stream so far, frames included."""
        return self._position

    def feed(self, data: bytes, now: float) -> None:
        """Take bytes that a process wrote."""
        if self._closed:
            return
        if self._pending:
            data = self._pending + data
        end = data.rfind(b"\n") + 1
        if end:
            self._pending, self._since = b"", None
            self._lines(data[:end], now)
        if end < len(data):
            self._unfinished(data[end:], now)
        self._flush()

    def frame(self, kind: str, fields: dict[str, Any], now: float, *, last: bool = False) -> None:
        """Send a frame after everything that was fed; after the `last` one, the stream takes nothing more.

        Raises `frames.FrameTooLongError`.
        """
        if self._closed:
            return
        self._send_unfinished(now, final=last)
        self._frame(kind, fields)
        self._closed = last
        self._flush()

    def due(self) -> float | None:
        """Return the time at which `tick` has something to send, None when there is nothing."""
        if self._closed or self._since is None:
            return None
        return self._next_progress if self._rewriting else self._since + PARTIAL_AFTER

    def tick(self, now: float) -> None:
        """Send what is due."""
        due = self.due()
        if due is not None and due <= now:
            self._send_unfinished(now, final=False)
            self._flush()

    def _lines(self, block: bytes, now: float) -> None:
        """Take whole lines; the first may be the end of the open line."""
        if self._rewriting or b"\r" in block:
            block = self._folded(block.replace(b"\r\n", b"\n"), now)
        self._open, self._sent = False, b""
        self._plain(_valid(block))

    def _folded(self, block: bytes, now: float) -> bytes:
        lines = block.split(b"\n")
        if b"\r" in lines[0] and self._open and not self._rewriting:
            # Pieces were sent, and the line is now rewritten: a progress frame makes the reader replace them.
            lines[0] = self._sent + lines[0]
            self._progress(_state(lines[0]), now)
        self._rewriting, self._shown = False, None
        return b"\n".join(_state(line).encode() if b"\r" in line else line for line in lines)

    def _unfinished(self, data: bytes, now: float) -> None:
        if self._rewriting or b"\r" in data:
            self._rewrite(data, now)
            return
        if len(data) > frames.TEXT_LIMIT:
            data = self._pieces(data, final=False, keep=frames.TEXT_LIMIT)
        self._pending = data
        self._since = (now if self._since is None else self._since) if data else None

    def _rewrite(self, data: bytes, now: float) -> None:
        if not self._rewriting:
            data = self._sent + data
        before, _, after = data.rpartition(b"\r")
        base = _state(before).encode()
        if len(base) + len(after) > 2 * frames.TEXT_LIMIT:
            # Without bound it would be kept in memory whole; a line end makes it a line like any other.
            self._pending, self._since = b"", None
            self._lines(data + b"\n", now)
            return
        self._rewriting = True
        self._pending = base + b"\r" + after
        self._since = now
        if now >= self._next_progress:
            self._send_progress(now)

    def _send_unfinished(self, now: float, *, final: bool) -> None:
        if self._rewriting:
            if self._since is not None:
                self._send_progress(now)
        elif self._pending:
            self._pending = self._pieces(self._pending, final=final, keep=0)
            self._since = None

    def _send_progress(self, now: float) -> None:
        state = _state(self._pending)
        if state != self._shown:
            self._progress(state, now)
        self._since = None

    def _progress(self, state: str, now: float) -> None:
        self._shown = state
        self._next_progress = now + PROGRESS_EVERY
        self._frame("progress", {"text": _fitting(state)})

    def _pieces(self, data: bytes, *, final: bool, keep: int) -> bytes:
        """Send all but the last `keep` bytes as pieces of the open line; returns what is not sent.

        A character of which bytes are missing is not sent unless `final`.
        """
        while len(data) > keep:
            head = data[: frames.TEXT_LIMIT]
            text, consumed = codecs.utf_8_decode(head, "replace", final and len(head) == len(data))
            if not consumed:
                break
            for piece in _split(text):
                self._frame("partial", {"text": piece})
            self._open = True
            self._sent = (self._sent + head[:consumed])[: frames.TEXT_LIMIT]
            data = data[consumed:]
        return data

    def _plain(self, block: bytes) -> None:
        if _PREFIX in block and self._nonce.encode() in block:
            # Only the runner makes frames of this run: what else looks like one is text, e.g. a printed log.
            block = block.replace(_PREFIX, _MASKED_PREFIX)
        start, length = 0, len(block)
        while start < length:
            end = min(start + MARK_EVERY - self._unmarked, length)
            end = block.rfind(b"\n", start, end) + 1
            if not end and self._unmarked:
                self._append_mark()
                continue
            if not end:
                end = block.index(b"\n", start) + 1
                if end - start - 1 > frames.TEXT_LIMIT:
                    rest = self._pieces(block[start : end - 1], final=True, keep=frames.TEXT_LIMIT)
                    start = end - 1 - len(rest)
                    self._open, self._sent = False, b""
            self._append(block[start:end])
            self._unmarked += end - start
            start = end
            if self._unmarked >= MARK_EVERY:
                self._append_mark()

    def _append_mark(self) -> None:
        mark = frames.seal(self._mark % (self._sequence, self._position), self._position)
        self._sequence += 1
        self._unmarked = 0
        self._append(mark)

    def _frame(self, kind: str, fields: dict[str, Any]) -> None:
        line = frames.encode(self._nonce, kind, self._sequence, self._position, fields)
        self._sequence += 1
        self._unmarked = 0
        self._append(line)

    def _append(self, data: bytes) -> None:
        self._ready.append(data)
        self._position += len(data)

    def _flush(self) -> None:
        if self._ready:
            data = b"".join(self._ready)
            self._ready.clear()
            self._write(data)


def _valid(block: bytes) -> bytes:
    try:
        block.decode()
    except UnicodeDecodeError:
        return block.decode("utf-8", "replace").encode()
    return block


def _state(line: bytes) -> str:
    r"""Return what a terminal shows of a line with carriage returns, e.g. `Xbc` of `abc\rX`."""
    state = ""
    for segment in line.decode("utf-8", "replace").split("\r"):
        # Colours have no width: what an escape sequence leaves of the text below it is not worth guessing.
        tail = "" if "\x1b" in segment or "\x1b" in state else state[len(segment) :]
        state = segment + tail if segment else state
    return state.rstrip(" ") if b"\r" in line else state


def _split(text: str) -> Iterator[str]:
    """Split text so that each piece fits into a frame whatever its characters are escaped to."""
    if frames.fits(text):
        yield text
    else:
        middle = len(text) // 2
        yield from _split(text[:middle])
        yield from _split(text[middle:])


def _fitting(text: str) -> str:
    """Cut text to what fits into a frame."""
    return next(_split(text), "")
