"""A run in a notebook: a panel updated in place, and the log below it, in order with what the cell displays."""

from __future__ import annotations

import time
from collections.abc import Callable

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
    Resources,
    Stopped,
    Stream,
    Transfer,
)
from zenml_modal_nb.rendering.ansi import Sieve, clean
from zenml_modal_nb.rendering.batch import Batch
from zenml_modal_nb.rendering.page import Page
from zenml_modal_nb.rendering.panel import Panel, advance

_TICK = 0.9  # seconds between updates of a short run's clock; just under the second that ticks come at
_SLOWEST_TICK = 15.0
_TICKS_PER_RUN = 240  # the clock of a long run moves in coarser steps, or a day of ticks would fill the page


class NotebookRenderer:
    """Shows a run on a page, live or headless; a saved notebook holds the panel's last state and the log.

    `clock` returns seconds that only grow.
    """

    def __init__(self, page: Page, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._page = page
        self._clock = clock
        self._batch = Batch(page, clock)
        self._sieves: dict[Stream, Sieve] = {"stdout": Sieve(), "stderr": Sieve()}
        self._panel: Panel | None = None
        self._clear_next = False  # what is shown next takes the place of all there is
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
                self._page.display(data, metadata, display_id, update=update)
            case Cost() | Building() | Transfer() | Resources():
                if self._clock() - self._shown_at >= self._pause():
                    self._draw()
            case Finished() | Failed() | Stopped():
                self._batch.flush()
                self._draw()
            case _:
                self._draw()

    def _clear(self) -> None:
        self._clear_next = False
        self._page.clear()

    def _pause(self) -> float:
        elapsed = 0.0 if self._panel is None else self._panel.elapsed
        return min(_SLOWEST_TICK, max(_TICK, elapsed / _TICKS_PER_RUN))

    def _draw(self) -> None:
        if self._panel is not None:
            self._page.panel(self._panel)
            self._shown_at = self._clock()
