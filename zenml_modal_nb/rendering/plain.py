"""A run as lines of text: for logs, pipes and dumb terminals."""

from __future__ import annotations

from zenml_modal_nb.events import Building, Display, Event, Log, Started, Stream
from zenml_modal_nb.rendering import words
from zenml_modal_nb.rendering.ansi import Sieve, clean
from zenml_modal_nb.rendering.panel import Panel, Phase, advance
from zenml_modal_nb.rendering.publisher import Publisher


class PlainRenderer:
    """Prints each change of state once, the log as it comes, and a footer."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._panel: Panel | None = None
        self._sieves: dict[Stream, Sieve] = {"stdout": Sieve(), "stderr": Sieve()}
        self._open_line: Stream | None = None  # the stream whose last line has no end yet

    def show(self, event: Event) -> None:
        """Print what the event changes."""
        before, self._panel = self._panel, advance(self._panel, event)
        match event:
            case Log(text=text, stream=stream):
                self._log(stream, text)
            case Display(data=data):
                if said := data.get("text/plain"):
                    self._lines(clean(str(said)))
            case _ if self._panel is not None:
                self._state(before, self._panel, event)

    @property
    def panel(self) -> Panel | None:
        """What is known about the run."""
        return self._panel

    @property
    def in_a_line(self) -> bool:
        """Whether the log's last line has no end yet."""
        return self._open_line is not None

    def _log(self, stream: Stream, text: str) -> None:
        shown = self._sieves[stream].feed(text)
        if not shown:
            return
        if self._open_line is not None and self._open_line != stream:
            self._publisher.stream(self._open_line, "\n")
        self._publisher.stream(stream, shown)
        self._open_line = None if shown.endswith("\n") else stream

    def _state(self, before: Panel | None, panel: Panel, event: Event) -> None:
        label = f"[{words.name(panel.target)}]"
        if before is None:
            lines = [*words.facts(panel.target), words.note(panel.target)]
        elif panel.phase.is_end:
            lines = footer(panel)
        elif isinstance(event, Started):
            lines = [words.SEPARATOR.join((str(panel.phase), words.sandbox(event)))]
        elif isinstance(event, Building) and event.line:
            lines = [f"  {words.shortened(event.line, 200)}"]
        elif (before.phase, before.detail, before.done) != (panel.phase, panel.detail, panel.done):
            lines = [words.building(panel) if panel.phase is Phase.BUILDING else words.state(panel)]
        else:
            lines = []
        if lines:
            self._lines("\n".join(f"{label} {line}" for line in lines if line))

    def _lines(self, text: str) -> None:
        """Write whole lines of our own, on lines of their own."""
        if self._open_line is not None:
            self._publisher.stream(self._open_line, "\n")
            self._open_line = None
        self._publisher.stream("stdout", text if text.endswith("\n") else f"{text}\n")


def footer(panel: Panel) -> list[str]:
    """Return the lines that close a run: how it ended, what it cost, what came back, where it is recorded."""
    outputs = f"outputs: {', '.join(words.outputs(panel))}" if panel.outputs else ""
    ending = (words.state(panel), words.cost(panel), outputs)
    lines = [words.SEPARATOR.join(part for part in ending if part), words.message(panel), *words.files(panel)]
    if used := words.SEPARATOR.join(f"{label} {told}" for label, told in words.usage(panel)):
        lines.append(f"used: {used}")
    if remark := words.remark(panel):
        lines.append(f"next time: {remark}")
    if panel.recorded is not None:
        lines.append(f"ZenML run: {words.lookup(panel.recorded)}")
        lines.append(words.address(panel.recorded))
    return [line for line in lines if line]
