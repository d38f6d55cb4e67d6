"""Values files: graphs of objects, their large buffers apart, written and read without copies of them."""

from __future__ import annotations

import itertools
import os
import pickle
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from zenml_modal_nb.runner import blocks, digests
from zenml_modal_nb.runner.collection import put_off
from zenml_modal_nb.runner.functions import Namespace
from zenml_modal_nb.runner.graph import Note, Pickler
from zenml_modal_nb.runner.restoring import Reader

__all__ = ["PAYLOAD", "Reader", "Values", "Writer", "dump", "load"]

PAYLOAD = "payload.zmnb"  # the part of a run that holds the cell's values and definitions
INBAND_LIMIT = (
    2048  # bytes; smaller buffers stay in the pickle, e.g. a million small arrays need no million blocks
)


@dataclass(frozen=True, slots=True)
class Values:
    """A values file in memory: its bytes in pieces, which refer to the memory of the objects themselves.

    Made by `Writer`; read by whoever sends it. The objects must not change before it is sent.
    """

    pieces: tuple[bytes | memoryview, ...]
    size: int  # bytes

    @property
    def digest(self) -> str:
        """Tells the content; see `digests.of_content`. Computed anew each time."""
        return digests.of_content(self.pieces)

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


class Writer:
    """Writes one graph after the other into a values file; what they share is written once.

    `definitions` (towards the sandbox) adds the globals that the notebook's functions refer to. `known` are
    objects that the reader has too, at the same places of its own list: they are written as references.
    `note` hears of every object that is no plain value or container. `announced` are values that will be written:
    of arrays among them, others may be views.
    """

    def __init__(
        self,
        namespace: Namespace,
        *,
        definitions: bool = False,
        known: Sequence[object] = (),
        note: Note | None = None,
        announced: Iterable[object] = (),
    ) -> None:
        self._buffers: list[memoryview] = []
        self._sink = _Pieces()
        self._pickler = Pickler(
            self._sink,
            namespace,
            definitions=definitions,
            buffer_callback=self._stays_inside,
            note=note,
            announced=itertools.chain(known, announced),
        )
        if known:
            # As if the pickler had written them before; the C pickler takes its memo in this form.
            with put_off():
                self._pickler.memo = {id(each): (place, each) for place, each in enumerate(known)}

    def add(self, graph: Any) -> None:
        """Write a graph.

        Raises what pickling raises: `pickle.PicklingError`, TypeError, and anything an object's own `__reduce__`
        raises; the writer is of no use after that.
        """
        self._pickler.dump(graph)

    def add_memory(self, contents: Sequence[tuple[int, memoryview]]) -> None:
        """Write numbered buffers, which the reader gets without having them copied: `Reader.read_memory`."""
        small = {number: bytes(each) for number, each in contents if each.nbytes < INBAND_LIMIT}
        self.add((small, [number for number, _ in contents if number not in small]))
        self._buffers += [each for number, each in contents if number not in small]

    def finish(self) -> Values:
        """Return the file."""
        pieces = self._sink.pieces
        sizes = [sum(map(len, pieces)), *(buffer.nbytes for buffer in self._buffers)]
        head = blocks.head(sizes)
        # One piece, apart from the pickle: that may be the same as before where the sizes are others.
        whole: list[bytes | memoryview] = [head + blocks.padding(len(head)), *pieces]
        position = blocks.aligned(len(head)) + sizes[0]
        for buffer in self._buffers:
            whole += [blocks.padding(position), buffer]
            position = blocks.aligned(position) + buffer.nbytes
        return Values(tuple(whole), position)

    def _stays_inside(self, buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < INBAND_LIMIT:
            return True
        self._buffers.append(raw)
        return False


def dump(obj: Any, namespace: Namespace, *, definitions: bool = False) -> Values:
    """Write one graph as a values file; raises what pickling raises."""
    writer = Writer(namespace, definitions=definitions)
    writer.add(obj)
    return writer.finish()


def load(source: str | os.PathLike[str] | bytes | bytearray | memoryview, namespace: Namespace) -> Any:
    """Restore the first graph of a values file, from a path or from memory.

    Arrays are writable: from a path and from read-only memory each has memory of its own, from writable
    memory it shares that. Raises `DamagedValuesError`, and whatever the objects raise while they are restored.
    """
    with Reader(source, namespace) as reader:
        return reader.read()
