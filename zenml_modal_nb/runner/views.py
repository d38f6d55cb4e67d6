"""Arrays that share memory go on sharing it: a view travels as a view of the array that owns what it shows."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

_SMALL = 1 << 20  # bytes of an owner that travels with any view of it
_BARE = frozenset({"ndarray", "recarray", "matrix"})
_SHOWN = 4  # times a view's own size: an owner that is larger travels only if somebody refers to it


class Views:
    """Finds, while a graph is pickled, what a view is a view of; made for one pickler.

    `announced` are objects that are known, or pickled in any case, in this order.
    """

    def __init__(self, announced: Iterable[Any] = ()) -> None:
        self._covers: dict[int, Any] = {}
        for each in announced:  # the first counts: those that are known come first
            if is_array(each) and _covers(each):
                self._covers.setdefault(id(_owner(each)), each)
        self._alone: set[int] = set()

    def leave_alone(self, arrays: Iterable[object]) -> None:
        """Let these be copied: e.g. tables of pandas share memory until one is written, and count who shares it."""
        self._alone.update(map(id, arrays))

    def reduce(self, array: Any) -> Any:
        """Return how a view is pickled; NotImplemented for an array that owns, or is to own, its memory."""
        if id(array) in self._alone:
            return NotImplemented
        owner = _owner(array)
        cover = self._covers.get(id(owner))
        if cover is None:
            if _covers(array):
                self._covers[id(owner)] = array
            elif is_array(owner) and _covers(owner) and owner.nbytes <= max(_SMALL, _SHOWN * array.nbytes):
                cover = self._covers[id(owner)] = owner
        if cover is None or cover is array or cover.dtype.hasobject != array.dtype.hasobject:
            return NotImplemented
        offset = _address(array) - _address(cover)
        shape = array.shape, array.strides, offset
        return make_view, (cover, type(array), array.dtype, *shape, array.flags.writeable)


def make_view(
    cover: Any,
    kind: type,
    dtype: Any,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    offset: int,
    writeable: bool,
) -> Any:
    """Return a view of an array; called when a pickle is read. Strides and offset are bytes."""
    in_order = cover if cover.flags.c_contiguous else cover.T
    if dtype.hasobject:
        stride_tricks = sys.modules["numpy"].lib.stride_tricks
        flat = in_order.reshape(-1)[offset // dtype.itemsize :]
        view = stride_tricks.as_strided(flat, shape, strides)
    else:
        bare = sys.modules["numpy"].ndarray
        view = bare(shape, dtype, in_order.view(bare).reshape(-1).view("uint8"), offset, strides)
        if kind is not bare:
            view = view.view(kind)
    if not writeable:
        view.flags.writeable = False
    return view


def is_array(obj: object) -> bool:
    """Tell whether an object is an array that holds nothing but its memory: a masked array, for one, holds more."""
    return type(obj).__name__ in _BARE and type(obj).__module__.partition(".")[0] == "numpy"


def _owner(array: Any) -> Any:
    """The array at the end of the chain of bases: those of a pickle end in one that refers to the pickle's memory."""
    while isinstance(array.base, sys.modules["numpy"].ndarray):
        array = array.base
    return array


def _covers(array: Any) -> bool:
    """Tell whether an array shows all that its owner has, in the order of memory."""
    flags = array.flags
    return bool(
        (flags.c_contiguous or flags.f_contiguous) and array.nbytes == _owner(array).nbytes and array.nbytes
    )


def _address(array: Any) -> int:
    return int(array.__array_interface__["data"][0])
