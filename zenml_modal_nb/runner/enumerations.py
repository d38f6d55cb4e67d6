"""How enumerations of the notebook travel: with what their own `__init__` or `__new__` has given to their members."""

from __future__ import annotations

import enum
from typing import Any

from cloudpickle import cloudpickle as reducers

_OF_ENUM = frozenset({"_value_", "_name_", "__objclass__", "_sort_order_", "_inverted_"})
_MEMBERS = "members"  # in the place of a class's slots, which cloudpickle leaves empty


def reduce(obj: Any) -> Any:
    """Return how a member is pickled, NotImplemented for anything else."""
    kind: Any = type(obj)
    if not issubclass(kind, enum.Enum) or kind.__reduce_ex__ is not enum.Enum.__reduce_ex__:
        return NotImplemented
    if kind.__members__.get(obj._name_) is not obj:
        return NotImplemented  # e.g. several flags
    # Python 3.11 asks for it by its value, which may be a function or an array, equal to nothing but itself.
    return getattr, (kind, obj._name_)


def with_members(cls: type[enum.Enum], reduced: tuple[Any, ...]) -> tuple[Any, ...]:
    """Add to how an enumeration is pickled what its members hold."""
    found = {member._name_: {n: v for n, v in vars(member).items() if n not in _OF_ENUM} for member in cls}
    own = {name: each for name, each in found.items() if each}
    make, arguments, (attributes, slots), *rest = reduced
    return (
        (make, arguments, (attributes, {**slots, _MEMBERS: own}), *rest[:-1], set_state) if own else reduced
    )


def set_state(cls: Any, state: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Complete an enumeration, and its members."""
    reducers._class_setstate(cls, state)
    for name, own in state[1][_MEMBERS].items():
        vars(cls._member_map_[name]).update(own)
