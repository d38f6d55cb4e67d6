"""A namespace as plain data, in the kernel that has it: equal data means equal names, values, types and sharing.

An object is written out where the walk meets it first, by names in order; where it is met again stands the path of
that first place, so that two namespaces are described alike only if the same names share the same objects.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import functools
import hashlib
import importlib
import io
import logging
import pathlib
import re
import sys
import types
import typing
import warnings
from collections.abc import Mapping
from typing import Any

FILTERS = list(warnings.filters)  # as they are when the kernel begins

# What IPython, the extension and its `_modal_run` keep among the user's names.
_NOT_THE_USERS = re.compile(
    r"_{1,3}|_\d+|_i{1,3}|_i\d+|_[iod]h|In|Out|exit|quit|get_ipython|open|_modal_run|"
    # Bookkeeping of the interpreter, which no notebook reads, is left out too.
    r"__(annotations|warningregistry|name|doc|package|loader|spec|builtin|builtins|session__|vsc_ipynb_file)__"
)
_OPAQUE = frozenset({"threading", "_thread", "_io", "socket", "_asyncio"})
_ATOMS = (type(None), bool, int, float, complex, str, bytes, type(...), type(NotImplemented), range, slice)
# Values whose identity nobody relies on: interpreters and libraries cache them.
_VALUES = (
    datetime.date, datetime.time, datetime.timedelta, datetime.tzinfo, decimal.Decimal, pathlib.PurePath, re.Pattern,
)  # fmt: skip
_MADE_BY_PYTHON = frozenset({
    "__dict__", "__weakref__", "__module__", "__firstlineno__", "__static_attributes__", "_abc_impl",
    "__slotnames__", "__annotate__", "__pydantic_core_schema__", "__pydantic_validator__",
    "__pydantic_serializer__", "__pydantic_parent_namespace__", "__annotate_func__", "__annotations_cache__",
})  # fmt: skip

_LEFT_OUT = frozenset(
    {"_deprecated_key_to_warnings"}
)  # scikit-learn's Bunch leaves its own out of every pickle


def of(namespace: Mapping[str, object]) -> dict[str, object]:
    """Describe the user's names and what IPython calls `_`."""
    walk = _Walk()
    users = {name: value for name, value in namespace.items() if not _NOT_THE_USERS.fullmatch(name)}
    names = {name: walk.describe(users[name], name) for name in sorted(users)}
    return {
        "names": names,
        "last": walk.describe(namespace.get("_", ""), "_"),
        "memory": _shared_memory(users),
    }


def _shared_memory(users: Mapping[str, object]) -> list[str]:
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return []
    arrays = [(name, value) for name, value in sorted(users.items()) if isinstance(value, numpy.ndarray)]
    return [
        f"{one} {other}"
        for number, (one, first) in enumerate(arrays)
        for other, second in arrays[number + 1 :]
        if numpy.may_share_memory(first, second)
    ]


