"""What every front end's renderer is, and the one that shows nothing."""

from __future__ import annotations

from typing import Protocol

from zenml_modal_nb.events import Event


class Renderer(Protocol):
    """Shows a run; made by `choice.choose`, called by `run` with the events in order."""

    def show(self, event: Event) -> None:
        """Show one event; a `Cost` event is the clock's tick."""


class Silent:
    """Shows nothing: a run whose output nobody asked for."""

    def show(self, event: Event) -> None:
        """Take the event and show nothing."""
