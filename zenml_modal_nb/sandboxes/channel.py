"""One output stream of a sandbox, verified: what the runner wrote, in order and complete.

`follow` feeds the lines that the SDK delivers and acts on what comes out; nothing here waits or knows Modal.
The SDK joins lines around output that a server no longer holds, so text counts as read only when the next frame
says at which byte it stands (`at`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from zenml_modal_nb.runner import frames


@dataclass(frozen=True, slots=True)
class Text:
    """Plain output, one or more lines."""

    text: str


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes that the stream no longer has: [start, end) is to be read from the sandbox's own copy.

    `shown` bytes from `start` on have been shown unverified.
    """

    start: int
    end: int
    shown: str


# Line feeds alone end a line; str.splitlines knows eight more characters that a log may hold.
_LINE = re.compile(r"[^\n]*\n|[^\n]+")

Item: TypeAlias = Text | Gap | frames.Frame


class Channel:
    """Takes one stream's lines, gives verified items; made and used by one follower."""

    def __init__(self, nonce: str) -> None:
        self._nonce = nonce
        self._held: list[str] = []  # text that no frame has verified yet
        self._shown: list[str] = []  # the part of it that has been shown all the same
        self._verified: int | None = None  # byte position behind the last frame, None before the first
        self._position = 0  # bytes counted since then, added to it
        self.base: int | None = None  # where the runner's own copy begins: its `begin` frame

    @property
    def holding(self) -> bool:
        """Whether text waits for a frame that verifies it."""
        return bool(self._held)

    @property
    def verified(self) -> int:
        """Byte position up to which everything is known to be read."""
        return self._verified or 0

    def feed(self, line: str) -> list[Item]:
        """Take one line as the SDK delivered it, its line feed included."""
        size = len(line.encode())
        frame = frames.decode(line, self._nonce)
        if frame is None:
            self._held.append(line)
            self._position += size
            return []
        items: list[Item] = []
        if self._verified is not None and frame.at < self._verified:
            # A replay: this was read before the connection broke.
            self._held.clear()
            self._position = frame.at + size
            return []
        if self._verified is None or frame.at == self._position:
            items += self.release()
        else:
            items.append(Gap(self._verified, frame.at, "".join(self._shown)))
            self._held.clear()
        self._shown.clear()
        self._verified = self._position = frame.at + size
        if frame.kind == "begin":
            self.base = frame.at
        items.append(frame)
        return items

    def release(self) -> list[Item]:
        """Give out the held text without waiting for a frame: nothing more has come for a while."""
        if not self._held:
            return []
        text = "".join(self._held)
        self._shown.append(text)
        self._held.clear()
        return [Text(text)]

    def skip_to(self, position: int) -> list[Item]:
        """Give up on the stream up to byte `position`: one gap, to be read from the sandbox's own copy."""
        gap = Gap(self.verified, position, "".join(self._shown))
        self._held.clear()
        self._shown.clear()
        self._verified = self._position = position
        return [gap]

    def recover(self, gap: Gap, data: bytes) -> list[Text | frames.Frame]:
        """Turn the bytes of a gap, read from the sandbox's own copy, into the items they hold."""
        text = data.decode("utf-8", "replace")
        items: list[Text | frames.Frame] = []
        if gap.shown:
            if text.startswith(gap.shown):
                text = text[len(gap.shown) :]
            else:
                items.append(Text("\n[the lines above are incomplete; the output is repeated in full]\n"))
        plain: list[str] = []
        for line in _LINE.findall(text):
            frame = frames.decode(line, self._nonce)
            if frame is None:
                plain.append(line)
                continue
            if plain:
                items.append(Text("".join(plain)))
                plain.clear()
            items.append(frame)
        if plain:
            items.append(Text("".join(plain)))
        return items

    def reconnect(self) -> None:
        """Forget unverified text: the stream is about to be read again by a fresh handle, from an unknown place."""
        self._held.clear()
        if self._verified is not None:
            # Equal to no frame's `at`, so the next new frame reports a gap, unless a replayed one is met before.
            self._position = -(1 << 62)
