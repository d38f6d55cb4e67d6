"""The log on its way to a notebook: deltas, a few messages a second, never more than a browser can take."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby

from zenml_modal_nb.events import Stream
from zenml_modal_nb.rendering.ansi import ending
from zenml_modal_nb.rendering.page import Page

QUICK = 0.015  # seconds between messages as long as little is shown
FLOOD = 0.1  # between those of a flood

_RETRY = 0.01  # seconds until a timer tries again that found the batch busy


@dataclass(slots=True)
class LeftOut:
    """What of a stream had no room since something of it was last sent."""

    lines: int = 0  # ends of lines
    in_line: bool = False  # the last of it was a line's start, whose rest comes


class Batch:
    r"""Sends both streams, the first line at once and the rest at the page's pace; made by `NotebookRenderer`.

    The pace is a bucket of characters: full at first, and filled at the same rate as long as the run lasts. Lines that
    a flood has no room for are counted and left out; the complete log is in ZenML. Progress moves through `\r`, which
    front ends fold.
    """

    def __init__(self, page: Page, clock: Callable[[], float] = time.monotonic) -> None:
        self._page = page
        self._pace = page.pace
        self._sent = 0  # characters
        self._clock = clock
        self._lock = threading.Lock()
        self._pending: deque[tuple[Stream, str]] = deque()
        self._size = 0  # characters in `_pending`
        self._left_out: dict[Stream, LeftOut] = {}
        self._states: dict[Stream, str] = {}  # the next progress to draw
        self._in_progress: set[Stream] = set()  # streams whose next text replaces a progress line
        self._drawn: dict[Stream, int] = {}  # widths of the progress lines on the page
        self._budget = float(self._pace.burst)
        self._refilled: float | None = None  # when
        self._last_send = float("-inf")
        self._timer_runs = False

    def write(self, stream: Stream, text: str) -> None:
        """Take text of the log."""
        if not text:
            return
        with self._lock:
            self._states.pop(stream, None)  # the finished line replaces its last state
            self._page.hold(stream, "\r" + text if stream in self._in_progress else text)
            self._in_progress.discard(stream)
            self._pending.append((stream, text))
            self._size += len(text)
            if self._size > 2 * self._room():
                self._trim()  # also while nothing can be sent, a flood must not fill the memory
            self._send_when_due()

    def progress(self, stream: Stream, text: str) -> None:
        """Take the present state of a line that is rewritten in place; only the newest is sent."""
        with self._lock:
            self._states[stream] = text
            self._page.hold(stream, "\r" + text)
            self._in_progress.add(stream)
            self._send_when_due()

    def flush(self) -> None:
        """Send all there is, now: something else is to be shown after it, or the run is over."""
        with self._lock:
            self._refill(self._clock())
            self._trim()
            self._send()

    def clear(self) -> None:
        """Send all there is, and take what comes next for the first on an empty page."""
        self.flush()
        with self._lock:
            self._drawn.clear()
            self._in_progress.clear()

    def _tick(self) -> None:
        # On the kernel's output thread, which the holder of the lock may need to get its message away.
        if not self._lock.acquire(blocking=False):
            self._page.later(_RETRY, self._tick)
            return
        try:
            self._timer_runs = False
            self._send_when_due()
        finally:
            self._lock.release()

    def _send_when_due(self) -> None:
        if self._timer_runs or not (self._pending or self._states):
            return
        now = self._clock()
        self._refill(now)
        interval = QUICK if self._sent < self._pace.quick else self._pace.interval
        wait = self._last_send + interval - now
        self._trim()
        if self._size > self._budget:
            wait = max(wait, FLOOD, (self._size - self._budget) / self._pace.rate)
        if wait <= 0:
            self._send()
        else:
            self._timer_runs = True
            self._page.later(wait, self._tick)

    def _refill(self, now: float) -> None:
        if self._refilled is not None:
            new = (now - self._refilled) * self._pace.rate
            self._budget = min(float(self._pace.burst), self._budget + new)
        self._refilled = now

    def _room(self) -> int:
        return max(self._pace.tail, int(self._budget))

    def _trim(self) -> None:
        """Keep the newest text that there is room for, from the start of a line where there is one."""
        room = self._room()
        while self._size > room:
            stream, text = self._pending.popleft()
            self._size -= len(text)
            kept = ending(text, room - self._size) if self._size < room else ""
            kept = kept[kept.find("\n") + 1 :]  # the whole piece where no line starts in it
            gone = text[: len(text) - len(kept)]
            left_out = self._left_out.setdefault(stream, LeftOut())
            left_out.lines += gone.count("\n")
            left_out.in_line = not gone.endswith("\n")
            if kept:
                self._pending.appendleft((stream, kept))
                self._size += len(kept)

    def _send(self) -> None:
        sent = 0
        for stream, pieces in groupby(self._pending, key=lambda piece: piece[0]):
            sent += self._stream(stream, self._over_progress(stream, "".join(text for _, text in pieces)))
        for stream in list(self._left_out):  # of which nothing has come since
            sent += self._stream(stream, "")
        for stream, state in self._states.items():
            text = "\r" + state.ljust(self._drawn.get(stream, 0))
            self._drawn[stream] = len(state)
            sent += self._stream(stream, text)
        self._pending.clear()
        self._states.clear()
        self._size = 0
        self._sent += sent
        self._budget = max(0.0, self._budget - sent)
        self._last_send = self._clock()

    def _stream(self, stream: Stream, text: str) -> int:
        left_out = self._left_out.pop(stream, LeftOut())
        if left_out.in_line:
            text = "…" + text
        self._page.stream(stream, text, left_out.lines)
        return len(text)

    def _over_progress(self, stream: Stream, text: str) -> str:
        """Return the text so that it replaces a progress line: front ends overwrite it, they do not clear."""
        width = self._drawn.pop(stream, None)
        if width is None:
            return text
        line, newline, rest = text.partition("\n")
        return "\r" + line.ljust(width) + newline + rest
