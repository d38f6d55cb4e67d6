"""How names for types travel that a cell has made: Python pickles them by name, and looks for it on the other side."""

from __future__ import annotations

import typing
from typing import Any

MODULES = frozenset({"typing"})  # of the classes with a rule, which depends on where the name was made


def reduce(obj: Any) -> Any:
    """Return how one of the notebook's is pickled, NotImplemented for anything else."""
    kind = type(obj)
    if kind.__module__ != "typing" or getattr(obj, "__module__", None) != "__main__":
        return NotImplemented
    if kind.__name__ == "NewType":
        return make_new_type, (obj.__name__, obj.__supertype__, obj.__qualname__)
    if kind.__name__ == "TypeAliasType":
        return make_alias, (obj.__name__, obj.__value__, obj.__type_params__)
    return NotImplemented


def make_new_type(name: str, supertype: Any, qualname: str) -> Any:
    """Return what `NewType(name, supertype)` returns in a cell."""
    make: Any = typing.NewType
    made = make(name, supertype)
    made.__module__, made.__qualname__ = "__main__", qualname
    return made


def make_alias(name: str, value: Any, parameters: tuple[Any, ...]) -> Any:
    """Return what `type name = value` binds in a cell."""
    make = typing.TypeAliasType  # type: ignore[attr-defined]  # since Python 3.12
    # It takes its module from the globals of who makes it.
    text = "make(name, value, type_params=parameters)"
    given = {"__name__": "__main__", "make": make, "name": name, "value": value, "parameters": parameters}
    return eval(text, given)  # noqa: S307  # a text of ours
