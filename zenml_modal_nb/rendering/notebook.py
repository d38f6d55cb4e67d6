"""A run in a notebook: a panel updated in place, and the log as the cell's own output below it."""

from __future__ import annotations

import time
from collections.abc import Callable
from uuid import uuid4

from zenml_modal_nb.events import (
    Building,
    Cleared,
    Cost,
    Display,
    Event,
    Failed,
    Finished,
    Log,
    Progress,
    Stopped,
    Stream,
    Transfer,
)
from zenml_modal_nb.rendering import words
from zenml_modal_nb.rendering.ansi import Sieve, clean
from zenml_modal_nb.rendering.batch import Batch
from zenml_modal_nb.rendering.markup import html
from zenml_modal_nb.rendering.panel import Panel, advance
from zenml_modal_nb.rendering.plain import footer
from zenml_modal_nb.rendering.publisher import LivePublisher

_TICK = 0.9  # seconds between updates of a short run's clock; just under the second that ticks come at
_SLOWEST_TICK = 15.0
_TICKS_PER_RUN = 240  # the clock of a long run moves in coarser steps, or a day of ticks would fill the page


class NotebookRenderer:
    """Shows a run to whatever front end the kernel has, live or headless: both get HTML and text.

    A saved notebook holds the panel's last state and the log. `clock` returns seconds that only grow.
    """

    def __init__(
        self,
        publisher: LivePublisher,
        *,
        clock: Callable[[], float] = time.monotonic,
        display_id: str | None = None,
    ) -> None:
        self._publisher = publisher
        self._clock = clock
        self._display_id = display_id or f"zenml-modal-nb-{uuid4().hex}"
        self._batch = Batch(publisher, clock)
        self._sieves: dict[Stream, Sieve] = {"stdout": Sieve(), "stderr": Sieve()}
        self._panel: Panel | None = None
        self._clear_next = False  # what is shown next takes the place of all there is
        self._shown: dict[str, str] | None = None
        self._shown_at = float("-inf")

    def show(self, event: Event) -> None:
        """Show one event; the log's tail is sent even if no further event follows."""
        self._panel = advance(self._panel, event)
        if self._clear_next and isinstance(event, Log | Progress | Display):
            self._clear()
        match event:
            case Cleared(wait=wait):
                self._batch.clear()
                self._clear_next = True
                if not wait:
                    self._clear()
            case Log(text=text, stream=stream):
                self._batch.write(stream, self._sieves[stream].feed(text))
            case Progress(text=text, stream=stream):
                self._batch.progress(stream, clean(text).strip("\r\n"))
            case Display(data=data, metadata=metadata, display_id=display_id, update=update):
                self._batch.flush()  # in order with what was printed before it
                self._publisher.display(data, metadata, display_id, update=update)
            case Cost() | Building() | Transfer():
                if self._clock() - self._shown_at >= self._pause():
                    self._draw()
            case Finished() | Failed() | Stopped():
                self._batch.flush()
                self._draw()
            case _:
                self._draw()

    def _clear(self) -> None:
        """Clear the page but for the panel, which the cell does not know of."""
        self._clear_next = False
        self._publisher.clear()
        if self._panel is not None:
            self._publisher.display(self._bundle(self._panel), {}, self._display_id, update=False)

    def _bundle(self, panel: Panel) -> dict[str, str]:
        return {"text/html": html(panel), "text/plain": text(panel)}

    def _pause(self) -> float:
        elapsed = 0.0 if self._panel is None else self._panel.elapsed
        return min(_SLOWEST_TICK, max(_TICK, elapsed / _TICKS_PER_RUN))

    def _draw(self) -> None:
        if self._panel is None:
            return
        bundle = self._bundle(self._panel)
        if bundle == self._shown:
            return
        self._publisher.display(bundle, {}, self._display_id, update=self._shown is not None)
        self._shown = bundle
        self._shown_at = self._clock()


def text(panel: Panel) -> str:
    """Return the whole panel as text, for front ends and files without HTML."""
    lines = [words.name(panel.target), *words.facts(panel.target), words.note(panel.target)]
    if panel.started is not None:
        lines.append(words.sandbox(panel.started))
    if panel.phase.is_end:
        lines += footer(panel)
    else:
        lines.append(words.SEPARATOR.join(part for part in (words.state(panel), words.cost(panel)) if part))
    return "\n".join(line for line in lines if line)
