"""How an object becomes a MIME bundle: by IPython's rules, and by what the user has registered for its type.

Names, arguments and the order of precedence are those of IPython 9 (`IPython.core.formatters`).
"""

from __future__ import annotations

import base64
import functools
import inspect
import io
import sys
import traceback
import types
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from zenml_modal_nb.runner import figures, stand_in

Key = tuple[str, str]  # a type's module and name: it need not be imported

# MIME type, method, and what it may return; the order is that of IPython's formatters.
_METHODS: dict[str, tuple[str, tuple[type, ...]]] = {
    "text/plain": ("_repr_pretty_", (str,)),
    "text/html": ("_repr_html_", (str,)),
    "text/markdown": ("_repr_markdown_", (str,)),
    "image/svg+xml": ("_repr_svg_", (str,)),
    "image/png": ("_repr_png_", (bytes, str)),
    "application/pdf": ("_repr_pdf_", (bytes, str)),
    "image/jpeg": ("_repr_jpeg_", (bytes, str)),
    "text/latex": ("_repr_latex_", (str,)),
    "application/json": ("_repr_json_", (list, dict)),
    "application/javascript": ("_repr_javascript_", (str,)),
}
_NOTHING = object()


@dataclass(frozen=True, slots=True)
class Bundle:
    """A MIME bundle: data and metadata by MIME type, ready for JSON."""

    data: dict[str, Any]
    metadata: dict[str, Any]


class Formatter:
    """Makes one kind of representation: by a function registered for the type, else by the object's method."""

    def __init__(self, format_type: str, method: str, returns: tuple[type, ...] = (object,)) -> None:
        self.format_type = format_type
        self.print_method = method
        self._returns = returns  # a notebook that holds anything else is no valid one
        self.enabled = True
        self.type_printers: dict[type, Any] = {}
        self.deferred_printers: dict[Key, Any] = {}

    def __call__(self, obj: Any, **arguments: Any) -> Any:
        """Return the representation, or None; an error of the user's code goes to standard error."""
        if not self.enabled:
            return None
        printer = self._printer(obj)
        try:
            made = printer(obj) if printer is not None else _called(obj, self.print_method, **arguments)
        except NotImplementedError:  # how an object says that it has no such representation just now
            return None
        except Exception:  # noqa: BLE001  # a representation is the user's or a library's code
            traceback.print_exc()
            return None
        content = made[0] if isinstance(made, tuple) and len(made) == 2 else made
        if content is None or isinstance(content, self._returns):
            return made
        warnings.warn(
            f"{self.format_type} formatter returned invalid type {type(content)} for object: {type(obj)}",
            stacklevel=2,
        )
        return None

    def for_type(self, typ: type | str, func: Callable[..., Any] | None = None) -> Any:
        """Register a function for a type, given itself or as "module.name"; returns the one before."""
        if isinstance(typ, str):
            return self.for_type_by_name(*_split(typ), func)
        before = self._lookup(typ)
        if func is not None:
            self.deferred_printers.pop(_key(typ), None)
            self.type_printers[typ] = func
        return before

    def for_type_by_name(
        self, type_module: str, type_name: str, func: Callable[..., Any] | None = None
    ) -> Any:
        """Register a function for a type that need not be imported; returns the one before."""
        key = type_module, type_name
        known = next((cls for cls in self.type_printers if _key(cls) == key), None)
        if known is not None:
            return self.for_type(known, func)
        before = self.deferred_printers.get(key)
        if func is not None:
            self.deferred_printers[key] = func
        return before

    def lookup(self, obj: Any) -> Any:
        """Return the function registered for an object; raises KeyError."""
        return self.lookup_by_type(type(obj))

    def lookup_by_type(self, typ: type | str) -> Any:
        """Return the function registered for a type; raises KeyError."""
        printer = self.deferred_printers.get(_split(typ)) if isinstance(typ, str) else self._lookup(typ)
        if printer is None:
            raise KeyError(f"No registered printer for {typ!r}")
        return printer

    def pop(self, typ: type | str, default: Any = _NOTHING) -> Any:
        """Forget a type's function and return it; raises KeyError unless a default is given."""
        key = _split(typ) if isinstance(typ, str) else _key(typ)
        found = [cls for cls in self.type_printers if _key(cls) == key]
        printers = [self.type_printers.pop(cls) for cls in found]
        printers += [self.deferred_printers.pop(key)] if key in self.deferred_printers else []
        if not printers and default is _NOTHING:
            raise KeyError(f"No registered value for {typ!r}")
        return printers[0] if printers else default

    def _printer(self, obj: Any) -> Any:
        return self._lookup(type(obj))

    def _lookup(self, typ: type) -> Any:
        for cls in inspect.getmro(typ):
            printer = self.type_printers.get(cls) or self.deferred_printers.get(_key(cls))
            if printer is not None:
                return printer
        return None


class TextFormatter(Formatter):
    """Makes the text form as IPython does; its functions take the object, a printer and whether it is a cycle."""

    def __call__(self, obj: Any, **_: Any) -> Any:
        """Return the text; an object whose own way fails is named at least."""
        pretty = stand_in.pretty()
        text = io.StringIO()
        printer = pretty.RepresentationPrinter(
            text,
            max_width=79,
            singleton_pprinters=pretty._singleton_pprinters.copy(),
            type_pprinters={**pretty._type_pprinters, **self.type_printers},
            deferred_pprinters={**pretty._deferred_type_pprinters, **self.deferred_printers},
        )
        try:
            printer.pretty(obj)
            printer.flush()
        except Exception as error:  # noqa: BLE001  # as above
            return f"<{type(obj).__name__} whose repr failed: {type(error).__name__}>"
        return text.getvalue()


