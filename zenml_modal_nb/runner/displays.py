"""Rich output without IPython: what an object says of itself becomes a MIME bundle in a `display` frame."""

from __future__ import annotations

import base64
import io
import itertools
import json
import os
import sys
import traceback
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from zenml_modal_nb.runner import digests, remains, rich
from zenml_modal_nb.runner.imports import AfterImport, StandIn
from zenml_modal_nb.runner.output import Output

_INLINE_LIMIT = 6 * 1024  # bytes of JSON; larger ones are files

# Method, MIME type; the order is that of IPython's formatters.
_METHODS = (
    ("_repr_html_", "text/html"),
    ("_repr_markdown_", "text/markdown"),
    ("_repr_svg_", "image/svg+xml"),
    ("_repr_png_", "image/png"),
    ("_repr_pdf_", "application/pdf"),
    ("_repr_jpeg_", "image/jpeg"),
    ("_repr_latex_", "text/latex"),
    ("_repr_json_", "application/json"),
    ("_repr_javascript_", "application/javascript"),
)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A MIME bundle: data and metadata by MIME type, ready for JSON."""

    data: dict[str, Any]
    metadata: dict[str, Any]


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

    def show(
        self,
        *objects: Any,
        metadata: dict[str, Any] | None = None,
        raw: bool = False,
        display_id: object = None,
        update: bool = False,
        **_: Any,
    ) -> DisplayHandle | None:
        """Show objects as `IPython.display.display` does; `raw` means that they are MIME bundles already."""
        handle = DisplayHandle(display_id) if display_id else None
        place = None if handle is None else Place(handle.display_id, update)
        for thing in objects:
            own = None if raw or isinstance(thing, type) else getattr(thing, "_ipython_display_", None)
            if callable(own):
                own()
                continue
            made = Bundle(dict(thing), {}) if raw else bundle(thing)
            self.send(Bundle(_jsonable(made.data), _jsonable({**made.metadata, **(metadata or {})})), place)
        return handle

    def send(self, made: Bundle, place: Place | None = None) -> None:
        """Send one bundle, through a file if it is large; in a forked process its text is printed instead."""
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

    def show_last(self, value: Any) -> None:
        """Show a last expression's value that stays here; an open figure is shown with the others."""
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

    def take_over(self, imports: AfterImport) -> None:
        """Become what matplotlib and IPython show things with, wherever the cell imports them."""
        DisplayHandle.show = self.show

        def show(*_: Any, **__: Any) -> None:
            # A function, since pyplot sets attributes on it.
            self.show_figures()

        imports.add("matplotlib.pyplot", lambda pyplot: vars(pyplot).update(show=show))
        # An installed IPython that has no shell prints instead.
        imports.add("IPython.core.display_functions", lambda found: vars(found).update(self._functions()))
        StandIn(rich.modules(self._functions()))

    def _functions(self) -> dict[str, Any]:
        def update_display(thing: Any, *, display_id: object, **options: Any) -> None:
            self.show(thing, display_id=display_id, update=True, **options)

        def publish_display_data(
            data: Any, metadata: Any = None, *, transient: Any = None, update: bool = False, **_: Any
        ) -> None:
            display_id = (transient or {}).get("display_id")
            place = None if display_id is None else Place(display_id, update)
            self.send(Bundle(_jsonable(data), _jsonable(metadata or {})), place)

        def clear_output(wait: bool = False) -> None:
            """Do nothing: what a sandbox has shown is sent, and its log is kept whole."""

        return {
            "display": self.show,
            "update_display": update_display,
            "publish_display_data": publish_display_data,
            "clear_output": clear_output,
            "DisplayHandle": DisplayHandle,
        }


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())  # whoever is told of the file may read it from another machine


class DisplayHandle:
    """What `display(…, display_id=True)` returns; in the notebook it is IPython's own, of the same display."""

    show: ClassVar[Callable[..., object]]  # of the process's `Displays`

    def __init__(self, display_id: object = None) -> None:
        self.display_id = display_id if isinstance(display_id, str) else uuid.uuid4().hex

    def __repr__(self) -> str:
        return f"<{type(self).__name__} display_id={self.display_id}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return remains.make_display_handle, (self.display_id,)

    def display(self, thing: Any, **options: Any) -> None:
        """Show an object once more, under the same ID."""
        type(self).show(thing, display_id=self.display_id, **options)

    def update(self, thing: Any, **options: Any) -> None:
        """Show an object in the place of what was shown."""
        type(self).show(thing, display_id=self.display_id, update=True, **options)


def bundle(thing: Any) -> Bundle:
    """Ask an object for its representations; one that fails is left out, and standard error says so."""
    data: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    if not isinstance(thing, type):
        whole = _call(thing, "_repr_mimebundle_", include=None, exclude=None)
        data, metadata = _parts(whole)
        for method, kind in _METHODS:
            if kind not in data:
                part, about = _parts(_call(thing, method), kind)
                data.update(part)
                metadata.update(about)
        data = {**_figure(thing), **data}
    if "text/plain" not in data:
        data["text/plain"] = _plain(thing)
    return Bundle(_jsonable(data), _jsonable(metadata))


def comes_back(value: Any) -> bool:
    """Say whether a last expression's value makes sense in the notebook; a line of a plot does not."""
    members: Iterable[Any] = (value,)
    if isinstance(value, list | tuple | dict):
        members = list(value.values() if isinstance(value, dict) else value)[:20]
    return not any(
        type(member).__module__.partition(".")[0] in ("matplotlib", "seaborn") for member in members
    )


def _parts(result: Any, kind: str | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split what a method returns into data and metadata; it may return both, as a pair."""
    about: Any = {}
    if isinstance(result, tuple) and len(result) == 2:
        result, about = result
    if result is None:
        return {}, {}
    if kind is not None:
        return {kind: result}, {kind: about} if about else {}
    return (dict(result), dict(about)) if isinstance(result, dict) else ({}, {})


def _call(thing: Any, name: str, **arguments: Any) -> Any:
    try:
        method = getattr(thing, name, None)
        # An object that answers to any name has no representations, e.g. a mock or a remote proxy.
        if not callable(method) or callable(getattr(thing, "_zmnb_no_such_method_", None)):
            return None
        return method(**arguments)
    except NotImplementedError:  # how an object says that it has no such representation just now
        return None
    except Exception:  # noqa: BLE001  # a representation is the user's or a library's code
        traceback.print_exc()
        return None


def _plain(thing: Any) -> str:
    try:
        return repr(thing)
    except Exception as error:  # noqa: BLE001  # as above
        return f"<{type(thing).__name__} whose repr failed: {type(error).__name__}>"


def _figure(thing: Any) -> dict[str, Any]:
    figures = sys.modules.get("matplotlib.figure")
    if figures is None or not isinstance(thing, figures.Figure):
        return {}
    file = io.BytesIO()
    try:
        thing.savefig(file, format="png", bbox_inches="tight")
    except Exception:  # noqa: BLE001  # e.g. a formula that cannot be drawn: the text below is still shown
        traceback.print_exc()
        return {}
    width, height = thing.get_size_inches() * thing.dpi
    text = f"<Figure size {width:.0f}x{height:.0f} with {len(thing.axes)} Axes>"
    return {"image/png": file.getvalue(), "text/plain": text}


def _jsonable(value: Any) -> Any:
    """Turn a bundle's content into what JSON can hold: bytes as base64, as notebooks have them."""
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()  # half characters cannot travel
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    return str(value)
