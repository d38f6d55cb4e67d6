"""A run in a live notebook: a widget while it goes on, plain HTML and text in its place when it has ended.

A widget's saved form is only a reference, and nothing of it is left where there is no kernel: so the panel and every
part of the log are displays with IDs of their own, and each is replaced by what it shows in the end. The log comes in
parts, one after each plot, so that both stand in the order in which the cell made them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any
from uuid import uuid4

import anywidget
import traitlets

from zenml_modal_nb.events import Stream
from zenml_modal_nb.rendering import words
from zenml_modal_nb.rendering.kept import keep
from zenml_modal_nb.rendering.lines import Lines
from zenml_modal_nb.rendering.markup import log_html, unread_log_html
from zenml_modal_nb.rendering.page import Pace, bundle, with_note
from zenml_modal_nb.rendering.panel import Panel, Phase
from zenml_modal_nb.rendering.publisher import KernelPublisher

MOST_PARTS = 40  # of a log in widgets; further ones are the cell's own output, as in every front end
SLOTS = 256  # pieces that a part's widget holds until its script, which loads beside, has taken them
BEAT = 10.0  # seconds between signs of life; panel_live.js waits for three
_VIEW = "application/vnd.jupyter.widget-view+json"
_PIECE = 1 << 20  # bytes of a log file in one message
_STARTING = (Phase.PACKAGING, Phase.BUILDING)


def _asset(*names: str) -> str:
    return "\n".join(files(__package__).joinpath(name).read_text("utf-8") for name in names)


class LivePanel(anywidget.AnyWidget):
    """The panel's widget: shows `face`, and asks for a stop or for the log file; made by `WidgetPage`."""

    _esm = _asset("shared_live.js", "panel_live.js")
    _css = _asset("panel.css", "live.css")
    face = traitlets.Dict().tag(sync=True)
    run = traitlets.Unicode().tag(sync=True)  # what the log's parts know their panel by


@dataclass(slots=True)
class Part:
    """A piece of the log between two displays."""

    comm_id: str = field(default_factory=lambda: uuid4().hex)
    display_id: str = field(default_factory=lambda: f"zenml-modal-nb-{uuid4().hex}")
    lines: Lines = field(default_factory=Lines)  # of all that was printed
    count: int = 0  # of pieces sent
    # Of each stream the lines that were sent, or left out.
    ended: dict[Stream, int] = field(default_factory=lambda: {"stdout": 0, "stderr": 0})


