"""A publisher that keeps what it is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from zenml_modal_nb.events import Stream


@dataclass
class Page:
    """What a front end would hold: displays by ID in order, and the streams' text; time moves by hand."""

    now: float = 0.0
    sent: list[tuple[Any, ...]] = field(default_factory=list)
    timers: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def display(
        self, data: Mapping[str, Any], metadata: Mapping[str, Any], display_id: str | None, update: bool
    ) -> None:
        self.sent.append(("update" if update else "display", display_id, dict(data), self.now))

    def stream(self, name: Stream, text: str) -> None:
        self.sent.append(("stream", name, text, self.now))

    def clear(self) -> None:
        self.sent.append(("clear", None, "", self.now))

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self.timers.append((self.now + seconds, call))

    def clock(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass and every timer ring that is due."""
        end = self.now + seconds
        while due := sorted((timer for timer in self.timers if timer[0] <= end), key=lambda timer: timer[0]):
            self.timers.remove(due[0])
            self.now = max(self.now, due[0][0])
            due[0][1]()
        self.now = end

    def text(self, *names: Stream) -> str:
        return "".join(
            text for kind, name, text, _ in self.sent if kind == "stream" and (not names or name in names)
        )

    def displays(self) -> list[tuple[Any, ...]]:
        return [message for message in self.sent if message[0] in ("display", "update")]

    def wire(self) -> int:
        """Characters that went to the front end."""
        return sum(len(str(message[2])) for message in self.sent)
