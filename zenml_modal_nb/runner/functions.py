"""What a pickle of notebook functions calls when it is read: makes functions, or finds those this process has."""

from __future__ import annotations

import functools
import sys
import threading
import types
import uuid
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from cloudpickle import cloudpickle as reducers

Namespace = dict[str, Any]


class Identities:
    """Names for objects that exist on both sides, so that what comes back is the object that was sent."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
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


IDENTITIES = Identities()


def current_namespace() -> Namespace:
    """Return the namespace of `__main__`; an `Unpickler` puts its own namespace in this function's place."""
    return vars(sys.modules["__main__"])


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
    *,
    identities: Identities = IDENTITIES,
) -> types.FunctionType:
    """Return the function of that identity, made if this process does not have it."""
    function: types.FunctionType = identities.find_or_make(
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


def make_foreign_function(
    identity: str, *arguments: Any, identities: Identities = IDENTITIES
) -> types.FunctionType:
    """Return the function of that identity, of other globals than the namespace, e.g. made by a decorator."""
    function: types.FunctionType = identities.find_or_make(
        identity, lambda: reducers._make_function(*arguments)
    )
    return function


def set_foreign_function_state(function: types.FunctionType, state: tuple[Any, dict[str, Any]]) -> None:
    """Complete a function as cloudpickle does, but leave alone the globals of a module that exists here."""
    module = sys.modules.get(function.__globals__.get("__name__", ""))
    if module is not None and vars(module) is function.__globals__:
        state[1]["__globals__"] = {}
    reducers._function_setstate(function, state)


def make_cached_property(
    function: Callable[[Any], Any], name: str | None, doc: str | None
) -> functools.cached_property[Any]:
    """Return a cached property as the class statement would have left it."""
    made = functools.cached_property(function)
    made.attrname = name
    made.__doc__ = doc
    return made


def make_cached(
    identity: str,
    function: Callable[..., Any],
    maxsize: int | None,
    typed: bool,
    *,
    identities: Identities = IDENTITIES,
) -> Any:
    """Return the `functools.lru_cache` of that identity, made, empty, if this process does not have it."""
    return identities.find_or_make(identity, lambda: functools.lru_cache(maxsize, typed)(function))


def set_cached_state(cached: Any, state: tuple[Any, Mapping[str, Any]]) -> None:
    """Complete a cached function; the function itself was completed when the state was read."""
    cached.__dict__.update(state[1])
