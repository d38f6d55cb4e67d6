"""How objects are taken apart and put together again in place, so that whoever refers to them sees the change.

One question is answered here for each type: what does such an object hold, and how does an existing one get to hold
something else? Both sides of a run ask it: the sandbox before and after the cell, the notebook at the end.
"""

from __future__ import annotations

import array
import copyreg
import enum
import functools
import operator
import re
import types
import weakref
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from zenml_modal_nb.runner.functions import EMPTY
from zenml_modal_nb.runner.graph import Pickler
from zenml_modal_nb.runner.layouts import slots

# What an object holds, in lists of references; two are the same if they hold the same objects in the same order.
Parts = tuple[list[Any], ...]

ATOMS = frozenset({int, float, complex, bool, str, bytes, types.NoneType, types.EllipsisType, range, slice})
_IMMUTABLE = (
    re.Pattern, enum.Enum, types.BuiltinFunctionType, types.GenericAlias, types.UnionType, types.CodeType,
    type(NotImplemented),
)  # fmt: skip
# By name, since their modules may not be loaded: of such classes, and of those made from them.
_IMMUTABLE_NAMES = frozenset({
    ("datetime", "date"), ("datetime", "time"), ("datetime", "timedelta"), ("datetime", "tzinfo"),
    ("decimal", "Decimal"), ("fractions", "Fraction"), ("uuid", "UUID"), ("pathlib", "PurePath"),
    ("pathlib._local", "PurePath"), ("numpy", "generic"),
})  # fmt: skip
_FIXED = (tuple, frozenset, int, float, complex, str, bytes)
# They hold other objects, the same ones for ever.
_HOLDERS = (
    types.MethodType, staticmethod, classmethod, property, functools.cached_property, types.MappingProxyType,
)  # fmt: skip
_NOT_OF_A_CLASS = frozenset({"__dict__", "__weakref__", "_abc_impl", "__slotnames__"})


@dataclass(frozen=True, slots=True)
class Kind:
    """What objects of one type have in common; made by `kind_of`.

    `parts` takes apart, `put` gives an existing object such parts. Without them an object is `fixed`, nothing
    in it can change, or `whole`: only its pickle tells what it holds.
    """

    name: str
    parts: Callable[[Any], Parts] | None = None
    put: Callable[[Any, Parts], None] | None = None


def kind_of(cls: type) -> Kind | None:
    """Return the kind of a class's instances; None for plain values, whose identity nobody looks at."""
    if cls in ATOMS or issubclass(cls, types.ModuleType):
        return None
    if cls.__module__.startswith("pandas.core.internals"):
        return None  # part of its table
    if any(base.__module__.startswith("tqdm.") for base in cls.__mro__):
        return WHOLE  # a progress bar, see `remains`
    if cls is types.FunctionType:
        return FUNCTION
    if issubclass(cls, type):
        return FIXED if issubclass(cls, enum.EnumMeta) else CLASS
    if cls in _EXACT:
        return _EXACT[cls]
    if _is_immutable(cls) and not _has_dict(cls, enum.Enum):
        return None
    if issubclass(cls, _HOLDERS) or (issubclass(cls, _FIXED) and not _has_dict(cls)):
        return FIXED  # e.g. a named tuple
    if (
        cls in (functools._lru_cache_wrapper, weakref.ReferenceType, memoryview)
        or cls.__module__.partition(".")[0] == "pyarrow"
    ):
        return FIXED
    if cls.__module__ == "numpy" and cls.__name__ == "ndarray":
        return ARRAY
    for base, kind in _OF_SUBCLASSES.items():
        if issubclass(cls, base):
            return kind if is_plain(cls, base) else WHOLE
    return INSTANCE if is_plain(cls) else WHOLE


def is_plain(cls: type, base: type = object) -> bool:
    """Tell whether instances are pickled by the rule of `base`: what they hold is what can be seen."""
    own: Any = cls
    return (
        own.__reduce_ex__ is object.__reduce_ex__
        and own.__reduce__ is base.__reduce__
        and own.__getstate__ is object.__getstate__
        and cls not in copyreg.dispatch_table
        and cls not in Pickler.dispatch_table
        and not hasattr(cls, "__getnewargs_ex__")
        and not hasattr(cls, "__getnewargs__")
    )


