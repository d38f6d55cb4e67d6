"""A log as a page holds it: its first and its last lines.

`log_live.js` folds lines in the same way, of what has reached it; here it is all that was printed. Colours start anew
after the gap here; there each line has the colour that it came with.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import chain, groupby

from zenml_modal_nb.events import Stream
from zenml_modal_nb.rendering import words
from zenml_modal_nb.rendering.ansi import ending, uncoloured
from zenml_modal_nb.rendering.colours import Look, markup

HEAD = 200  # lines
TAIL = 800
LONGEST = 2000  # characters of a line that are kept, the last ones of a longer one
MOST = 96 << 10  # characters of the tail
_UNREAD = 64 << 10  # characters that are taken together


@dataclass(slots=True)
class Line:
    """One line, growing or rewritten until it has an end."""

    stream: Stream
    text: str = ""
    rewound: bool = False  # by a carriage return: what comes next replaces it


@dataclass(slots=True)
class Lines:
    r"""Takes text of both streams; each has at most one open line, which stays where it began."""

    head: list[Line] = field(default_factory=list)
    tail: deque[Line] = field(default_factory=deque)
    skipped: int = 0
    _size: int = 0  # characters in `tail`, as of when their lines were last written to
    _unread: list[tuple[Stream, str]] = field(default_factory=list)
    _waiting: int = 0  # characters in `_unread`
    _open: dict[Stream, Line] = field(default_factory=dict)

    def write(self, stream: Stream, text: str) -> None:
        r"""Append text; `\r` goes back to the start of the open line."""
        self._unread.append((stream, text))
        self._waiting += len(text)
        if self._waiting > _UNREAD:
            self._read()

    def _read(self) -> None:
        for stream, pieces in groupby(self._unread, key=lambda piece: piece[0]):
            self._take(stream, "".join(text for _, text in pieces))
        self._unread.clear()
        self._waiting = 0

    def _take(self, stream: Stream, text: str) -> None:
        *whole, rest = text.replace("\r\n", "\n").split("\n")
        if len(whole) > HEAD + TAIL + 1:  # most of a flood is never looked at
            for piece in whole[: HEAD + 1]:
                self._piece(stream, piece, ended=True)
            self.skipped += len(whole) - HEAD - 1 - TAIL
            whole = whole[-TAIL:]
        for piece in whole:
            self._piece(stream, piece, ended=True)
        if rest:
            self._piece(stream, rest, ended=False)

    def _piece(self, stream: Stream, text: str, *, ended: bool) -> None:
        line = self._open.pop(stream, None)
        if line is None:
            line = Line(stream)
            self._append(line)
        before = len(line.text)
        for place, part in enumerate(text.split("\r")):
            if place:
                line.rewound = True
            if part:
                line.text = ending(part.rstrip(" ") if line.rewound else line.text + part, LONGEST)
                line.rewound = False
        if self.tail:  # what the head holds is few
            self._size += len(line.text) - before
        if not ended:
            self._open[stream] = line

    def _append(self, line: Line) -> None:
        if len(self.head) < HEAD and not self.tail:
            self.head.append(line)
            return
        self.tail.append(line)
        while len(self.tail) > TAIL or (self._size > MOST and len(self.tail) > 1):
            gone = self.tail.popleft()
            self._size -= len(gone.text)
            self.skipped += 1
            self._open = {stream: line for stream, line in self._open.items() if line is not gone}

    def text(self) -> str:
        """Return the lines without colours."""
        return "\n".join(uncoloured(line.text) if isinstance(line, Line) else line for line in self._told())

    def html(self) -> str:
        """Return the lines as the content of a `pre`, escaped, with colours as classes."""
        looks: dict[Stream, Look] = {}
        parts = []
        for line in self._told():
            if isinstance(line, Line):
                shown, looks[line.stream] = markup(line.text, looks.get(line.stream, Look()))
                parts.append(f'<span class="zmnb-err">{shown}</span>' if line.stream == "stderr" else shown)
            else:
                looks.clear()
                parts.append(f'<span class="zmnb-gap">{line}</span>')
        return "\n".join(parts)

    def _told(self) -> chain[Line | str]:
        self._read()
        gap = [words.left_out(self.skipped)] if self.skipped else []
        return chain(self.head, gap, self.tail)
