"""A run in a terminal: plain text, and one line at the bottom that moves."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate

from wcwidth import wcwidth

from zenml_modal_nb.events import Cost, Event, Failed, Finished, Log, Progress, Resources, Stopped, Transfer
from zenml_modal_nb.rendering import words
from zenml_modal_nb.rendering.ansi import uncoloured
from zenml_modal_nb.rendering.plain import PlainRenderer
from zenml_modal_nb.rendering.publisher import Publisher

_ERASE = "\r\x1b[2K"  # to the line's start, then clear it (ECMA-48 EL)
_NO_COLOUR = "\x1b[0m"  # a colour that the log left on would stain everything after it
_EMOJI, _EMOJI_WIDENS = "\ufe0f", 1  # e.g. \u2764\ufe0f: the heart alone is one column wide, as an emoji two


class TerminalRenderer:
    """Prints as `PlainRenderer` does, with state, cost or progress in the last line; for real terminals."""

    def __init__(self, publisher: Publisher, columns: Callable[[], int]) -> None:
        self._publisher = publisher
        self._columns = columns
        self._lines = PlainRenderer(publisher)
        self._drawn = False
        self._progress = ""

    def show(self, event: Event) -> None:
        """Print what the event changes, above the last line."""
        if isinstance(event, Progress):
            self._progress = uncoloured(event.text).strip("\r\n")
            self._draw(self._progress)
            return
        if isinstance(event, Cost | Resources):
            self._lines.show(event)
            self._draw(self._progress or self._state())
            return
        if isinstance(event, Log):
            self._progress = ""  # this is the line's final state
        if self._drawn:
            self._publisher.stream("stdout", _ERASE)
            self._drawn = False
        if isinstance(event, Finished | Failed | Stopped):
            self._publisher.stream("stdout", _NO_COLOUR)
        self._lines.show(event)
        if isinstance(event, Transfer):
            self._draw(self._state())

    def _state(self) -> str:
        panel = self._lines.panel
        if panel is None:
            return ""
        facts = (words.name(panel.target), words.state(panel), words.cost(panel))
        return words.SEPARATOR.join(fact for fact in facts if fact)

    def _draw(self, text: str) -> None:
        if not text or self._lines.in_a_line:
            return  # there is nothing to say yet, or an unfinished line of the log stands there
        self._publisher.stream("stdout", _ERASE + _NO_COLOUR + _fitting(text, self._columns() - 1))
        self._drawn = True


def _fitting(text: str, columns: int) -> str:
    """Return what of a text takes at most so many columns: of a line that wraps only the end would be erased.

    Each character counts for itself: what some terminals draw as one, e.g. a family of emoji, others draw apart.
    """
    text = text.expandtabs()
    ends = accumulate(_EMOJI_WIDENS if each == _EMOJI else max(wcwidth(each), 0) for each in text)
    return text[: sum(end <= columns for end in ends)]
