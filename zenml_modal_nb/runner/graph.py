"""The rules by which one graph of objects travels between a notebook's namespace and a cell's.

A function of the notebook arrives as a function of the other side's namespace, never of a copy, and keeps its
identity on the way back, as cloudpickle's classes do.
"""

from __future__ import annotations

import enum
import functools
import importlib
import pickle
import re
import sys
import types
import weakref
from collections import ChainMap
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, ClassVar, Protocol

import cloudpickle
from cloudpickle import cloudpickle as reducers

from zenml_modal_nb.runner import (
    devices,
    enumerations,
    exceptions,
    formulas,
    functions,
    instances,
    references,
    remains,
    singletons,
    type_names,
)
from zenml_modal_nb.runner.copies import Copies
from zenml_modal_nb.runner.functions import EMPTY, IDENTITIES, Namespace, current_namespace
from zenml_modal_nb.runner.tables import arrays_in
from zenml_modal_nb.runner.views import Views, is_array

# What IPython keeps among the user's variables: it belongs to that process.
_SHELL_NAMES = re.compile(r"get_ipython|exit|quit|In|Out|_+|_i{1,3}|_i?\d+|_[iod]h|__builtins__|__name__")


_SENTINELS = frozenset({"_MISSING_TYPE", "_KW_ONLY_TYPE", "_HAS_DEFAULT_FACTORY_CLASS", "_FIELD_BASE"})


class _NamespaceReference:
    """Stands for the namespace within a pickle."""

    def __reduce__(self) -> tuple[Any, ...]:
        return current_namespace, ()


class _CellReference:
    """Stands for a closure's cell; its content follows with the function, which the content may refer to."""

    def __reduce__(self) -> tuple[Any, ...]:
        return types.CellType, ()


class _FunctionReference:
    """Stands for a function without its state, for what must be made from it before the state is known."""

    def __init__(self, arguments: tuple[Any, ...]) -> None:
        self._arguments = arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return functions.make_function, self._arguments


def _reduce_weak(mapping: Any) -> tuple[Any, ...]:
    # e.g. the cache inside a functools.singledispatch function
    return type(mapping), (dict(mapping),)


_CLASS_MAKERS = (reducers._make_skeleton_class, reducers._make_skeleton_enum)


def _as_it_is(cls: type, reduced: tuple[Any, ...]) -> tuple[Any, ...]:
    if cls.__qualname__ != cls.__name__:  # of a class inside a class or a function; cloudpickle forgets it
        make, arguments, (attributes, slots), *rest = reduced
        reduced = make, arguments, ({**attributes, "__qualname__": cls.__qualname__}, slots), *rest
    if reduced[0] is reducers._make_skeleton_enum:
        return enumerations.with_members(cls, reduced)
    if vars(cls).get("__slots__"):
        return _with_slots(cls, reduced)
    return reduced


def _with_slots(slotted: type, reduced: tuple[Any, ...]) -> tuple[Any, ...]:
    # cloudpickle sets __slots__ on a finished class, which does nothing: instances there would have a __dict__,
    # and those that come back would not fit the notebook's class. Empty ones may stay so: NamedTuple refuses them.
    make, (metaclass, name, bases, keywords, identity, extra), (attributes, slots), *rest = reduced
    keywords = {**keywords, "__slots__": slotted.__slots__}  # type: ignore[attr-defined]  # the caller has looked
    attributes = {name: value for name, value in attributes.items() if name != "__slots__"}
    return make, (metaclass, name, bases, keywords, identity, extra), (attributes, slots), *rest


_RULES = (
    singletons.reduce, enumerations.reduce, devices.reduce, remains.reduce, exceptions.reduce, type_names.reduce,
    references.reduce,
)  # fmt: skip

_ASKED_EACH = (
    devices.MODULES | singletons.MODULES | type_names.MODULES
)  # of their classes some instances have a rule

# An object that is being pickled, and how → how, perhaps otherwise.
Note = Callable[[Any, Any], Any]


