"""The memory of arrays and bytearrays: looked at, compared and written without copies."""

from __future__ import annotations

import array
import pickle
from typing import Any


def of(obj: Any) -> memoryview:
    """Return an object's memory as bytes; a copy only where its parts lie apart."""
    try:
        return pickle.PickleBuffer(obj).raw()
    except (
        BufferError,
        ValueError,
    ):  # parts that lie apart, or a type that buffers do not know, e.g. datetime64
        in_order = obj.flags.c_contiguous or obj.flags.f_contiguous
        return memoryview(obj.ravel(order="K" if in_order else "C").view("uint8"))


def write(obj: Any, content: memoryview) -> None:
    """Give an existing object these bytes; raises BufferError, ValueError where it cannot take them."""
    if isinstance(obj, bytearray):
        obj[:] = content
    elif isinstance(obj, array.array):
        del obj[:]
        obj.frombytes(content)
    elif not obj.flags.writeable:  # e.g. a read-only view of an array that has changed
        obj.flags.writeable = True
        try:
            write(obj, content)
        finally:
            obj.flags.writeable = False
    elif obj.flags.c_contiguous or obj.flags.f_contiguous:
        of(obj)[:] = content
    else:  # e.g. every other column of a larger array
        obj[...] = type(obj)(obj.shape, obj.dtype, content)