class DisplayFormatter:
    """All formatters; `get_ipython().display_formatter` of a sandbox, and what `displays` shows things by."""

    def __init__(self) -> None:
        self.formatters: dict[str, Formatter] = {
            kind: (TextFormatter if kind == "text/plain" else Formatter)(kind, *rules)
            for kind, rules in _METHODS.items()
        }
        self.mimebundle_formatter = Formatter("", "_repr_mimebundle_")
        self.ipython_display_formatter = Formatter("", "_ipython_display_")

    def shows_itself(self, obj: Any) -> bool:
        """Let an object show itself, if it or a registered function can."""
        own = self.ipython_display_formatter
        printer = own._printer(obj)
        method = _method(obj, own.print_method) if printer is None else functools.partial(printer, obj)
        if method is None or not own.enabled:
            return False
        try:
            method()
        except NotImplementedError:  # it cannot just now, and is shown like any other object
            return False
        except Exception:  # noqa: BLE001  # as above; likewise
            traceback.print_exc()
            return False
        return True

    def format(
        self, obj: Any, include: Any = None, exclude: Any = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return an object's representations and their metadata, by MIME type."""
        if self.shows_itself(obj):
            return {}, {}
        made = self.bundle(obj, include, exclude)
        return made.data, made.metadata

    def bundle(self, obj: Any, include: Any = None, exclude: Any = None) -> Bundle:
        """Ask an object for its representations; one that fails is left out, and standard error says so.

        `include` and `exclude` are MIME types.
        """

        def wanted(kind: str) -> bool:
            return (not include or kind in include) and not (exclude and kind in exclude)

        parts = _parts(self.mimebundle_formatter(obj, include=include, exclude=exclude))
        data, metadata = ({kind: part for kind, part in each.items() if wanted(kind)} for each in parts)
        for kind, formatter in self.formatters.items():
            if wanted(kind) and (kind not in data or formatter._printer(obj) is not None):
                part, about = _parts(formatter(obj), kind)
                data.update(part)
                metadata.update(about)
        drawn, about = _figure(obj)
        data = {**{kind: part for kind, part in drawn.items() if wanted(kind)}, **data}
        metadata = {**{kind: part for kind, part in about.items() if wanted(kind)}, **metadata}
        return Bundle(jsonable(data), jsonable(metadata))


def registered(display_formatter: Any) -> dict[str, dict[Key, Any]]:
    """The functions of the notebook that are registered for types, by MIME type; libraries' own are not the user's.

    `display_formatter` is IPython's or ours.
    """
    formatters = {
        **display_formatter.formatters,
        "mimebundle": display_formatter.mimebundle_formatter,
        "ipython_display": display_formatter.ipython_display_formatter,
    }
    found: dict[str, dict[Key, Any]] = {}
    for kind, formatter in formatters.items():
        by_type = {_key(cls): function for cls, function in formatter.type_printers.items()}
        printers = {
            key: function
            for key, function in {**formatter.deferred_printers, **by_type}.items()
            if getattr(function, "__module__", None) == "__main__"
        }
        if printers:
            found[kind] = printers
    return found


def register(display_formatter: Any, wanted: Mapping[str, Mapping[Key, Any]]) -> None:
    """Make these, and no others of the user's, the functions that are registered."""
    formatters = {
        **display_formatter.formatters,
        "mimebundle": display_formatter.mimebundle_formatter,
        "ipython_display": display_formatter.ipython_display_formatter,
    }
    for kind, printers in registered(display_formatter).items():
        for key in printers:
            if key not in wanted.get(kind, {}):
                formatters[kind].pop(".".join(key))
    for kind, named in wanted.items():
        for key, function in named.items():
            module, name = key
            cls = getattr(sys.modules.get(module), name, None)
            if kind in formatters and isinstance(cls, type):
                formatters[kind].for_type(cls, function)
            elif kind in formatters:
                formatters[kind].for_type_by_name(module, name, function)


def jsonable(value: Any) -> Any:
    """Turn a bundle's content into what JSON can hold: bytes as base64, as notebooks have them."""
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()  # half characters cannot travel
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    return str(value)


def _key(cls: type) -> Key:
    return cls.__module__, cls.__name__


def _split(name: str) -> Key:
    module, _, name = name.rpartition(".")
    return module, name


def _method(obj: Any, name: str) -> Any:
    try:
        # An object that answers to any name has no representations, e.g. a mock or a remote proxy.
        if getattr(obj, "_ipython_canary_method_should_not_exist_", None) is not None:
            return None
        method = getattr(obj, name, None)
    except Exception:  # noqa: BLE001  # looking for it runs the object's own code
        return None
    if isinstance(obj, type) and not isinstance(method, types.MethodType):
        return None  # it is there for the instances
    return method if callable(method) else None


def _called(obj: Any, name: str, **arguments: Any) -> Any:
    method = _method(obj, name)
    return None if method is None else method(**arguments)


def _parts(result: Any, kind: str | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split what a method returns into data and metadata; it may return both, as a pair."""
    about: Any = {}
    if isinstance(result, tuple) and len(result) == 2:
        result, about = result
    if result is None:
        return {}, {}
    if kind is not None:
        return {kind: result}, {kind: about} if about else {}
    return (dict(result), dict(about or {})) if isinstance(result, dict) else ({}, {})


def _figure(thing: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    matplotlib = sys.modules.get("matplotlib.figure")
    if matplotlib is None or not isinstance(thing, matplotlib.Figure):
        return {}, {}
    try:
        return figures.drawn(thing)
    except Exception:  # noqa: BLE001  # e.g. a formula that cannot be drawn: the text is still shown
        traceback.print_exc()
        return {}, {}
