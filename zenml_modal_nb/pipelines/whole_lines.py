"""Lines of a stream put together from text as it comes."""

from __future__ import annotations


class WholeLines:
    """The lines of one stream; a long one's pieces are joined once, at its end."""

    def __init__(self) -> None:
        self._pieces: list[str] = []  # of the line that has no end yet

    def take(self, text: str) -> list[str]:
        """Return the lines that have come to their end, without their line feeds."""
        *lines, rest = text.split("\n")
        if lines:
            lines[0] = f"{self.rest()}{lines[0]}"
        if rest:
            self._pieces.append(rest)
        return lines

    def rest(self) -> str:
        """Return the line that has no end yet, and begin another."""
        text = "".join(self._pieces)
        self._pieces.clear()
        return text
