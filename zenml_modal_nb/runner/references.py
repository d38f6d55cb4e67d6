"""How weak references and views of memory travel: with what they refer to."""

from __future__ import annotations

import pickle
import sys
import weakref
from collections.abc import Callable
from typing import Any


def reduce(obj: Any) -> Any:
    """Return how one of these is pickled, NotImplemented for anything else."""
    kind = type(obj)
    if kind is weakref.ReferenceType:
        return make_reference, (obj(), obj.__callback__)
    if kind is memoryview:
        return _reduce_memory(obj)
    return NotImplemented


def make_reference(obj: Any, callback: Callable[[Any], object] | None) -> weakref.ref[Any]:
    """Return a weak reference to an object, or to none if that is None."""
    if obj is None:
        return weakref.ref(_Gone())
    return weakref.ref(obj) if callback is None else weakref.ref(obj, callback)


def make_memory(owner: Any, start: int, size: int, kind: str, shape: list[int], readonly: bool) -> memoryview:
    """Return a view of an object's memory; `start` and `size` are bytes."""
    view = memoryview(owner).cast("B")[start : start + size]
    if readonly:
        view = view.toreadonly()
    return view if (kind, len(shape)) == ("B", 1) else _cast(view, kind, shape)


def _cast(view: Any, kind: str, shape: list[int]) -> memoryview:
    cast: memoryview = view.cast(kind) if len(shape) == 1 else view.cast(kind, shape)
    return cast


class _Gone:
    """Nobody refers to it."""


def _reduce_memory(view: memoryview) -> Any:
    owner, start = view.obj, 0
    if not isinstance(owner, bytes) and view.nbytes != memoryview(owner).nbytes:
        found = _place(view, memoryview(owner))
        if found is None:
            raise pickle.PicklingError("a view of some of an object's memory; make it in the cell")
        start = found
    elif isinstance(owner, bytes):
        owner = view.tobytes()  # nobody can change it
    if not view.c_contiguous:
        raise pickle.PicklingError("a view of memory that is not in order; make it in the cell")
    return make_memory, (owner, start, view.nbytes, view.format, list(view.shape or ()), view.readonly)


def _place(view: memoryview, whole: memoryview) -> int | None:
    """Return where a view begins in its object's memory, in bytes; None if nothing here can tell."""
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        return _of_numpy(numpy, view) - _of_numpy(numpy, whole)
    import ctypes

    if view.readonly or not view.nbytes:
        return None
    return ctypes.addressof(ctypes.c_char.from_buffer(view)) - ctypes.addressof(
        ctypes.c_char.from_buffer(whole)
    )


def _of_numpy(numpy: Any, view: memoryview) -> int:
    return int(numpy.frombuffer(view, "u1").__array_interface__["data"][0])
