"""How instances of Python classes travel whose class would be in the way: what they hold is taken and given as it is.

Pickle asks an object that is not complete yet for `__setstate__`, which runs a `__getattr__` of the user's, makes it
by its class, whose `__new__` or `__init__` may want other arguments, and fills it by its own `__setitem__` or `append`.
"""

from __future__ import annotations

import copyreg
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any

from zenml_modal_nb.runner.layouts import HEAP_TYPE, slots, solid_base

State = tuple[Any, dict[str, Any], tuple[Any, ...]]  # attributes, slots by name, what is inside
# How an object of one class is pickled; None: as Python does.
Rule = Callable[[Any], Any]

_CONTAINERS = (OrderedDict, defaultdict, Counter, dict, list, set, deque)  # the narrower before the wider
_VALUES = (tuple, frozenset, int, float, complex, str, bytes)
# What pickle runs of a class: where that is Python code of a subclass, nobody knows what it does.
_ASKED = ("__new__", "__getattr__", "__getattribute__")
_FILLED = ("__init__", "__setitem__", "append", "extend", "add", "update", "items", "__iter__", "__len__")
_OWN_PICKLING = ("__reduce_ex__", "__reduce__", "__getstate__")


class Instances:
    """Finds how instances are pickled; made for one pickler, of the values of one namespace."""

    def __init__(self, namespace: Mapping[str, Any]) -> None:
        self._rules: dict[type, Rule | None] = {}
        # e.g. the one that `vars(arguments)` has given a name
        self._dictionaries = {id(each) for each in namespace.values() if type(each) is dict}

    def reduce(self, obj: Any) -> Any:
        """Return how one is pickled, NotImplemented where Python's own way does."""
        kind = type(obj)
        try:
            rule = self._rules[kind]
        except KeyError:
            rule = self._rules[kind] = _rule(kind, self._dictionaries)
        return NotImplemented if rule is None else rule(obj)


def make(base: type, kind: type, *arguments: Any) -> Any:
    """Return an instance as the class that C has made leaves it."""
    return base.__new__(kind, *arguments)


def set_state(obj: Any, state: State) -> None:
    """Give an instance what it holds, without asking its class."""
    own, held, content = state
    if own is not None:
        _put_own(obj, own)
    kind: Any = type(obj)
    for name, member in slots(kind):
        if name in held:
            member.__set__(obj, held[name])
    for base in _CONTAINERS:
        if isinstance(obj, base):
            _FILL[base](obj, *content)
            return


def set_array_state(array: Any, state: tuple[Any, dict[str, Any]]) -> None:
    """Give an array what it holds, and the attributes that its class adds, which numpy leaves behind."""
    ndarray: Any = sys.modules["numpy"].ndarray
    ndarray.__setstate__(array, state[0])
    array.__dict__.clear()
    array.__dict__.update(state[1])


def _put_own(obj: Any, own: dict[str, Any]) -> None:
    there = object.__getattribute__(obj, "__dict__")
    if there is own:
        return
    if there:  # of an object that exists: others may refer to its dictionary
        kept = dict(own)
        there.clear()
        there.update(kept)
    else:  # the dictionary itself: another object, or the object itself, may be it too
        object.__setattr__(obj, "__dict__", own)


def _rule(kind: Any, dictionaries: Collection[int]) -> Rule | None:
    if not kind.__flags__ & HEAP_TYPE or kind in _CONTAINERS:
        return None
    numpy = sys.modules.get("numpy")
    if numpy is not None and issubclass(kind, numpy.ndarray):
        own = (
            kind.__reduce__ is not numpy.ndarray.__reduce__
            or kind.__setstate__ is not numpy.ndarray.__setstate__
        )
        return None if own or not kind.__dictoffset__ else _reduce_array
    if issubclass(kind, type | BaseException) or kind in copyreg.dispatch_table:
        return None
    base = next((each for each in (*_CONTAINERS, *_VALUES) if issubclass(kind, each)), object)
    if base is object and solid_base(kind) is not object:
        return None
    if any(getattr(kind, name) is not getattr(base, name) for name in _OWN_PICKLING):
        return None
    if hasattr(kind, "__setstate__") or hasattr(kind, "__getnewargs_ex__"):
        return None
    if getattr(kind, "__getnewargs__", None) is not getattr(base, "__getnewargs__", None):
        return None
    if base in _VALUES:
        return _reduce_value(base) if _is_python(kind, base, "__new__") else None
    if base is object:
        if any(_is_python(kind, base, name) for name in _ASKED):
            return _reduce_instance
        return _reduce_shared(dictionaries, kind, _reduce_instance)
    if any(_is_python(kind, base, name) for name in (*_ASKED, *_FILLED)):
        return _reduce_container(base)
    # Their own way forgets attributes.
    if base in (Counter, defaultdict):
        return _reduce_container(base)
    return _reduce_shared(dictionaries, kind, _reduce_container(base))


