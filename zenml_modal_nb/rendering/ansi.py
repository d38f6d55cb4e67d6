"""Text from a sandbox made harmless for a terminal: colours stay, every other control goes.

With cursor moves, window titles or clipboard writes, printed text could otherwise act on the user's machine.
"""

from __future__ import annotations

import re

_SGR = r"\x1b\[[0-9;:]*m"
_CONTROL = re.compile(
    rf"(?P<colour>{_SGR})"
    r"|\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)"  # OSC, DCS, SOS, PM, APC: with what they carry
    r"|\x1b\[[0-?]*[ -/]*[@-~]"  # any other CSI
    r"|\x1b[ -/]*[0-~]?"  # two-character sequences, and an escape that leads nowhere
    r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"  # C0 without \t \n \r, delete, C1 (8-bit CSI and OSC)
)
_ANY_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_ANY_SGR = re.compile(_SGR)
_UNFINISHED = re.compile(r"\x1b(?:\[[0-9;:]{0,32})?\Z")


def clean(text: str) -> str:
    r"""Return the text with only `\n`, `\t`, `\r` and colour sequences left of its control characters."""
    # Most text has none, and one class of characters is looked for ten times as fast as all sequences are.
    return _CONTROL.sub(lambda match: match["colour"] or "", text) if _ANY_CONTROL.search(text) else text


def uncoloured(text: str) -> str:
    """Return the text without any control sequence, colours included."""
    return _ANY_SGR.sub("", clean(text))


def ending(text: str, size: int) -> str:
    """Return the last characters of a cleaned text, and nothing of a colour sequence that the cut went through."""
    cut = len(text) - size
    if cut <= 0:
        return text
    begun = text.rfind("\x1b", 0, cut)
    sequence = _ANY_SGR.match(text, begun) if begun >= 0 else None
    return text[max(cut, sequence.end()) if sequence else cut :]


def plain(text: str) -> str:
    """Return the text without any control sequence, on one line, with single spaces."""
    return " ".join(uncoloured(text).split())


class Sieve:
    """Cleans one stream that comes in pieces: a colour sequence cut in two by a piece's end survives."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """Return what can be shown of the text so far."""
        text = self._held + text
        cut = _UNFINISHED.search(text)
        self._held = cut[0] if cut else ""
        return clean(text.removesuffix(self._held))
