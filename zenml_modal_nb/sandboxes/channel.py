"""One output stream of a sandbox, verified: what the runner wrote, in order and complete.

`reading` feeds the lines that the SDK delivers and acts on what comes out; nothing here waits or knows Modal.
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


# A line that begins as a frame does. Line feeds alone end a line; str.splitlines knows eight more characters that a
# log may hold. The prefix comes first, so that a flood without one is searched at the speed of memory.
_MAYBE_FRAME = re.compile(
    rf"{re.escape(frames.PREFIX)}(?<=^{re.escape(frames.PREFIX)})[^\n]*\n?", re.MULTILINE
)

INCOMPLETE = "\n[the lines above are incomplete; the output is repeated in full]\n"

Item: TypeAlias = Text | Gap | frames.Frame


class Channel:
    """Takes one stream's lines, gives verified items; made and used by one follower."""

    def __init__(self, nonce: str) -> None:
        self._nonce = nonce
        self._held: list[str] = []  # text that no frame has verified yet
        self._shown: list[str] = []  # what was given out all the same, from the last verified frame on
        self._again = ""  # the end of it that a stream read again has still to repeat
        self._position = 0  # bytes counted in this reading of the stream
        self._placed = True  # what is held begins at the verified position
        self.verified = 0  # byte position up to which everything is known to be read
        self.base = (
            0  # where the runner's own copy begins: behind the `hello`, for standard error at the start
        )

    @property
    def holding(self) -> bool:
        """Whether text waits for a frame that verifies it."""
        return bool(self._held)

    def feed(self, text: str) -> list[Item]:
        """Take lines as the SDK delivered them, line feeds included; none is cut, the stream's last may have no end."""
        items: list[Item] = []
        start = 0
        for match in _MAYBE_FRAME.finditer(text):
            line = match[0]
            if (frame := frames.decode(line, self._nonce)) is None:
                continue
            self._hold(text[start : match.start()])
            start = match.end()
            items += self._take(frame, len(line))
        self._hold(text[start:])
        return items

    def _hold(self, text: str) -> None:
        if text:
            self._held.append(text)
            self._position += len(text.encode())

    def _take(self, frame: frames.Frame, size: int) -> list[Item]:
        """Take a frame, whose line has `size` bytes."""
        if frame.at < self.verified:
            # A replay: this was read before the connection broke.
            self._held.clear()
            self._position = frame.at + size
            self._placed = self._position == self.verified
            return []
        items: list[Item] = []
        # The first frame is at 0 whatever an image has printed before it.
        if frame.at == 0 or (self._placed and frame.at == self._position):
            items += [*self.release(), *self._corrected()]
        else:
            items.append(Gap(self.verified, frame.at, "".join(self._shown)))
        self._stand_at(frame.at + size)
        if frame.kind == "hello":
            self.base = self.verified
        items.append(frame)
        return items

    def release(self) -> list[Item]:
        """Give out the held text without waiting for a frame: nothing more has come for a while."""
        if not self._held or not self._placed:
            return []
        text = "".join(self._held)
        self._held.clear()
        again, self._again = self._again, ""
        if again.startswith(text):
            self._again = again[len(text) :]
            return []
        if text.startswith(again):
            text = text[len(again) :]
            self._shown.append(text)
            return [Text(text)]
        # The part that was shown had lines joined, e.g. around output that the server no longer had.
        self._shown = ["".join(self._shown).removesuffix(again) + text]
        return [Text(INCOMPLETE), Text(self._shown[0])]

    def skip_to(self, position: int) -> Gap:
        """Give up on the stream up to byte `position`: one gap, to be read from the sandbox's own copy."""
        gap = Gap(self.verified, position, "".join(self._shown))
        self._stand_at(position)
        self._placed = False  # the stream is still where it was
        return gap

    def reconnect(self) -> None:
        """Forget unverified text: the stream is about to be read again by a fresh handle, from an unknown place."""
        self._held.clear()
        self._again = "".join(self._shown)
        self._position = 0
        self._placed = self.verified == 0

    def _stand_at(self, position: int) -> None:
        """Everything up to `position` is read, and the stream goes on there."""
        self._held.clear()
        self._shown.clear()
        self._again = ""
        self.verified = self._position = position
        self._placed = True

    def _corrected(self) -> list[Text]:
        """Take back what was shown and, as the next frame says, is not in the stream."""
        if not self._again:
            return []
        rest = "".join(self._shown).removesuffix(self._again)
        return [Text(INCOMPLETE), *([Text(rest)] if rest else [])]

    def recover(self, gap: Gap, data: bytes) -> list[Text | frames.Frame]:
        """Turn the bytes of a gap, read from the sandbox's own copy, into the items they hold.

        There are fewer than the gap has where the copy could not be read to its end.
        """
        lost = gap.end - gap.start - len(data)
        if lost:
            whole = data.rfind(b"\n") + 1
            lost, data = lost + len(data) - whole, data[:whole]
        text = data.decode("utf-8", "replace")
        items: list[Text | frames.Frame] = []
        if gap.shown:
            if text.startswith(gap.shown):
                text = text[len(gap.shown) :]
            else:
                items.append(Text(INCOMPLETE))
        start = 0
        for match in _MAYBE_FRAME.finditer(text):
            if (frame := frames.decode(match[0], self._nonce)) is None:
                continue
            if start < match.start():
                items.append(Text(text[start : match.start()]))
            start = match.end()
            items.append(frame)
        if start < len(text):
            items.append(Text(text[start:]))
        if lost:
            items.append(Text(f"\n[{lost} bytes of the output are lost]\n"))
        return items