def _is_python(kind: type, base: type, name: str) -> bool:
    """Tell whether a class has this from Python code between itself and what it is made from."""
    return any(
        name in vars(each)
        for each in kind.__mro__
        if each.__flags__ & HEAP_TYPE and not issubclass(base, each)
    )


def _reduce_instance(obj: Any) -> Any:
    return make, (object, type(obj)), _state(obj, ()), None, None, set_state


def _reduce_shared(dictionaries: Collection[int], kind: type, otherwise: Rule) -> Rule | None:
    """Pickle as Python does, except where something else is the object's dictionary too."""
    if not kind.__dictoffset__:
        return None
    # e.g. `self.__dict__ = self._state`, by which all instances are one
    of_classes = (each for cls in kind.__mro__ for each in vars(cls).values() if type(each) is dict)
    shared = {*dictionaries, *map(id, of_classes)}
    if not shared:
        return None

    def reduced(obj: Any) -> Any:
        own = object.__getattribute__(obj, "__dict__")
        return otherwise(obj) if own is obj or id(own) in shared else NotImplemented

    return reduced


def _reduce_container(base: type) -> Rule:
    def reduced(obj: Any) -> Any:
        return make, (base, type(obj)), _state(obj, _TAKE[base](obj)), None, None, set_state

    return reduced


def _reduce_value(base: Any) -> Rule:
    def reduced(obj: Any) -> Any:
        value = base.__add__(obj, base()) if base in (str, bytes, tuple) else _bare(base, obj)
        return make, (base, type(obj), value), _state(obj, ()), None, None, set_state

    return reduced


def _bare(base: Any, obj: Any) -> Any:
    if base is frozenset:
        return frozenset(frozenset.__iter__(obj))
    if base is complex:
        return complex(complex.real.__get__(obj), complex.imag.__get__(obj))
    return base.__pos__(obj)


def _reduce_array(array: Any) -> Any:
    if not array.__dict__:
        return NotImplemented
    make_array, arguments, state = sys.modules["numpy"].ndarray.__reduce__(array)
    return make_array, arguments, (state, array.__dict__), None, None, set_array_state


def _state(obj: Any, content: tuple[Any, ...]) -> State:
    own = object.__getattribute__(obj, "__dict__") if type(obj).__dictoffset__ else None
    held: dict[str, Any] = {}
    kind: Any = type(obj)
    for name, member in slots(kind):
        with suppress(AttributeError):  # it is empty
            held[name] = member.__get__(obj)
    return own, held, content


def _take_dict(obj: Any) -> tuple[Any, ...]:
    return (dict(zip(dict.keys(obj), dict.values(obj), strict=True)),)


def _take_ordered(obj: Any) -> tuple[Any, ...]:
    return ({key: dict.__getitem__(obj, key) for key in OrderedDict.__iter__(obj)},)


def _fill_dict(obj: Any, items: dict[Any, Any]) -> None:
    kind = OrderedDict if isinstance(obj, OrderedDict) else dict
    if items is not obj:
        kind.clear(obj)
        for key, value in items.items():
            kind.__setitem__(obj, key, value)


def _fill_default(obj: Any, factory: Any, items: dict[Any, Any]) -> None:
    obj.default_factory = factory
    _fill_dict(obj, items)


def _fill_list(obj: Any, items: list[Any]) -> None:
    list.__setitem__(obj, slice(None), items)


def _fill_set(obj: Any, items: list[Any]) -> None:
    set.clear(obj)
    set.update(obj, items)


def _fill_deque(obj: Any, longest: int | None, items: list[Any]) -> None:
    deque.__init__(obj, items, longest)


_TAKE: dict[type, Callable[[Any], tuple[Any, ...]]] = {
    OrderedDict: _take_ordered,
    defaultdict: lambda obj: (obj.default_factory, *_take_dict(obj)),
    Counter: _take_dict,
    dict: _take_dict,
    list: lambda obj: (list.copy(obj),),
    set: lambda obj: ([*set.__iter__(obj)],),
    deque: lambda obj: (obj.maxlen, [*deque.__iter__(obj)]),
}
_FILL: dict[type, Callable[..., None]] = {
    OrderedDict: _fill_dict,
    defaultdict: _fill_default,
    Counter: _fill_dict,
    dict: _fill_dict,
    list: _fill_list,
    set: _fill_set,
    deque: _fill_deque,
}
