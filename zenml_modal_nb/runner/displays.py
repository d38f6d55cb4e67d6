"""Rich output without IPython: what an object says of itself becomes a MIME bundle in a `display` frame."""

from __future__ import annotations

import hashlib
import itertools
import json
import sys
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from zenml_modal_nb.runner import stand_in
from zenml_modal_nb.runner.formatters import Bundle, DisplayFormatter, jsonable
from zenml_modal_nb.runner.imports import AfterImport
from zenml_modal_nb.runner.output import Output

_INLINE_LIMIT = 6 * 1024  # bytes of JSON; larger ones are files


class Displays:
    """Sends bundles; made once by `program`, reached by the cell through the builtin `display`."""

    def __init__(self, output: Output, directory: Path) -> None:
        self._output = output
        self._directory = directory
        self._numbers = itertools.count(1)
        self.formatter = DisplayFormatter()
        self.captured: list[dict[str, Any]] | None = None  # by `shell`: what is shown is kept there instead

    def show(
        self,
        *objects: Any,
        metadata: dict[str, Any] | None = None,
        raw: bool = False,
        display_id: object = None,
        **_: Any,
    ) -> Any:
        """Show objects as `IPython.display.display` does; `raw` means that they are MIME bundles already."""
        for thing in objects:
            if not raw and self.formatter.shows_itself(thing):
                continue
            made = Bundle(jsonable(dict(thing)), {}) if raw else self.formatter.bundle(thing)
            self.send(Bundle(made.data, {**made.metadata, **jsonable(metadata or {})}))
        if not display_id:
            return None
        # An update is shown below what was shown before.
        handle = stand_in.find("IPython.core.display_functions", "DisplayHandle")
        return handle(display_id if isinstance(display_id, str) else uuid.uuid4().hex)

    def send(self, made: Bundle) -> None:
        """Send one bundle, through a file if it is large; in a forked process its text is printed instead."""
        if self.captured is not None:
            shown = {"data": made.data, "metadata": made.metadata, "transient": None, "update": False}
            self.captured.append(shown)
            return
        if not self._output.here:
            sys.stdout.write(f"{made.data.get('text/plain', '')}\n")
            return
        fields: dict[str, Any] = {"data": made.data, "metadata": made.metadata}
        content = json.dumps(fields).encode("ascii")
        if len(content) > _INLINE_LIMIT:
            name = f"out/display-{next(self._numbers):06d}.json"
            (self._directory / name).write_bytes(content)
            fields = {"file": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        self._output.emit("display", fields)

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
        # An installed IPython that has no shell prints instead.
        stand_in.take_over(imports, shell, self._functions())

    def _functions(self) -> dict[str, Any]:
        def update_display(thing: Any, *, display_id: object, **options: Any) -> None:
            self.show(thing, **options)

        def publish_display_data(data: Any, metadata: Any = None, **_: Any) -> None:
            self.send(Bundle(jsonable(data), jsonable(metadata or {})))

        def clear_output(wait: bool = False) -> None:
            """Do nothing: what a sandbox has shown is sent, and its log is kept whole."""

        return {
            "display": self.show,
            "update_display": update_display,
            "publish_display_data": publish_display_data,
            "clear_output": clear_output,
        }


def comes_back(value: Any) -> bool:
    """Say whether a last expression's value makes sense in the notebook; a line of a plot does not."""
    members: Iterable[Any] = (value,)
    if isinstance(value, list | tuple | dict):
        members = list(value.values() if isinstance(value, dict) else value)[:20]
    return not any(
        type(member).__module__.partition(".")[0] in ("matplotlib", "seaborn") for member in members
    )