class _Sink(Protocol):
    def write(self, data: Any, /) -> object: ...


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    """cloudpickle's pickler with the namespace rule; `definitions` adds the globals functions refer to."""

    dispatch_table: ClassVar[ChainMap[Any, Any]] = ChainMap(
        {weakref.WeakKeyDictionary: _reduce_weak, weakref.WeakValueDictionary: _reduce_weak},
        *cloudpickle.Pickler.dispatch_table.maps,  # not the chain itself: every object is looked up in all of them
    )

    def __init__(
        self,
        sink: _Sink,
        namespace: Namespace,
        *,
        definitions: bool,
        buffer_callback: Callable[[pickle.PickleBuffer], object] | None = None,
        note: Note | None = None,
        announced: Iterable[object] = (),
    ) -> None:
        super().__init__(sink, protocol=5, buffer_callback=buffer_callback)
        self._note = note
        self._views = Views(announced)
        self._namespace = namespace
        self._definitions = definitions
        self._reference = _NamespaceReference()
        self._cells: dict[int, tuple[types.CellType, _CellReference]] = {}
        # Classes to whose instances no rule applies: there may be a million of one.
        self._unruled: set[type] = set()
        self._instances = instances.Instances(namespace)

    def reducer_override(self, obj: Any) -> Any:
        """Reduce functions of the namespace by our rule; everything else by cloudpickle's."""
        reduced = self._reduced(obj)
        return reduced if self._note is None else self._note(obj, reduced)

    def _reduced(self, obj: Any) -> Any:
        kind = type(obj)
        if kind is types.FunctionType:
            if obj.__globals__ is self._namespace:
                return self._reduce_function(obj)
        elif kind is functools._lru_cache_wrapper:
            function = obj.__wrapped__
            if type(function) is types.FunctionType and function.__globals__ is self._namespace:
                return self._reduce_cached(obj, function)
        elif obj is sys.stdout:  # e.g. a logging handler's stream; means the other side's standard output
            return getattr, (sys, "stdout")
        elif obj is sys.stderr:
            return getattr, (sys, "stderr")
        elif kind.__module__ == "dataclasses" and kind.__name__ in _SENTINELS:
            # Dataclasses ask whether a field's default is this very object.
            dataclasses = sys.modules["dataclasses"]
            return getattr, (dataclasses, next(n for n, each in vars(dataclasses).items() if each is obj))
        elif kind is functools.cached_property:  # on Python 3.11 it holds a lock
            return functions.make_cached_property, (obj.func, obj.attrname, obj.__doc__)
        elif issubclass(kind, type) and obj.__module__ not in sys.modules:
            # Some classes say that they are of a module which nobody has imported yet, e.g. numpy.rec.recarray.
            with suppress(ImportError):
                importlib.import_module(obj.__module__)
        if is_array(obj):
            return self._views.reduce(obj)
        if kind not in self._unruled:
            for rule in _RULES:
                by_rule = rule(obj)
                if by_rule is not NotImplemented:
                    return by_rule
            if kind.__module__ not in _ASKED_EACH and not issubclass(kind, enum.Enum):
                self._unruled.add(kind)
        by_rule = self._instances.reduce(obj)
        if by_rule is NotImplemented and kind.__module__.startswith("statsmodels."):
            by_rule = formulas.reduce(obj, self._namespace)
        if by_rule is not NotImplemented:
            return by_rule
        if kind.__module__.startswith("pandas.core.internals"):
            self._views.leave_alone(arrays_in(obj))
        reduced = super().reducer_override(obj)
        if kind is types.FunctionType and isinstance(reduced, tuple):
            _make, arguments, *rest = reduced
            return (
                functions.make_foreign_function,
                (IDENTITIES.name(obj), *arguments),
                *rest[:-1],
                functions.set_foreign_function_state,
            )
        if isinstance(reduced, tuple) and reduced[0] in _CLASS_MAKERS:
            return _as_it_is(obj, reduced)
        return reduced

    def _reduce_function(self, function: types.FunctionType) -> tuple[Any, ...]:
        attributes, slots = reducers._function_getstate(function)
        definitions = slots.pop("__globals__")
        slots.pop("_cloudpickle_submodules")
        submodules = reducers._find_imported_submodules(function.__code__, definitions.values())
        cells = slots.pop("__closure__") or ()
        state = (
            attributes,
            slots,
            {name: value for name, value in definitions.items() if _travels(name, value)}
            if self._definitions
            else {},
            tuple(_content(cell) for cell in cells),
            submodules,
        )
        return (
            functions.make_function,
            self._arguments(function),
            state,
            None,
            None,
            functions.set_function_state,
        )

    def _arguments(self, function: types.FunctionType) -> tuple[Any, ...]:
        cells = function.__closure__
        closure = None if cells is None else tuple(self._cell(cell) for cell in cells)
        return IDENTITIES.name(function), function.__code__, self._reference, function.__name__, closure

    def _cell(self, cell: types.CellType) -> _CellReference:
        # One reference per cell, so that functions which share a variable share it after.
        return self._cells.setdefault(id(cell), (cell, _CellReference()))[1]

    def _reduce_cached(self, cached: Any, function: types.FunctionType) -> tuple[Any, ...]:
        parameters = cached.cache_parameters()
        arguments = (
            IDENTITIES.name(cached),
            _FunctionReference(self._arguments(function)),
            parameters["maxsize"],
            parameters["typed"],
        )
        attributes = {name: value for name, value in cached.__dict__.items() if name != "__wrapped__"}
        return (
            functions.make_cached,
            arguments,
            (function, attributes),
            None,
            None,
            functions.set_cached_state,
        )


class Unpickler(pickle.Unpickler):
    """Restores a graph; functions of the notebook get `namespace` as their globals."""

    def __init__(
        self,
        source: Any,
        namespace: Namespace,
        buffers: Iterable[Any],
        stand_in: Callable[[str, str, Exception], Any] | None = None,
        copies: Copies | None = None,
    ) -> None:
        super().__init__(source, buffers=buffers)
        self._namespace = namespace
        self._stand_in = stand_in
        self._copies = copies

    def find_class(self, module: str, name: str) -> Any:
        """Find a global of the pickle; the reference to the namespace means this unpickler's."""
        if name == current_namespace.__name__ and module == functions.__name__:
            return lambda: self._namespace
        copy = None if self._copies is None else self._copies.find(module, name)
        if copy is not None:
            return copy
        try:
            return super().find_class(module, name)
        except (ImportError, AttributeError) as error:
            if self._stand_in is None:
                raise
            return self._stand_in(module, name, error)


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet, e.g. a function that refers to a later one
        return EMPTY


def _travels(name: str, value: object) -> bool:
    if name == "open":  # IPython's own `open` guards its standard streams, and needs IPython
        return not (getattr(value, "__module__", None) or "").startswith("IPython.")
    return _SHELL_NAMES.fullmatch(name) is None
