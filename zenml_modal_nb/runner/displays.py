"""Rich output without IPython: what an object says of itself becomes a MIME bundle in a `display` frame."""

from __future__ import annotations

import itertools
import json
import os
import sys
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zenml_modal_nb.runner import digests, stand_in
from zenml_modal_nb.runner.formatters import Bundle, DisplayFormatter, jsonable
from zenml_modal_nb.runner.imports import AfterImport
from zenml_modal_nb.runner.output import Output

_INLINE_LIMIT = 6 * 1024  # bytes of JSON; larger ones are files
_WIDGET = "application/vnd.jupyter.widget-view+json"
_NO_WIDGETS = (
    "Widgets of the sandbox have no way to the notebook's page; their text is shown in their place.\n"
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a bundle is shown: as a display of that ID, or in the place of the one that there is."""

    display_id: str
    update: bool = False


class Displays:
    """Sends bundles; made once by `program`, reached by the cell through the builtin `display`."""

    def __init__(self, output: Output, directory: Path) -> None:
        self._output = output
        self._directory = directory
        self._numbers = itertools.count(1)
        self.formatter = DisplayFormatter()
        self.captured: list[dict[str, Any]] | None = None  # by `shell`: what is shown is kept there instead
        self._told = False  # that there are no widgets

    def show(
        self,
        *objects: Any,
        include: Any = None,
        exclude: Any = None,
        metadata: dict[str, Any] | None = None,
        transient: dict[str, Any] | None = None,
        display_id: object = None,
        raw: bool = False,
        update: bool = False,
        **_: Any,
    ) -> Any:
        """Show objects as `IPython.display.display` does; `raw` means that they are MIME bundles already."""
        wanted = display_id or (transient or {}).get("display_id")
        if update and not wanted:
            raise TypeError("display_id required for update_display")
        place = Place(wanted if isinstance(wanted, str) else uuid.uuid4().hex, update) if wanted else None
        if not objects and display_id:  # a place for what is to be shown later
            objects, raw = ({},), True
        for thing in objects:
            if not raw and self.formatter.shows_itself(thing):
                continue
            made = (
                Bundle(jsonable(dict(thing)), {}) if raw else self.formatter.bundle(thing, include, exclude)
            )
            if made.data or raw:
                self.send(Bundle(made.data, {**made.metadata, **jsonable(metadata or {})}), place)
        if place is None or not display_id:
            return None
        return stand_in.find("IPython.core.display_functions", "DisplayHandle")(place.display_id)

    def hook(self, value: Any) -> None:
        """Show the value of an expression, as `sys.displayhook` does."""
        if value is not None:
            self.show(value)

    def send(self, made: Bundle, place: Place | None = None) -> None:
        """Send one bundle, through a file if it is large; in a forked process its text is printed instead."""
        if _WIDGET in made.data:
            made = self._without_the_widget(made)
        if self.captured is not None:
            transient = None if place is None else {"display_id": place.display_id}
            update = place is not None and place.update
            shown = {"data": made.data, "metadata": made.metadata, "transient": transient, "update": update}
            self.captured.append(shown)
            return
        if not self._output.here:
            sys.stdout.write(f"{made.data.get('text/plain', '')}\n")
            return
        fields: dict[str, Any] = {"data": made.data, "metadata": made.metadata}
        content = json.dumps(fields).encode("ascii")
        if len(content) > _INLINE_LIMIT:
            name = f"out/display-{next(self._numbers):06d}.json"
            _write(self._directory / name, content)
            fields = {"file": name, "size": len(content), "sha256": digests.of_content([content])}
        about = {} if place is None else {"id": place.display_id, "update": place.update}
        self._output.emit("display", {**fields, **about})

    def _without_the_widget(self, made: Bundle) -> Bundle:
        # A page finds a widget by its model, which is here: without the reference it shows what else there is.
        if not self._told:
            self._told = True
            sys.stderr.write(_NO_WIDGETS)
        data = {kind: part for kind, part in made.data.items() if kind != _WIDGET}
        return Bundle(data or {"text/plain": "[a widget]"}, made.metadata)

    def clear(self, wait: bool = False) -> None:
        """Take away what the cell has shown and printed so far, `wait`: when there is something to show instead."""
        if self.captured is not None:
            self.captured.clear()
        elif self._output.here:
            self._output.emit("clear", {"wait": bool(wait)})

    def show_last(self, value: Any) -> None:
        """Show a last expression's value that stays here; an open figure is shown with the others."""
        if self.captured is not None:
            made = self.formatter.bundle(value)
            self.captured.append({"data": made.data, "metadata": made.metadata})
            return
        pyplot = sys.modules.get("matplotlib.pyplot")
        if pyplot is None or not any(pyplot.figure(number) is value for number in pyplot.get_fignums()):
            self.show(value)

    def show_figures(self) -> None:
        """Show the figures that matplotlib has open, and close them, as a notebook does after each cell."""
        pyplot = sys.modules.get("matplotlib.pyplot")
        if pyplot is None:
            return
        for number in pyplot.get_fignums():
            self.show(pyplot.figure(number))
        pyplot.close("all")

    def take_over(self, imports: AfterImport, shell: Callable[[], Any]) -> None:
        """Become what matplotlib and IPython show things with, wherever the cell imports them."""

        def show(*_: Any, **__: Any) -> None:
            # A function, since pyplot sets attributes on it.
            self.show_figures()

        imports.add("matplotlib.pyplot", lambda pyplot: vars(pyplot).update(show=show))
        imports.add("plotly.io._renderers", _without_the_script)
        imports.add("tqdm.notebook", _with_text_bars)
        # An installed IPython that has no shell prints instead.
        stand_in.take_over(imports, shell, self._functions())

    def _functions(self) -> dict[str, Any]:
        def update_display(thing: Any, *, display_id: object, **options: Any) -> None:
            self.show(thing, display_id=display_id, update=True, **options)

        def publish_display_data(
            data: Any, metadata: Any = None, *, transient: Any = None, update: bool = False, **_: Any
        ) -> None:
            display_id = (transient or {}).get("display_id")
            place = None if display_id is None else Place(display_id, update)
            self.send(Bundle(jsonable(data), jsonable(metadata or {})), place)

        return {
            "display": self.show,
            "update_display": update_display,
            "publish_display_data": publish_display_data,
            "clear_output": self.clear,
        }


def _without_the_script(renderers: Any) -> None:
    """Keep plotly from sending 4 MB of script along, for front ends that it knows no better.

    Those that show its figures have the script; where none is named plotly would choose this one here too.
    """
    if renderers.renderers.default == "plotly_mimetype+notebook":
        renderers.renderers.default = "plotly_mimetype"


def _with_text_bars(notebook: Any) -> None:
    """Make tqdm's bars of notebooks, which are widgets, bars of text; `tqdm.auto` has its own from there."""
    bar: Any = sys.modules["tqdm.std"].tqdm

    class TextBar(bar):  # type: ignore[misc]  # what tqdm is, is known in the sandbox only
        def __init__(self, *arguments: Any, display: bool = True, **options: Any) -> None:
            super().__init__(*arguments, **options)  # which knows no `display`

    def trange(*arguments: Any, **options: Any) -> Any:
        return TextBar(range(*arguments), **options)

    for made, name in ((TextBar, "tqdm_notebook"), (trange, "tnrange")):
        made.__module__, made.__name__, made.__qualname__ = (
            notebook.__name__,
            name,
            name,
        )  # where pickle looks
    vars(notebook).update(tqdm=TextBar, tqdm_notebook=TextBar, trange=trange, tnrange=trange)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())  # whoever is told of the file may read it from another machine


def comes_back(value: Any) -> bool:
    """Say whether a last expression's value makes sense in the notebook; a line of a plot does not."""
    members: Iterable[Any] = (value,)
    if isinstance(value, list | tuple | dict):
        members = list(value.values() if isinstance(value, dict) else value)[:20]
    return not any(
        type(member).__module__.partition(".")[0] in ("matplotlib", "seaborn") for member in members
    )
