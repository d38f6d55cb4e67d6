"""What instances of a class consist of: the base that decides their memory, and the slots of classes in Python."""

from __future__ import annotations

import functools
import types
from typing import Any

HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: made by a class statement, or by C that asks for it


def solid_base(cls: type) -> type:
    """Return the class that decides what memory instances have: the first one that C has made."""
    while cls.__base__ is not None and cls.__flags__ & HEAP_TYPE:
        cls = cls.__base__
    return cls


@functools.lru_cache(maxsize=1024)
def slots(cls: Any) -> tuple[tuple[str, Any], ...]:
    """Return the slots of the classes written in Python, by class and name; what C keeps to itself nobody can see."""
    return tuple(
        (f"{base.__qualname__}.{name}", member)
        for base in cls.__mro__
        for name, member in vars(base).items()
        if isinstance(member, types.MemberDescriptorType) and "__slots__" in vars(base)
    )
