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
    if kind.__reduce__ is not BaseException.__reduce__ or kind.__reduce_ex__ is not object.__reduce_ex__:
        return NotImplemented
    return make_error, (kind, obj.args), dict(vars(obj))


def make_error(kind: type[BaseException], arguments: tuple[Any, ...]) -> BaseException:
    """Return an exception as far as Python's own classes make it; its attributes follow."""
    classes: tuple[Any, ...] = kind.__mro__
    builtin = next(each for each in classes if not isinstance(each.__init__, types.FunctionType))
    error: BaseException = builtin.__new__(kind, *arguments)
    builtin.__init__(error, *arguments)
    return error