class _Walk:
    def __init__(self) -> None:
        self._paths: dict[int, str] = {}
        self._alive: list[object] = []  # an ID is unique among living objects only

    def describe(self, thing: Any, path: str) -> object:
        if type(thing) in _ATOMS:
            return [type(thing).__name__, repr(thing)]
        if isinstance(thing, types.ModuleType):
            return ["module", thing.__name__]
        if isinstance(thing, type) and _is_importable(thing):
            return ["class", f"{thing.__module__}.{thing.__qualname__}"]
        if isinstance(thing, enum.Enum):
            return ["member", self.describe(type(thing), f"type({path})"), thing.name]
        if (
            isinstance(thing, _VALUES) or type(thing).__qualname__ == "Period"
        ):  # pandas' own value, with a cache
            return ["value", type(thing).__name__, repr(thing)]
        if type(thing) is tuple and _is_plain(thing):
            return ["tuple", self._all(thing, path)]
        if type(thing).__module__ in _OPAQUE:
            return ["opaque", type(thing).__name__]
        numpy = sys.modules.get("numpy")
        if numpy is not None and isinstance(thing, numpy.number | numpy.bool_):  # as Python's own numbers
            return ["numpy", type(thing).__name__, repr(thing)]
        # patsy's: the frame of whoever made or unpickled a formula
        if type(thing).__name__ == "EvalEnvironment":
            return ["opaque", "EvalEnvironment"]
        if isinstance(thing, logging.Logger):
            return ["logger", thing.name, thing.level]
        if isinstance(thing, types.GenericAlias | types.UnionType):  # as good as any other that says the same
            return ["type", repr(thing)]
        if id(thing) in self._paths:
            return ["same as", self._paths[id(thing)]]
        self._paths[id(thing)] = path
        self._alive.append(thing)
        return self._parts(thing, path)

    def _parts(self, thing: Any, path: str) -> object:
        match thing:
            case type():
                return self._class(thing, path)
            case types.FunctionType():
                return self._function(thing, path)
            case types.MethodType():
                return ["method", self.describe(thing.__self__, f"{path}.__self__"), thing.__func__.__name__]
            case types.BuiltinFunctionType() | types.MethodWrapperType():
                owner = thing.__self__
                own = (
                    None
                    if isinstance(owner, types.ModuleType | None)
                    else self.describe(owner, f"{path}.__self__")
                )
                return ["builtin", thing.__module__, thing.__qualname__, own]
            case property():
                return ["property", self._all((thing.fget, thing.fset, thing.fdel, thing.__doc__), path)]
            case classmethod() | staticmethod():
                return [type(thing).__name__, self.describe(thing.__func__, f"{path}.__func__")]
            case types.GeneratorType() | types.CoroutineType() | types.AsyncGeneratorType():
                return [type(thing).__name__, thing.__name__]
            case functools.partial():
                return ["partial", self._all((thing.func, thing.args, thing.keywords), path)]
            case typing.TypeVar() | typing.NewType():
                return ["type", repr(thing)]
        return self._ended(thing, path) or self._library(thing, path) or self._instance(thing, path)

    def _all(self, things: Any, path: str) -> list[object]:
        return [self.describe(each, f"{path}[{number}]") for number, each in enumerate(things)]

    def _named(self, things: Mapping[Any, Any], path: str) -> dict[str, object]:
        return {str(name): self.describe(each, f"{path}.{name}") for name, each in sorted(things.items())}

    def _class(self, cls: type, path: str) -> object:
        members = {name: each for name, each in vars(cls).items() if name not in _MADE_BY_PYTHON}
        if not members.get("__annotations__"):  # made when somebody asks for them
            members.pop("__annotations__", None)
        return [
            "class of the notebook", cls.__qualname__, cls.__module__, self._all(cls.__bases__, f"{path}.__bases__"),
            self.describe(type(cls), f"type({path})"), self._named(members, path),
        ]  # fmt: skip

    def _function(self, function: types.FunctionType, path: str) -> object:
        if _is_importable(function):
            return ["function", f"{function.__module__}.{function.__qualname__}"]
        if hasattr(function, "registry"):  # of functools.singledispatch: the rest are caches of calls
            return [
                "dispatched",
                self._function(function.__wrapped__, path),
                self.describe(dict(function.registry), path),
            ]
        main = sys.modules["__main__"].__dict__
        return [
            "function", function.__qualname__, function.__module__, function.__doc__, function.__globals__ is main,
            _code(function.__code__),
            self._all((function.__defaults__, function.__kwdefaults__), f"{path}.__defaults__"),
            self._named(function.__annotations__, f"{path}.__annotations__"),
            self._named(function.__dict__, path),
            self._all(map(_content, function.__closure__ or ()), f"{path}.__closure__"),
        ]  # fmt: skip

    def _ended(self, thing: Any, path: str) -> object:
        """Describe what belongs to one process, by what it tells; None: it is not of that kind."""
        kind, module = type(thing).__name__, type(thing).__module__
        if module.startswith("tqdm"):
            return ["bar", module, thing.n, thing.total, thing.disable]
        if module == "concurrent.futures.thread":
            return ["pool", kind, thing._shutdown]
        if module == "concurrent.futures._base" and kind == "Future":
            outcome = thing.exception() or thing.result()
            return ["future", self.describe(outcome, f"{path}.result()")]
        return [kind, module] if kind == "DisplayHandle" else None

    def _library(self, thing: Any, path: str) -> object:
        """Describe what libraries keep outside Python's own structures; None: it is not of that kind."""
        numpy, pandas = sys.modules.get("numpy"), sys.modules.get("pandas")
        if numpy is not None and isinstance(thing, numpy.ndarray):
            flags = thing.flags
            items = self._all(thing.ravel().tolist(), path) if thing.dtype.hasobject else repr(thing.tolist())
            about = [
                str(thing.dtype),
                list(thing.shape),
                flags.c_contiguous,
                flags.f_contiguous,
                flags.writeable,
            ]
            return ["array", self.describe(type(thing), f"type({path})"), about, items]
        if numpy is not None and isinstance(thing, numpy.generic | numpy.dtype):
            return ["numpy", type(thing).__name__, repr(thing)]
        if type(thing).__module__.startswith("matplotlib."):
            return _drawn(thing)
        if pandas is None:
            return None
        if isinstance(thing, pandas.DataFrame):
            columns = [
                self.describe(thing.iloc[:, number].array, f"{path}[{number}]")
                for number in range(thing.shape[1])
            ]
            axes = self._all(thing.axes, f"{path}.axes")
            return ["DataFrame", self.describe(type(thing), f"type({path})"), axes, columns, thing.attrs]
        if isinstance(thing, pandas.Series):
            array = self.describe(thing.array, f"{path}.array")
            return ["Series", self.describe(thing.index, f"{path}.index"), str(thing.name), array]
        if isinstance(thing, pandas.Index):
            return [
                type(thing).__name__,
                list(map(str, thing.names)),
                str(thing.dtype),
                self._all(thing.tolist(), path),
            ]
        if isinstance(thing, pandas.api.extensions.ExtensionArray):
            return [type(thing).__name__, str(thing.dtype), self._all(thing.tolist(), path)]
        return None

    def _instance(self, thing: Any, path: str) -> object:
        described: list[object] = ["instance", self.describe(type(thing), f"type({path})")]
        state = _state(thing)
        if isinstance(thing, BaseException):
            described.append(self._all((thing.args, thing.__cause__), f"{path}.args"))
        elif isinstance(thing, set | frozenset):
            described.append(sorted(f"{type(each).__name__} {_plain(each)}" for each in thing))
        elif isinstance(thing, Mapping):
            pairs = [
                [self.describe(k, f"{path} key {k!r}"), self.describe(v, f"{path}[{k!r}]")]
                for k, v in thing.items()
            ]
            described.append(pairs)
        elif isinstance(thing, list | tuple) or type(thing).__name__ in ("deque", "array"):
            described.append(self._all(thing, path))
        elif isinstance(thing, bytearray | memoryview):
            described.append(repr(bytes(thing)))
        elif not state and not hasattr(thing, "__dict__"):
            described.append(self._reduced(thing, path))
        state = {name: each for name, each in state.items() if name not in _LEFT_OUT} if state else state
        return [*described, self._named(state, path)] if state else described

    def _reduced(self, thing: Any, path: str) -> object:
        try:
            reduced = thing.__reduce_ex__(4)
        except TypeError:  # an object that cannot be pickled is told by its type alone
            return "opaque"
        if isinstance(reduced, str):
            return reduced
        return self._all(reduced[1:3], f"{path} state")


