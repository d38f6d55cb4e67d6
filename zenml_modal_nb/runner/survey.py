"""Which objects of a graph both sides of a run will know: those whose identity somebody may look at.

Made while the notebook's values are pickled. An object counts only where it can be reached by real references, e.g. a
list in a dictionary, an attribute; what an object's own `__reduce__` makes up on the way is nobody's.
"""

from __future__ import annotations

import functools
import itertools
import sys
import types
import weakref
from collections.abc import Iterable
from typing import Any

from zenml_modal_nb.runner import formulas, functions, instances
from zenml_modal_nb.runner.collection import put_off
from zenml_modal_nb.runner.graph import Pickler
from zenml_modal_nb.runner.kinds import ARRAY, ATOMS, CLASS, FIXED, FUNCTION, WHOLE, Kind, attributes, kind_of
from zenml_modal_nb.runner.tables import arrays_in

# Rules of ours by which the state of an object has its attributes.
_WITH_ATTRIBUTES = (instances.set_state, instances.set_array_state, formulas.set_state)
_LONG = 1000  # characters or bytes of a plain value that is worth a reference
_BUILTIN = frozenset({list, dict, set, tuple, frozenset, bytearray, str, bytes})


class Survey:
    """Notes what a pickler meets; then tells what both sides know. Made for one payload."""

    def __init__(self) -> None:
        self._kinds: dict[type, Kind | None] = {}
        self._met: dict[int, object] = {}
        self._held: dict[int, list[object]] = {}  # by objects of which only their pickle tells

    def note(self, obj: Any, reduced: Any) -> Any:
        """Take notice of an object on its way into the pickle."""
        if isinstance(obj, type | types.FunctionType):
            if isinstance(reduced, tuple):  # by value
                self._met[id(obj)] = obj
                if reduced[0] is functions.make_function:
                    self._held[id(obj)] = list(reduced[2][2].values())
            return reduced
        self._met[id(obj)] = obj
        if self._kind(obj) is not WHOLE:
            return reduced
        by_rule = isinstance(reduced, tuple) and reduced[-1] in _WITH_ATTRIBUTES
        if reduced is NotImplemented and type(obj) not in Pickler.dispatch_table:
            # What the pickler would do next, done once for both.
            reduced = obj.__reduce_ex__(5)
            by_rule = isinstance(reduced, tuple) and len(reduced) > 2
        if by_rule:
            self._held[id(obj)] = _still_held(obj, reduced[2])
        return reduced

    def known(self, roots: Iterable[object]) -> list[object]:
        """Return the known objects that can be reached from `roots`, all of which have been pickled."""
        found: list[object] = []
        seen: set[int] = set()
        todo = [root for root in roots if self._is_known(root)]
        todo += [root for root in roots if type(root) in (str, bytes) and len(root) > _LONG]  # type: ignore[arg-type]
        with put_off():
            while todo:
                obj = todo.pop()
                if id(obj) not in seen:
                    seen.add(id(obj))
                    found.append(obj)
                    cls = type(obj)
                    # Of lists and dictionaries there may be millions.
                    if cls is list and ATOMS.issuperset(map(type, obj)):  # type: ignore[call-overload]  # it is a list
                        continue
                    if cls is dict and ATOMS.issuperset(map(type, obj)):  # type: ignore[call-overload]  # as above
                        todo += self._among(obj.values())  # type: ignore[attr-defined]
                    else:
                        todo += self._members(obj)
        return found

    def _is_known(self, obj: object) -> bool:
        kind = self._kind(obj)
        if kind is None:
            return False
        return type(obj) in _BUILTIN or id(obj) in self._met

    def _members(self, obj: Any) -> list[object]:
        found: list[object] = [type(obj)] if id(type(obj)) in self._met else []
        for group in self._holdings(obj):
            found += self._among(group)
        return found

    def _among(self, group: Iterable[Any]) -> list[object]:
        if ATOMS.issuperset(map(type, group)):
            return []
        # e.g. of a million pairs of numbers nobody looks at the identity
        return [each for each in group if type(each) not in ATOMS and self._counts(each)]

    def _counts(self, obj: Any) -> bool:
        cls = type(obj)
        if cls is list or cls is dict:
            return True
        return self._is_known(obj) and not (cls is tuple and ATOMS.issuperset(map(type, obj)))

    def _holdings(self, obj: Any) -> list[list[Any]]:
        kind = self._kind(obj)
        if kind is FIXED:
            return [holdings_of_fixed(obj)]
        if kind is ARRAY:
            return [list(obj.flat)] if obj.dtype.hasobject else []
        if kind is WHOLE:
            return [[*self._held.get(id(obj), ()), *_holdings_of_libraries(obj)]]
        if kind is None or kind.parts is None:
            return []
        groups = [*kind.parts(obj)]
        if kind is FUNCTION:
            groups.append(self._held.get(id(obj), []))
        elif kind is CLASS:
            groups.append([*obj.__bases__])
        return groups

    def _kind(self, obj: object) -> Kind | None:
        cls = type(obj)
        try:
            return self._kinds[cls]
        except KeyError:
            return self._kinds.setdefault(cls, kind_of(cls))


def holdings_of_fixed(obj: Any) -> list[Any]:
    """Return what an object holds that always holds the same."""
    if isinstance(obj, tuple | frozenset):
        return list(obj)
    if isinstance(obj, types.MethodType):
        return [obj.__self__, obj.__func__]
    if isinstance(obj, staticmethod | classmethod):
        return [obj.__func__]
    if isinstance(obj, property):
        return [obj.fget, obj.fset, obj.fdel]
    if isinstance(obj, functools.cached_property):
        return [obj.func]
    if isinstance(obj, functools._lru_cache_wrapper):
        return [obj.__wrapped__]
    if type(obj) is weakref.ReferenceType:  # whatever is known lives until the cell has ended
        return [obj(), obj.__callback__]
    if isinstance(obj, memoryview):
        return [obj.obj]
    return []


def _still_held(obj: object, state: Any) -> list[object]:
    """What a pickled state and the object itself have in common; the rest was made for the pickle."""
    parts: list[Any] = [*state] if isinstance(state, tuple | list) else [state]
    groups = [each for each in parts if isinstance(each, dict)]
    # e.g. pydantic's are inside
    groups += [each for group in groups for each in group.values() if isinstance(each, dict)]
    own = set(map(id, attributes(obj)[1]))
    found = itertools.chain(parts, *(group.values() for group in groups))
    return [each for each in found if id(each) in own]


def _holdings_of_libraries(obj: Any) -> list[object]:
    """What well-known types hold where `__dict__` does not tell."""
    if isinstance(obj, functools.partial):
        return [obj.func, *obj.args, *obj.keywords.values()]
    if type(obj).__name__ == "Element" and type(obj).__module__ == "xml.etree.ElementTree":
        return list(obj)
    random, pandas = sys.modules.get("numpy.random"), sys.modules.get("pandas")
    if random is not None and isinstance(obj, random.Generator):
        return [obj.bit_generator]
    if pandas is None:
        return []
    if isinstance(obj, pandas.DataFrame | pandas.Series):
        return [*obj._mgr.axes, *arrays_in(obj._mgr)]
    if isinstance(obj, pandas.Index):
        return [getattr(obj, "_data", None)]
    if isinstance(obj, pandas.api.extensions.ExtensionArray):
        return [getattr(obj, "_ndarray", None)]
    return []
