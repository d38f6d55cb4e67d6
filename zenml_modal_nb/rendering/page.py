"""Where a run stands in a notebook: its panel as HTML that replaces itself, the log as the cell's own output."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import uuid4

from zenml_modal_nb.events import Stream
from zenml_modal_nb.rendering import words
from zenml_modal_nb.rendering.markup import html
from zenml_modal_nb.rendering.panel import Panel
from zenml_modal_nb.rendering.plain import footer
from zenml_modal_nb.rendering.publisher import LivePublisher


@dataclass(frozen=True, slots=True)
class Pace:
    """How much of a log a page takes, and how often; characters and seconds."""

    burst: int = 1 << 20  # characters that may be shown as fast as they come
    rate: int = 32 << 10  # characters a second after that, so that an endless flood stays readable and small
    tail: int = 16 << 10  # characters kept of what a flood could not show
    quick: int = 64 << 10  # characters up to which each line may be a message of its own
    interval: float = 0.05  # seconds between messages after that: twenty a second look continuous


class Page(Protocol):
    """Where a run is shown; one per run, made by `choice`."""

    pace: Pace

    def display(
        self, data: Mapping[str, Any], metadata: Mapping[str, Any], display_id: str | None, update: bool
    ) -> None:
        """Show a display of the cell."""

    def hold(self, name: Stream, text: str) -> None:
        """Take text of the log for what stands there in the end, whether or not it is sent before."""

    def stream(self, name: Stream, text: str, left_out: int = 0) -> None:
        """Append text to the log; so many line ends of this stream before it were left out."""

    def clear(self) -> None:
        """Take away all but the panel, which the cell does not know of."""

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call back once, on the thread that sends: `call` must not wait for who may be publishing."""

    def panel(self, panel: Panel) -> None:
        """Show the panel, for the first time or as it is now."""


class HtmlPage:
    """For every front end, live or headless: a display under one ID that is updated in place, and stream text."""

    pace = Pace()

    def __init__(self, publisher: LivePublisher, *, display_id: str | None = None) -> None:
        self._publisher = publisher
        self._display_id = display_id or f"zenml-modal-nb-{uuid4().hex}"
        self._shown: dict[str, str] | None = None
        self.display = publisher.display
        self.later = publisher.later

    def hold(self, name: Stream, text: str) -> None:
        """Do nothing: the log is the cell's own output, and what was not sent is not there."""

    def stream(self, name: Stream, text: str, left_out: int = 0) -> None:
        """Send text of the log, below a line about what was left out."""
        self._publisher.stream(name, with_note(text, left_out))

    def panel(self, panel: Panel) -> None:
        """Send what has changed."""
        if (now := bundle(panel)) != self._shown:
            self._publisher.display(now, {}, self._display_id, update=self._shown is not None)
            self._shown = now

    def clear(self) -> None:
        """Clear the page but for the panel, which the cell does not know of."""
        self._publisher.clear()
        if self._shown is not None:
            self._publisher.display(self._shown, {}, self._display_id, update=False)


def with_note(text: str, left_out: int) -> str:
    """Return the text below a line that says how many lines before it were left out, if any were."""
    return f"{words.left_out(left_out)}\n{text}" if left_out else text


def bundle(panel: Panel, *, saved: bool = False) -> dict[str, str]:
    """Return the whole panel as HTML and as text, as `html` does."""
    return {"text/html": html(panel, saved=saved), "text/plain": text(panel, saved=saved)}


def text(panel: Panel, *, saved: bool = False) -> str:
    """Return the whole panel as text, for front ends and files without HTML."""
    lines = [words.name(panel.target), *words.facts(panel.target), words.note(panel.target)]
    if panel.started is not None:
        lines.append(words.sandbox(panel.started))
    if saved:
        lines += words.saved(panel)
    elif panel.phase.is_end:
        lines += footer(panel)
    else:
        lines.append(words.SEPARATOR.join(part for part in (words.state(panel), words.cost(panel)) if part))
    return "\n".join(line for line in lines if line)