def _drawn(thing: Any) -> object:
    """Describe a figure, or one of its parts, by what is seen of it: the rest are counters and caches."""
    figure = thing if hasattr(thing, "savefig") else getattr(thing, "figure", None)
    if figure is None:
        return ["artist", type(thing).__name__]
    page = io.BytesIO()
    figure.savefig(page, format="rgba")
    place = [n for n, axes in enumerate(figure.axes) if axes is thing]
    return ["artist", type(thing).__name__, place, hashlib.sha256(page.getvalue()).hexdigest()]


def _is_plain(thing: object) -> bool:
    """A tuple of nothing that can change is as good as any other, e.g. one that the compiler has made twice."""
    if type(thing) is tuple:
        return all(map(_is_plain, thing))
    return type(thing) in _ATOMS or isinstance(thing, type | typing.TypeVar)


def _state(thing: object) -> dict[str, object]:
    state = dict(getattr(thing, "__dict__", {}))
    for cls in type(thing).__mro__:
        slots = vars(cls).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(thing, name):
                state[name] = getattr(thing, name)
    return state


def _is_importable(thing: Any) -> bool:
    if thing.__module__ in ("__main__", None):
        return False
    try:
        found: object = importlib.import_module(thing.__module__)
    except ImportError:
        return False
    for part in thing.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is thing


def _content(cell: types.CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:
        return "an empty cell"


def _code(code: types.CodeType) -> list[object]:
    if {"get_ipython", "__import__"} & {*code.co_names}:
        return [code.co_name, "shell lines"]  # written by IPython here and by us there
    constants = [_code(each) if isinstance(each, types.CodeType) else _plain(each) for each in code.co_consts]
    about = [code.co_name, code.co_argcount, code.co_flags, list(code.co_varnames), list(code.co_names)]
    return [*about, constants, code.co_code.hex()]


def _plain(thing: object) -> str:
    """A text that equal values share; sets have no order of their own."""
    if isinstance(thing, frozenset | set):
        return f"{type(thing).__name__} {sorted(map(_plain, thing))}"
    return re.sub(r"0x[0-9a-f]+", "0x", repr(thing))
