"""What every process has one of, and keeps for itself: a pickle means that of the process that reads it.

E.g. after `from random import randint` a cell draws from the module's own generator, not from a copy of it.
"""

from __future__ import annotations

import sys
from typing import Any

# By the name of its class, so that most objects are asked one question: where such an object is found.
_PLACES: dict[str, tuple[str, ...]] = {
    "Random": ("random", "_inst"),
    "RandomState": ("numpy.random.mtrand", "_rand"),
    "MT19937": ("numpy.random.mtrand", "_rand", "_bit_generator"),
}
# Of the classes of which one instance has a rule, or some.
MODULES = frozenset({"random", "numpy.random.mtrand", "numpy.random._mt19937", "argparse"})


def reduce(obj: Any) -> Any:
    """Return where one of them is found, NotImplemented for anything else."""
    kind = type(obj)
    place = _PLACES.get(kind.__name__)
    if place is not None:
        found: object = sys.modules.get(place[0])
        for name in place[1:]:
            found = getattr(found, name, None)
        return (find, place) if found is obj else NotImplemented
    return _reduce_argparse(obj) if kind.__module__ == "argparse" else NotImplemented


def find(module: str, *names: str) -> Any:
    """Return what a module has, importing it."""
    __import__(module)
    found: Any = sys.modules[module]
    for name in names:
        found = getattr(found, name)
    return found


class _Suppress:
    """Stands within a pickle for `argparse.SUPPRESS`: parsers ask whether a text is that very one."""

    def __reduce__(self) -> tuple[Any, ...]:
        return find, ("argparse", "SUPPRESS")


def _reduce_argparse(obj: Any) -> Any:
    suppress: Any = sys.modules["argparse"].SUPPRESS
    state = getattr(obj, "__dict__", {})
    if isinstance(obj, type) or not any(each is suppress for each in state.values()):
        return NotImplemented
    make, arguments, *_ = obj.__reduce_ex__(5)
    return (
        make,
        arguments,
        {name: _Suppress() if each is suppress else each for name, each in state.items()},
    )
