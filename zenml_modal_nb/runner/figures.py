"""In which formats figures are shown: those that `%config InlineBackend` has set, here as in the notebook."""

from __future__ import annotations

import io
import struct
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

_FORMATS = frozenset({"png"})
_OPTIONS = {"bbox_inches": "tight"}
# By format: MIME type, matplotlib's own name, pixels for each.
_KINDS = {
    "png": ("image/png", "png", 1),
    "retina": ("image/png", "png", 2),
    "png2x": ("image/png", "png", 2),
    "jpg": ("image/jpeg", "jpg", 1),
    "jpeg": ("image/jpeg", "jpg", 1),
    "svg": ("image/svg+xml", "svg", 1),
    "pdf": ("application/pdf", "pdf", 1),
}


@dataclass
class Backend:
    """What a sandbox has of `matplotlib_inline.config.InlineBackend`, under the same names."""

    figure_formats: set[str] = field(default_factory=lambda: {*_FORMATS})
    print_figure_kwargs: dict[str, Any] = field(default_factory=lambda: {**_OPTIONS})


_in_sandbox: list[Backend] = []


def begin() -> None:
    """Show figures here, and not by a kernel's backend."""
    _in_sandbox[:] = [Backend()]


def backend() -> Any:
    """Return the settings of this process: a sandbox's, or those of the notebook's backend; None if it has none yet."""
    if _in_sandbox:
        return _in_sandbox[0]
    config = sys.modules.get("matplotlib_inline.config")
    inline = getattr(config, "InlineBackend", None)
    return inline.instance() if inline is not None and inline.initialized() else None


def take(settings: Any) -> dict[str, Any]:
    """Return what differs from the usual."""
    formats, options = sorted(settings.figure_formats), dict(settings.print_figure_kwargs)
    found: dict[str, Any] = {} if formats == [*_FORMATS] else {"formats": formats}
    return found if options == _OPTIONS else {**found, "options": options}


def put(settings: Any, state: dict[str, Any]) -> None:
    """Set what differs from the usual."""
    settings.print_figure_kwargs = dict(state.get("options", _OPTIONS))
    settings.figure_formats = set(state.get("formats", _FORMATS))


def configure(text: str, names: dict[str, Any]) -> None:
    """Do what `%config InlineBackend.name = value` says; what else it can say is about the notebook's kernel.

    Raises ValueError for formats that there are not, and what evaluating the value raises.
    """
    place, sign, value = text.partition("=")
    name = place.strip().partition(".")[2]
    if not sign or name not in ("figure_format", "figure_formats", "print_figure_kwargs"):
        return
    given = eval(value.strip(), names)  # noqa: S307  # as IPython does
    settings = backend()
    if name == "print_figure_kwargs":
        settings.print_figure_kwargs = dict(given)
        return
    formats = (
        {given} if isinstance(given, str) else {*given} if isinstance(given, Iterable) else {repr(given)}
    )
    unknown = sorted(map(str, formats - _KINDS.keys()))
    if unknown:
        raise ValueError(
            f"%config InlineBackend.{name}: no {unknown[0]}; figures come as {', '.join(_KINDS)}"
        )
    settings.figure_formats = formats


def drawn(figure: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Draw a figure as IPython does; returns data and metadata by MIME type. Raises what matplotlib raises."""
    data: dict[str, Any] = {}
    about: dict[str, Any] = {}
    if not figure.axes and not figure.lines:
        return data, about
    settings = backend()
    for each in sorted(settings.figure_formats):
        kind, form, pixels = _KINDS[each]
        file = io.BytesIO()
        options = {"format": form, "facecolor": figure.get_facecolor(), "edgecolor": figure.get_edgecolor()}
        options |= {"dpi": figure.dpi * pixels, **_OPTIONS, **settings.print_figure_kwargs}
        figure.canvas.print_figure(file, **options)
        data[kind] = file.getvalue().decode() if form == "svg" else file.getvalue()
        if pixels > 1:
            width, height = struct.unpack(">2I", data[kind][16:24])  # of a PNG's header
            about[kind] = {"width": width // pixels, "height": height // pixels}
    return data, about
