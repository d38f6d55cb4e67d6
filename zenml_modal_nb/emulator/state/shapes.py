"""Frozen objects made again from what a record holds of them."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Hashable, Mapping
from functools import cache
from typing import Any, TypeVar

Made = TypeVar("Made")


def made(kind: type[Made], facts: Any) -> Made:
    """The object of this dataclass with these fields, as JSON has them: lists for tuples, objects for dataclasses.

    Raises TypeError for other fields, or for values of another type: a record that was damaged, or written by hand.
    """
    if not isinstance(facts, Mapping):
        raise TypeError(f"{kind.__name__} is not an object")
    hints = _hints(typing.cast(Hashable, kind))
    return kind(**{name: _value(hints.get(name, Any), value) for name, value in facts.items()})


@cache
def _hints(kind: Hashable) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _value(hint: Any, value: Any) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:  # e.g. str | None
        if value is None and type(None) in arguments:
            return None
        (hint,) = [argument for argument in arguments if argument is not type(None)]
        return _value(hint, value)
    if dataclasses.is_dataclass(hint):
        return made(typing.cast(type, hint), value)
    if origin in (tuple, frozenset):
        repeated = origin is frozenset or arguments[-1] is Ellipsis
        if isinstance(value, list | tuple) and (repeated or len(value) == len(arguments)):
            hints = arguments[:1] * len(value) if repeated else arguments
            return origin(_value(inner, item) for inner, item in zip(hints, value, strict=True))
    elif origin in (dict, Mapping):
        if isinstance(value, dict):
            return {_value(arguments[0], key): _value(arguments[1], item) for key, item in value.items()}
    elif hint is Any or type(value) is hint or (hint is float and type(value) is int):
        return value
    raise TypeError(f"{value!r:.80} is not of the type {hint}")