class WidgetPage:
    """Panel and log as widgets; made by `choice`, for a front end that shows widgets.

    `stop` ends the run. While a cell runs, a front end's messages reach the kernel only by a subshell; the panel asks
    once, and offers what it has heard an answer to.
    """

    # Three times what 50 lines of 80 characters a second are, for as long as the run lasts. After its first 96 KiB a
    # flood costs that and no more, so one of a hundred seconds less than 2 MB with its messages.
    pace = Pace(burst=96 << 10, rate=12 << 10, tail=4 << 10, quick=1 << 40, interval=0.02)

    def __init__(self, publisher: KernelPublisher, stop: Callable[[], None]) -> None:
        self._publisher = publisher
        self._stop = stop
        self._display_id = f"zenml-modal-nb-{uuid4().hex}"
        self._widget: LivePanel | None = None
        self._panel: Panel | None = None
        self._parts: list[Part] = []
        self._spare: list[Part] = []  # of a page that was cleared, for what comes next
        self._open: Part | None = None  # which the next text goes to
        self._foreign = False  # something that is not ours stands on the page
        self.later = publisher.later

    def panel(self, panel: Panel) -> None:
        """Show the panel; with its last state everything becomes plain HTML and text."""
        self._panel = panel
        if panel.phase.is_end:
            self._settle(panel)
        elif self._widget is None:
            self._widget = LivePanel(face=face(panel), run=self._display_id)
            self._widget.on_msg(self._answer)
            # ipykernel 7.4 hands a message of the page to the shell that has last spoken through its comm, whatever
            # subshell the page names: that would be the one that the cell keeps busy.
            comm: Any = self._widget.comm
            comm.__dict__.pop("_reply_subshell_id", None)
            self._show(update=False)
            self.later(BEAT, partial(self._beat, self._widget))
        else:
            self._send(self._id, {"face": face(panel)})

    def hold(self, name: Stream, text: str) -> None:
        """Keep text for the page of the end in the part of the log that is open, or in a new one."""
        if self._open is None and self._widget is not None and len(self._parts) < MOST_PARTS:
            self._open = self._begin(self._widget)
        if self._open is not None:
            self._open.lines.write(name, text)

    def stream(self, name: Stream, text: str, left_out: int = 0) -> None:
        """Send text to the part of the log that is open; what is sent was held before."""
        part = self._open
        if part is None:
            self._publisher.stream(name, with_note(text, left_out))
            self._foreign = True
            return
        part.ended[name] += left_out
        self._send_piece(part, int(name == "stderr"), text)
        part.ended[name] += text.count("\n")

    def display(
        self, data: Mapping[str, Any], metadata: Mapping[str, Any], display_id: str | None, update: bool
    ) -> None:
        """Show a display of the cell; what is printed next stands below it."""
        if not update:
            self._open = None
            self._foreign = True
        self._publisher.display(data, metadata, display_id, update)

    def clear(self) -> None:
        """Clear the page but for the panel, which the cell does not know of."""
        if self._widget is not None and not self._foreign and len(self._parts) <= 1:
            # Only ours stands there. To take it away and show it again would cost who uses it the focus.
            for part in self._parts:
                self._empty(part)
            return
        self._publisher.clear()
        self._foreign = False
        self._open = None
        self._spare += self._parts
        self._parts.clear()
        if self._widget is not None:
            self._show(update=False)

    @property
    def _id(self) -> str:
        assert self._widget is not None
        return str(self._widget.model_id)

    def _show(self, *, update: bool) -> None:
        assert self._panel is not None
        # Not sent anew as the run goes on: the page would take that for another widget, and draw it from the start.
        data = {**bundle(self._panel, saved=True), _VIEW: _view(self._id)}
        self._publisher.display(data, {}, self._display_id, update)

    def _send(self, comm_id: str, state: Mapping[str, Any]) -> None:
        # Not by the widget's own way: the text is in no trait, and this may be any thread.
        self._publisher.comm("comm_msg", comm_id, {"method": "update", "state": state, "buffer_paths": []})

    def _send_piece(self, part: Part, stream: int, text: str | None) -> None:
        """Send text of a stream, 0 or 1, or that the part is empty from now on."""
        piece = [part.count, stream, int(time.time() * 1000), text, *part.ended.values()]
        self._send(part.comm_id, {f"c{part.count % SLOTS}": piece})
        part.count += 1

    def _empty(self, part: Part) -> None:
        part.lines = Lines()
        self._send_piece(part, 0, None)

    def _begin(self, widget: LivePanel) -> Part:
        # Not a new one where an old one is free: each loads a module, and a page can unload none.
        if self._spare:
            part = self._spare.pop()
            self._empty(part)
        else:
            part = Part()
            self._open_model(part, widget)
        assert self._panel is not None
        so_far = f"; so far: {words.shortened(self._panel.log, 300)}" if self._panel.log else ""
        told = f"[the log, which is a widget until the run has ended{so_far}]"
        data = {"text/html": unread_log_html(told), "text/plain": told}
        self._publisher.display({**data, _VIEW: _view(part.comm_id)}, {}, part.display_id, update=False)
        self._parts.append(part)
        return part

    def _open_model(self, part: Part, widget: LivePanel) -> None:
        kept = ("_model_", "_view_", "_dom_classes", "layout", "tabbable", "tooltip", "run")
        state = {
            **{name: value for name, value in widget.get_state().items() if name.startswith(kept)},
            "_esm": _LOG_SCRIPT,
            "_css": "",
            "_anywidget_id": f"{__name__}.Part",
        }
        self._publisher.comm(
            "comm_open",
            part.comm_id,
            {"state": state, "buffer_paths": []},
            target_name="jupyter.widget",
            metadata={"version": "2.1.0"},
        )

    def _settle(self, panel: Panel) -> None:
        pages: dict[str, str] = {}  # by the widget that showed it
        if self._widget is not None:
            self._send(self._id, {"face": face(panel)})  # its script has the end read aloud
        for part in self._parts:
            data = {"text/html": log_html(part.lines), "text/plain": part.lines.text()}
            pages[part.comm_id] = data["text/html"]
            self._publisher.display(data, {}, part.display_id, update=True)
        for part in (*self._parts, *self._spare):
            self._publisher.comm("comm_close", part.comm_id, {})
        self._parts.clear()
        self._spare.clear()
        self._open = None
        end = bundle(panel)
        self._publisher.display(end, {}, self._display_id, update=self._widget is not None)
        if self._widget is not None:
            pages[self._id] = end["text/html"]
            layout = self._widget.layout
            self._widget.on_msg(self._answer, remove=True)
            self._widget.close()
            self._widget = None
            keep(pages, layout)

    def _beat(self, widget: LivePanel) -> None:
        """Tell the panel's script that the kernel is there: of a long phase nothing else may come for minutes."""
        if self._widget is widget:
            content = {"method": "custom", "content": {"kind": "alive"}}
            self._publisher.comm("comm_msg", str(widget.model_id), content)
            self.later(BEAT, partial(self._beat, widget))

    def _answer(self, widget: LivePanel, content: object, buffers: object) -> None:
        """Act on what the panel's script asks for, on the thread of a subshell, or when the cell has ended."""
        wanted = content.get("kind") if isinstance(content, dict) else None
        if wanted == "hello":
            widget.send({"kind": "hello"})
        elif wanted == "stop":
            self._stop()
            widget.send({"kind": "stopping"})
        elif wanted == "log" and self._panel is not None and self._panel.log:
            _send_file(widget, Path(self._panel.log))


