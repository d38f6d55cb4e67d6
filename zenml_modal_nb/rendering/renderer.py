"""What a front end's renderer is."""

from __future__ import annotations

from typing import Protocol

from zenml_modal_nb.events import Event


class Renderer(Protocol):
    """Shows a run; made by `choice.choose`, called by `run` with the events in order."""

    def show(self, event: Event) -> None:
        """Show one event; a `Cost` event is the clock's tick."""