def same(one: Parts, other: Parts) -> bool:
    """Tell whether two objects hold the same objects."""
    return all(len(a) == len(b) and all(map(operator.is_, a, b)) for a, b in zip(one, other, strict=True))


def attributes(obj: Any) -> Parts:
    """Return the names of an object's attributes and, in the same order, what they hold."""
    names: list[Any] = []
    values: list[Any] = []
    for name, member in slots(_class_of(obj)):
        try:
            values.append(member.__get__(obj))
        except AttributeError:
            continue  # the slot is empty
        names.append(name)
    own = _own_dict(obj)
    return [*names, *own], [*values, *own.values()]


def put_attributes(obj: Any, parts: Parts) -> None:
    """Give an object these attributes and no others, without asking its class."""
    names, values = parts
    state = dict(zip(names, values, strict=True))
    for name, member in slots(_class_of(obj)):
        if name in state:
            member.__set__(obj, state.pop(name))
        else:
            try:
                member.__delete__(obj)
            except AttributeError:
                continue  # it was empty already
    own = _own_dict(obj)
    if state or own:
        obj.__dict__.clear()
        obj.__dict__.update(state)


def _class_of(obj: Any) -> Any:
    return type(obj)


def _own_dict(obj: Any) -> dict[str, Any]:
    try:
        found = object.__getattribute__(obj, "__dict__")
    except AttributeError:
        return {}
    return found if isinstance(found, dict) else {}


def _has_dict(cls: type, but: type = type) -> bool:
    return cls.__dictoffset__ != 0 and not issubclass(cls, but)


def _is_immutable(cls: type) -> bool:
    named = ((base.__module__, base.__qualname__) in _IMMUTABLE_NAMES for base in cls.__mro__)
    return issubclass(cls, _IMMUTABLE) or any(named)


def _list_parts(obj: list[Any]) -> Parts:
    return (list.copy(obj),)


def _put_list(obj: list[Any], parts: Parts) -> None:
    list.__setitem__(obj, slice(None), parts[0])


def _dict_parts(obj: dict[Any, Any]) -> Parts:
    return list(dict.keys(obj)), list(dict.values(obj))


def _put_dict(obj: dict[Any, Any], parts: Parts) -> None:
    kind = OrderedDict if isinstance(obj, OrderedDict) else dict
    kind.clear(obj)
    for key, value in zip(*parts, strict=True):
        kind.__setitem__(obj, key, value)


def _ordered_parts(obj: OrderedDict[Any, Any]) -> Parts:
    keys = list(OrderedDict.__iter__(obj))
    return keys, [dict.__getitem__(obj, key) for key in keys]


def _default_parts(obj: defaultdict[Any, Any]) -> Parts:
    return [obj.default_factory], *_dict_parts(obj)


def _put_default(obj: defaultdict[Any, Any], parts: Parts) -> None:
    obj.default_factory = parts[0][0]
    _put_dict(obj, parts[1:])


def _set_parts(obj: set[Any]) -> Parts:
    return (list(set.__iter__(obj)),)


def _put_set(obj: set[Any], parts: Parts) -> None:
    set.clear(obj)
    set.update(obj, parts[0])


def _deque_parts(obj: deque[Any]) -> Parts:
    return (list(deque.__iter__(obj)),)


def _put_deque(obj: deque[Any], parts: Parts) -> None:
    deque.clear(obj)
    deque.extend(obj, parts[0])


def _weak_set_parts(obj: weakref.WeakSet[Any]) -> Parts:
    return (list(obj),)


def _weak_parts(obj: Any) -> Parts:
    pairs = list(obj.items())
    return [key for key, _ in pairs], [value for _, value in pairs]


def _put_weak(obj: Any, parts: Parts) -> None:
    obj.clear()
    for each in zip(*parts, strict=True):
        obj.add(*each) if isinstance(obj, weakref.WeakSet) else obj.__setitem__(*each)


