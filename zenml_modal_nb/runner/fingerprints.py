"""What an object holds, as a value that can be compared after the cell; for what only a pickle describes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zenml_modal_nb.runner.allocation import Memory
from zenml_modal_nb.runner.functions import Namespace
from zenml_modal_nb.runner.graph import Pickler
from zenml_modal_nb.runner.shipment import Segment

_PIECE = 1 << 20  # bytes compared at once
_LARGE = 1 << 16  # bytes of a buffer from which comparing with the input's file is worth a system call


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Made before the cell and after it; `seen` are the numbers of the known objects inside."""

    digest: bytes
    buffers: tuple[object, ...]
    seen: frozenset[int]


@dataclass(frozen=True, slots=True)
class Untouched:
    """A buffer that holds what it arrived with: nothing needs to be read before the cell.

    `origin` is where that begins in the input's file, or the segment of a volume that it is.
    """

    origin: int | Segment
    size: int


class Fingerprints:
    """Takes fingerprints; known objects count by their number, not by what they hold.

    `origins` are the buffers that were read for the file at `path`: by ID, each with its place there or its segment.
    """

    def __init__(
        self,
        namespace: Namespace,
        numbers: Mapping[int, int],
        path: Path,
        origins: Mapping[int, tuple[Memory, int | Segment]],
    ) -> None:
        self._namespace = namespace
        self._numbers = numbers
        self._path = path
        self._origins = origins

    def of_content(self, content: Any) -> Fingerprint:
        """Return the fingerprint of a pickle; raises what pickling raises."""
        sink = _Sink()
        buffers: list[memoryview] = []
        pickler = _Pickler(sink, self._namespace, self._numbers, buffers)
        pickler.dump(content)
        return Fingerprint(sink.hash.digest(), tuple(map(self.of_buffer, buffers)), frozenset(pickler.seen))

    def reduction(self, obj: Any) -> Any:
        """Return how an object is pickled; raises what its `__reduce_ex__` raises."""
        reduced = Pickler(_Sink(), self._namespace, definitions=False).reducer_override(obj)
        if reduced is NotImplemented:
            reduce = Pickler.dispatch_table.get(type(obj))
            reduced = obj.__reduce_ex__(5) if reduce is None else reduce(obj)
        return reduced

    def of_buffer(self, buffer: memoryview) -> object:
        """Return what tells whether a buffer, all of whose memory is in order, still holds the same."""
        origin = self._origin(buffer)
        if origin is not None:
            return Untouched(origin, buffer.nbytes)
        return hashlib.blake2b(buffer).digest()

    def is_same_buffer(self, before: object, buffer: memoryview) -> bool:
        """Tell whether a buffer holds what it held when `of_buffer` saw it."""
        if isinstance(before, Untouched):
            if before.size != buffer.nbytes:
                return False
            if isinstance(before.origin, Segment):
                return before.origin.is_same(buffer)
            return self._is_as_in_file(before.origin, buffer)
        return before == hashlib.blake2b(buffer).digest()

    def is_same(self, before: Fingerprint, content: Any) -> bool:
        """Tell whether a pickle is as it was; raises what pickling raises."""
        sink = _Sink()
        buffers: list[memoryview] = []
        _Pickler(sink, self._namespace, self._numbers, buffers).dump(content)
        return (
            sink.hash.digest() == before.digest
            and len(buffers) == len(before.buffers)
            and all(map(self.is_same_buffer, before.buffers, buffers))
        )

    def _origin(self, buffer: memoryview) -> int | Segment | None:
        """Where a buffer comes from, None if it was made otherwise."""
        if buffer.nbytes < _LARGE:
            return None
        owner: Any = buffer.obj
        while owner is not None and id(owner) not in self._origins:
            # e.g. an array reshaped from one that refers to a view of our memory
            owner = owner.obj if isinstance(owner, memoryview) else getattr(owner, "base", None)
        if owner is None or len(owner) != buffer.nbytes:
            return None
        return self._origins[id(owner)][1]

    def _is_as_in_file(self, start: int, buffer: memoryview) -> bool:
        piece = bytearray(_PIECE)
        try:
            with self._path.open("rb", buffering=0) as file:
                file.seek(start)
                for at in range(0, buffer.nbytes, _PIECE):
                    part = buffer[at : at + _PIECE]
                    if len(part) < len(piece):
                        piece = bytearray(len(part))
                    # A bytearray compares memory at once, a memoryview item by item.
                    if file.readinto(piece) != len(piece) or piece != part:
                        return False
        except OSError:  # the cell has removed the file: then nobody knows
            return False
        return True


class _Sink:
    def __init__(self) -> None:
        self.hash = hashlib.blake2b()

    def write(self, data: Any) -> None:
        self.hash.update(data)


class _Pickler(Pickler):
    def __init__(
        self, sink: _Sink, namespace: Namespace, numbers: Mapping[int, int], buffers: list[memoryview]
    ) -> None:
        super().__init__(
            sink, namespace, definitions=False, buffer_callback=lambda each: buffers.append(each.raw())
        )
        self._numbers = numbers
        self._buffers = buffers
        self.seen: set[int] = set()

    def persistent_id(self, obj: Any) -> int | None:
        number = self._numbers.get(id(obj))
        if number is not None:
            self.seen.add(number)
        return number
