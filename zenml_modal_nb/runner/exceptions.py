"""How exceptions of the user's own classes travel: without their `__init__`, which may want other arguments."""

from __future__ import annotations

import types
from typing import Any


def reduce(obj: Any) -> Any:
    """Return how an exception is pickled, NotImplemented where Python's own way does.

    Python calls the class with `args`, i.e. with what went to `Exception.__init__`. E.g. a class whose `__init__(self,
    code, text)` calls `super().__init__(f"{code}: {text}")` cannot be restored like that.
    """
    kind: Any = type(obj)
    if not isinstance(obj, BaseException) or not isinstance(kind.__init__, types.FunctionType):
        return NotImplemented
    own = kind.__reduce_ex__ is not object.__reduce_ex__
    if own or not isinstance(
        kind.__reduce__, types.MethodDescriptorType
    ):  # of C, i.e. of a class of Python's own
        return NotImplemented
    reduced: Any = obj.__reduce__()  # e.g. that of OSError has the file's name too
    _, arguments, *state = reduced
    return make_error, (kind, arguments), (state[0] if state else None) or {}


def make_error(kind: type[BaseException], arguments: tuple[Any, ...]) -> BaseException:
    """Return an exception as far as Python's own classes make it; its attributes follow."""
    classes: tuple[Any, ...] = kind.__mro__
    builtin = next(each for each in classes if not isinstance(each.__init__, types.FunctionType))
    error: BaseException = builtin.__new__(kind, *arguments)
    builtin.__init__(error, *arguments)
    return error
