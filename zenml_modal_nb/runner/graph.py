"""The rules by which one graph of objects travels between a notebook's namespace and a cell's.

A function of the notebook arrives as a function of the other side's namespace, never of a copy, and keeps its
identity on the way back, as cloudpickle's classes do.
"""

from __future__ import annotations

import functools
import pickle
import re
import sys
import threading
import types
import uuid
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import cloudpickle
from cloudpickle import cloudpickle as reducers

Namespace = dict[str, Any]

# What IPython keeps among the user's variables: it belongs to that process.
_SHELL_NAMES = re.compile(r"get_ipython|exit|quit|In|Out|_+|_i{1,3}|_i?\d+|_[iod]h|__builtins__|__name__")


class _Identities:
    """Names for objects that exist on both sides, so that what comes back is the object that was sent."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
        self._objects: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()

    def name(self, thing: Any) -> str:
        with self._lock:
            name = self._names.get(thing)
            if name is None:
                name = uuid.uuid4().hex
                self._names[thing] = name
                self._objects[name] = thing
            return name

    def find_or_make(self, name: str, make: Callable[[], Any]) -> Any:
        with self._lock:
            thing = self._objects.get(name)
            if thing is None:
                thing = make()
                self._names[thing] = name
                self._objects[name] = thing
            return thing


_identities = _Identities()


def current_namespace() -> Namespace:
    """Return the namespace of `__main__`; an `Unpickler` puts its own namespace in this function's place."""
    return vars(sys.modules["__main__"])


class _NamespaceReference:
    """Stands for the namespace within a pickle."""

    def __reduce__(self) -> tuple[Any, ...]:
        return current_namespace, ()


class _CellReference:
    """Stands for a closure's cell; its content follows with the function, which the content may refer to."""

    def __reduce__(self) -> tuple[Any, ...]:
        return types.CellType, ()


class _FunctionReference:
    """Stands for a function without its state, for what must be made from it before the state is known."""

    def __init__(self, arguments: tuple[Any, ...]) -> None:
        self._arguments = arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return make_function, self._arguments


class _Empty:
    """Stands for the content of a cell that has none yet."""

    def __reduce__(self) -> str:
        return "EMPTY"


EMPTY = _Empty()


def make_function(
    identity: str,
    code: types.CodeType,
    namespace: Namespace,
    name: str,
    closure: tuple[types.CellType, ...] | None,
) -> types.FunctionType:
    """Return the function of that identity, made if this process does not have it."""
    function: types.FunctionType = _identities.find_or_make(
        identity, lambda: types.FunctionType(code, namespace, name, None, closure)
    )
    return function


def set_function_state(function: types.FunctionType, state: tuple[Any, ...]) -> None:
    """Complete a function: attributes, slots, the globals it reads, and what its closure holds."""
    # Submodules are imported by being read, e.g. for a function that uses concurrent.futures by `concurrent`.
    attributes, slots, definitions, contents, _submodules = state
    function.__dict__.update(attributes)
    for name, value in definitions.items():
        # Never overwrite: in one graph both are the same object, and a value that was sent by name wins.
        function.__globals__.setdefault(name, value)
    for cell, content in zip(function.__closure__ or (), contents, strict=True):
        if content is not EMPTY:
            cell.cell_contents = content
    for name, value in slots.items():
        setattr(function, name, value)


def make_cached(identity: str, function: Callable[..., Any], maxsize: int | None, typed: bool) -> Any:
    """Return the `functools.lru_cache` of that identity, made, empty, if this process does not have it."""
    return _identities.find_or_make(identity, lambda: functools.lru_cache(maxsize, typed)(function))


def set_cached_state(cached: Any, state: tuple[Any, Mapping[str, Any]]) -> None:
    """Complete a cached function; the function itself was completed when the state was read."""
    cached.__dict__.update(state[1])


class _Sink(Protocol):
    def write(self, data: Any, /) -> object: ...


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    """cloudpickle's pickler with the namespace rule; `definitions` adds the globals functions refer to."""

    def __init__(
        self,
        sink: _Sink,
        namespace: Namespace,
        *,
        definitions: bool,
        buffer_callback: Callable[[pickle.PickleBuffer], object] | None = None,
    ) -> None:
        super().__init__(sink, protocol=5, buffer_callback=buffer_callback)
        self._namespace = namespace
        self._definitions = definitions
        self._reference = _NamespaceReference()
        self._cells: dict[int, tuple[types.CellType, _CellReference]] = {}

    def reducer_override(self, obj: Any) -> Any:
        """Reduce functions of the namespace by our rule; everything else by cloudpickle's."""
        kind = type(obj)
        if kind is types.FunctionType:
            if obj.__globals__ is self._namespace:
                return self._reduce_function(obj)
        elif kind is functools._lru_cache_wrapper:
            function = obj.__wrapped__
            if type(function) is types.FunctionType and function.__globals__ is self._namespace:
                return self._reduce_cached(obj, function)
        elif obj is sys.stdout:  # e.g. a logging handler's stream; means the other side's standard output
            return getattr, (sys, "stdout")
        elif obj is sys.stderr:
            return getattr, (sys, "stderr")
        return super().reducer_override(obj)

    def _reduce_function(self, function: types.FunctionType) -> tuple[Any, ...]:
        attributes, slots = reducers._function_getstate(function)
        definitions = slots.pop("__globals__")
        slots.pop("_cloudpickle_submodules")
        submodules = reducers._find_imported_submodules(function.__code__, definitions.values())
        cells = slots.pop("__closure__") or ()
        state = (
            attributes,
            slots,
            {name: value for name, value in definitions.items() if _travels(name, value)}
            if self._definitions
            else {},
            tuple(_content(cell) for cell in cells),
            submodules,
        )
        return make_function, self._arguments(function), state, None, None, set_function_state

    def _arguments(self, function: types.FunctionType) -> tuple[Any, ...]:
        cells = function.__closure__
        closure = None if cells is None else tuple(self._cell(cell) for cell in cells)
        return _identities.name(function), function.__code__, self._reference, function.__name__, closure

    def _cell(self, cell: types.CellType) -> _CellReference:
        # One reference per cell, so that functions which share a variable share it after.
        return self._cells.setdefault(id(cell), (cell, _CellReference()))[1]

    def _reduce_cached(self, cached: Any, function: types.FunctionType) -> tuple[Any, ...]:
        parameters = cached.cache_parameters()
        arguments = (
            _identities.name(cached),
            _FunctionReference(self._arguments(function)),
            parameters["maxsize"],
            parameters["typed"],
        )
        attributes = {name: value for name, value in cached.__dict__.items() if name != "__wrapped__"}
        return make_cached, arguments, (function, attributes), None, None, set_cached_state


class Unpickler(pickle.Unpickler):
    """Restores a graph; functions of the notebook get `namespace` as their globals."""

    def __init__(self, source: Any, namespace: Namespace, buffers: Iterable[Any]) -> None:
        super().__init__(source, buffers=buffers)
        self._namespace = namespace

    def find_class(self, module: str, name: str) -> Any:
        """Find a global of the pickle; the reference to the namespace means this unpickler's."""
        if name == current_namespace.__name__ and module == __name__:
            return lambda: self._namespace
        return super().find_class(module, name)


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet, e.g. a function that refers to a later one
        return EMPTY


def _travels(name: str, value: object) -> bool:
    if name == "open":  # IPython's own `open` guards its standard streams, and needs IPython
        return not (getattr(value, "__module__", None) or "").startswith("IPython.")
    return _SHELL_NAMES.fullmatch(name) is None