def _send_file(widget: LivePanel, path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        pieces = iter(partial(file.read, _PIECE), b"")
        for number, piece in enumerate(pieces):
            widget.send({"kind": "log", "first": number == 0, "last": False}, buffers=[piece])
    widget.send({"kind": "log", "first": size == 0, "last": True})


def _view(model_id: str) -> dict[str, Any]:
    return {"version_major": 2, "version_minor": 0, "model_id": model_id}


def face(panel: Panel) -> dict[str, Any]:
    """Return what the panel's script shows, in words: it makes text of it and nothing else."""
    doing, since = words.activity(panel)
    use, target = panel.use, panel.target
    tops = (target.cpu or 0, target.memory_mib or 0, 100)
    samples = (use.cpu, use.memory_mib, use.gpu)
    return {
        "name": words.name(target),
        "phase": str(panel.phase),
        "doing": doing,
        "since": since,
        "timeout": target.timeout if panel.phase is Phase.RUNNING else 0,
        "cost": words.cost(panel),
        "lines": [line for line in (*words.facts(target), words.note(target), _sandbox(panel)) if line],
        "links": words.links(panel),
        "share": _share(panel),
        "use": [
            {"label": label, "told": told, "top": top, "samples": [round(each, 3) for each in found[-60:]]}
            for (label, told), top, found in zip(words.usage(panel), tops, samples, strict=False)
        ],
        "log": words.shortened(panel.log, 300),
    }


def _sandbox(panel: Panel) -> str:
    return "" if panel.started is None else words.sandbox(panel.started)


def _share(panel: Panel) -> float | None:
    """Return how much of a long phase is done, from 0 to 1; -1 where nobody knows, None where there is no bar."""
    if panel.phase in (Phase.SENDING, Phase.COLLECTING) and panel.transfer is not None:
        return min(1.0, panel.transfer.done / max(1, panel.transfer.total))
    if panel.phase is Phase.BUILDING and panel.done:
        return panel.done / panel.layers
    return -1.0 if panel.phase in _STARTING or panel.phase is Phase.WAITING else None


_LOG_SCRIPT = _asset("shared_live.js", "log_live.js")
