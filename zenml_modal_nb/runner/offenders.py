"""Why a value cannot travel, with the place inside it; for what goes to a sandbox and for what comes back."""

from __future__ import annotations

import time
import types
from collections.abc import Callable, Iterator
from typing import Any

Failure = Callable[[Any], Exception | None]  # what pickling a value raises, None if it can travel

_SEARCH_SECONDS = 1.0  # for the place of one offender
_LONGEST = 300  # characters of a reason
_LONGEST_PLACE = 120


def reason(value: Any, name: str, failure: Failure) -> str | None:
    """Say why a value cannot travel, None if it can; with the place inside it, e.g. `state["lock"]`."""
    error = failure(value)
    if error is None:
        return None
    place, until = name, time.monotonic() + _SEARCH_SECONDS
    seen = {id(value)}
    inner: tuple[str, Any, Exception] | None = (place, value, error)
    while inner is not None:
        place, value, error = inner
        inner = _offender(place, value, failure, until, seen)
    text = f"{type(error).__name__}: {error}"
    return (text if place == name else f"{place}: {text}")[:_LONGEST]


def _offender(
    place: str, value: Any, failure: Failure, until: float, seen: set[int]
) -> tuple[str, Any, Exception] | None:
    for path, member in members(place, value):
        if time.monotonic() > until or len(path) > _LONGEST_PLACE:
            return None
        if id(member) in seen:
            continue  # e.g. an object that refers to itself
        error = failure(member)
        if error is not None:
            seen.add(id(member))
            return path, member, error
    return None


def members(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a value holds, each with its place as one would write it."""
    if isinstance(value, dict):
        for key, member in list(value.items()):
            yield f"{place}[{_key(key)}]", member
    elif isinstance(value, list | tuple):
        for index, member in enumerate(value):
            yield f"{place}[{index}]", member
    elif isinstance(value, set | frozenset):
        for member in list(value):
            yield f"{place}{{…}}", member
    elif isinstance(value, types.FunctionType):
        yield from _closed_over(place, value)
    elif not isinstance(value, type):
        state = getattr(value, "__dict__", None)
        for key, member in list(state.items()) if isinstance(state, dict) else ():
            yield f"{place}.{key}", member
        for slot in _slots(type(value)):
            if hasattr(value, slot):
                yield f"{place}.{slot}", getattr(value, slot)


def _closed_over(place: str, function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield f"{place}.<closure>.{name}", cell.cell_contents
        except ValueError:
            continue  # an empty cell: the name it stands for is not bound yet
    for index, default in enumerate(function.__defaults__ or ()):
        yield f"{place}.__defaults__[{index}]", default


def _key(key: object) -> str:
    if isinstance(key, str) and '"' not in key and key.isprintable():
        return f'"{key}"'
    return repr(key) if isinstance(key, str | int) else "…"


def _slots(cls: type) -> Iterator[str]:
    if cls.__module__ == "builtins":
        return
    for base in cls.__mro__:
        slots = vars(base).get("__slots__", ())
        yield from (
            slot
            for slot in ([slots] if isinstance(slots, str) else slots)
            if slot not in ("__dict__", "__weakref__") and not slot.startswith("__")
        )