def _function_parts(obj: types.FunctionType) -> Parts:
    contents = [_content(cell) for cell in obj.__closure__ or ()]
    facts = [obj.__code__, obj.__defaults__, obj.__doc__, obj.__name__]
    keywords = obj.__kwdefaults__ or {}
    own = obj.__dict__
    return contents, facts, list(keywords), list(keywords.values()), list(own), list(own.values())


def _put_function(obj: types.FunctionType, parts: Parts) -> None:
    contents, facts, keywords, defaults, names, values = parts
    for cell, content in zip(obj.__closure__ or (), contents, strict=True):
        if content is not EMPTY:
            cell.cell_contents = content
    obj.__code__, obj.__defaults__, obj.__doc__, obj.__name__ = facts
    obj.__kwdefaults__ = dict(zip(keywords, defaults, strict=True)) or None
    obj.__dict__.clear()
    obj.__dict__.update(zip(names, values, strict=True))


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return EMPTY


def _class_parts(obj: type) -> Parts:
    own = {name: value for name, value in vars(obj).items() if name not in _NOT_OF_A_CLASS}
    return list(own), list(own.values())


def _put_class(obj: type, parts: Parts) -> None:
    # Only what has changed: members such as slots can be neither sent nor set.
    names, values, removed = parts
    for name, value in zip(names, values, strict=True):
        type.__setattr__(obj, name, value)
    for name in removed:
        if name in vars(obj):
            type.__delattr__(obj, name)


def difference(before: Parts, after: Parts, anew: Collection[int]) -> Parts:
    """Return what turns a class that holds `before` into one that holds `after`; `anew` are IDs to be set anyway."""
    earlier, now = dict(zip(*before, strict=True)), dict(zip(*after, strict=True))
    changed = {
        name: value
        for name, value in now.items()
        if name not in earlier or earlier[name] is not value or id(value) in anew
    }
    return list(changed), list(changed.values()), [name for name in earlier if name not in now]


def _both(
    parts: Callable[[Any], Parts], put: Callable[[Any, Parts], None]
) -> tuple[Callable[[Any], Parts], Callable[[Any, Parts], None]]:
    """A container and the attributes that a class of the notebook adds to it."""

    def both_parts(obj: Any) -> Parts:
        return *parts(obj), *attributes(obj)

    def put_both(obj: Any, found: Parts) -> None:
        put(obj, found[:-2])
        put_attributes(obj, found[-2:])

    return both_parts, put_both


FIXED = Kind("fixed")
WHOLE = Kind("whole")
ARRAY = Kind("array")
BYTES = Kind("bytes")
FUNCTION = Kind("function", _function_parts, _put_function)
CLASS = Kind("class", _class_parts, _put_class)
INSTANCE = Kind("instance", attributes, put_attributes)
_DICT = Kind("dict", _dict_parts, _put_dict)
_EXACT: dict[type, Kind] = {
    list: Kind("list", _list_parts, _put_list),
    dict: _DICT,
    Counter: _DICT,
    OrderedDict: Kind("ordered", _ordered_parts, _put_dict),
    defaultdict: Kind("default", _default_parts, _put_default),
    set: Kind("set", _set_parts, _put_set),
    deque: Kind("deque", _deque_parts, _put_deque),
    weakref.WeakSet: Kind("weak set", _weak_set_parts, _put_weak),
    weakref.WeakValueDictionary: Kind("weak dict", _weak_parts, _put_weak),
    weakref.WeakKeyDictionary: Kind("weak dict", _weak_parts, _put_weak),
    tuple: FIXED,
    frozenset: FIXED,
    bytearray: BYTES,
    array.array: BYTES,
}
_OF_SUBCLASSES: dict[type, Kind] = {  # the narrower before the wider
    OrderedDict: Kind("ordered subclass", *_both(_ordered_parts, _put_dict)),
    defaultdict: Kind("default subclass", *_both(_default_parts, _put_default)),
    Counter: Kind("counter subclass", *_both(_dict_parts, _put_dict)),
    dict: Kind("dict subclass", *_both(_dict_parts, _put_dict)),
    list: Kind("list subclass", *_both(_list_parts, _put_list)),
    set: Kind("set subclass", *_both(_set_parts, _put_set)),
    deque: Kind("deque subclass", *_both(_deque_parts, _put_deque)),
}
