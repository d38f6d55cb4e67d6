"""Values files: one graph of objects, its large buffers apart, written and read without copies of them."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from zenml_modal_nb.runner.functions import Namespace
from zenml_modal_nb.runner.graph import Pickler, Unpickler

MAGIC = b"ZMNB1\n"
ALIGNMENT = 64  # bytes; what numpy and Arrow like best
_INBAND_LIMIT = (
    2048  # bytes; smaller buffers stay in the pickle, e.g. a million small arrays need no million blocks
)


class DamagedValuesError(ValueError):
    """A values file is cut short or is none."""


@dataclass(frozen=True, slots=True)
class Values:
    """A values file in memory: its bytes in pieces, which refer to the memory of the objects themselves.

    Made by `dump`; read by whoever sends it. The objects must not change before it is sent.
    """

    pieces: tuple[bytes | memoryview, ...]
    size: int  # bytes
    sha256: str

    def write(self, file: BinaryIO) -> None:
        """Write the file's bytes, in full."""
        for piece in self.pieces:
            file.write(piece)

    def __bytes__(self) -> bytes:
        return b"".join(self.pieces)


class _Pieces:
    """Takes a pickle's bytes as they come: large ones are the objects' own, not copies."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.pieces.append(data)


def dump(obj: Any, namespace: Namespace, *, definitions: bool = False) -> Values:
    """Pickle `obj` as a values file.

    `definitions` (towards the sandbox) adds the globals that the notebook's functions refer to. Raises what
    pickling raises: `pickle.PicklingError`, TypeError, and anything an object's own `__reduce__` raises.
    """
    buffers: list[memoryview] = []

    def keep(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < _INBAND_LIMIT:
            return True
        buffers.append(raw)
        return False

    sink = _Pieces()
    Pickler(sink, namespace, definitions=definitions, buffer_callback=keep).dump(obj)
    sizes = [sum(map(len, sink.pieces)), *(buffer.nbytes for buffer in buffers)]
    head = MAGIC + b"".join(number.to_bytes(8, "big") for number in [len(sizes), *sizes])
    pieces: list[bytes | memoryview] = [head, _padding(len(head)), *sink.pieces]
    position = _aligned(len(head)) + sizes[0]
    for buffer in buffers:
        pieces += [_padding(position), buffer]
        position = _aligned(position) + buffer.nbytes
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return Values(tuple(pieces), position, digest.hexdigest())


def load(source: str | os.PathLike[str] | bytes | bytearray | memoryview, namespace: Namespace) -> Any:
    """Restore what `dump` has written, from a path or from memory.

    Arrays are writable: from a path and from read-only memory each has memory of its own, from writable
    memory it shares that. Raises `DamagedValuesError`, and whatever the objects raise while they are restored.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        view = memoryview(source).cast("B")
        sizes = _sizes(io.BytesIO(view[: _head_size(view)]), view.nbytes)
        slices = [view[start:end] for start, end in _extents(sizes)]
        buffers: list[Any] = [bytearray(piece) if view.readonly else piece for piece in slices[1:]]
        return Unpickler(io.BytesIO(slices[0]), namespace, buffers).load()
    path = Path(source)
    with path.open("rb") as file:
        extents = list(_extents(_sizes(file, path.stat().st_size)))
        buffers = []
        for start, end in extents[1:]:
            # One allocation per array: each is freed with its own array.
            buffer = bytearray(end - start)
            file.seek(start)
            if file.readinto(buffer) != len(buffer):
                raise DamagedValuesError(f"{path.name} is cut short")
            buffers.append(buffer)
        file.seek(extents[0][0])
        return Unpickler(file, namespace, buffers).load()


def _head_size(view: memoryview) -> int:
    return len(MAGIC) + 8 + 8 * int.from_bytes(view[len(MAGIC) : len(MAGIC) + 8], "big")


def _sizes(file: BinaryIO, available: int) -> list[int]:
    head = file.read(len(MAGIC) + 8)
    if len(head) != len(MAGIC) + 8 or not head.startswith(MAGIC):
        raise DamagedValuesError("not a values file")
    number = int.from_bytes(head[len(MAGIC) :], "big")
    if not 0 < number <= available // 8:
        raise DamagedValuesError("a values file with an impossible number of blocks")
    table = file.read(8 * number)
    sizes = [int.from_bytes(table[start : start + 8], "big") for start in range(0, len(table), 8)]
    if len(sizes) != number or list(_extents(sizes))[-1][1] != available:
        raise DamagedValuesError("a values file whose size is not what its head says")
    return sizes


def _extents(sizes: list[int]) -> Iterator[tuple[int, int]]:
    position = len(MAGIC) + 8 + 8 * len(sizes)
    for size in sizes:
        start = _aligned(position)
        position = start + size
        yield start, position


def _aligned(position: int) -> int:
    return -(-position // ALIGNMENT) * ALIGNMENT


def _padding(position: int) -> bytes:
    return bytes(_aligned(position) - position)
