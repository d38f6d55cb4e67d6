"""Reads values files: one graph after the other, also when one of them cannot be restored."""

from __future__ import annotations

import io
import os
import pickletools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from zenml_modal_nb.runner import blocks
from zenml_modal_nb.runner.allocation import Memory, fresh
from zenml_modal_nb.runner.copies import Copies
from zenml_modal_nb.runner.functions import Namespace
from zenml_modal_nb.runner.graph import Unpickler
from zenml_modal_nb.runner.shipment import Segment, Shipment

Source = str | os.PathLike[str] | bytes | bytearray | memoryview
# Module and name of what cannot be found, and why → something in its place.
StandIn = Callable[[str, str, Exception], Any]


class Reader:
    """Restores the graphs that a `Writer` has added, in their order; use as a context manager.

    `known` are the writer's known objects, as this process has them. `stand_in` provides something in the place
    of a class or function that does not exist here; without it the graph cannot be restored. `shipment` has what
    the file at a path lacks. Writable memory as a source becomes the objects' own; if it is `given`, only that of a
    buffer that is more than half of it, so that none keeps the others' memory. With `copies`
    functions are made anew, and classes that this process has stay as they are.
    Raises DamagedValuesError when the source is no values file.
    """

    def __init__(
        self,
        source: Source,
        namespace: Namespace,
        known: Sequence[object] = (),
        stand_in: StandIn | None = None,
        shipment: Shipment | None = None,
        copies: Copies | None = None,
        *,
        given: bool = False,
    ) -> None:
        self._namespace = namespace
        self._stand_in = stand_in
        self._copies = copies
        self._switch = _Switch()
        self._stream, self.buffers = _opened(source, shipment)
        self.buffers.given = given
        self._begin = self._stream.tell()
        self._known = len(known)
        self._unpickler = self._primed(known)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self.buffers.close()

    def read(self) -> Any:
        """Restore the next graph; raises whatever its objects raise.

        After that the following graphs can still be read: they share what was complete by then.
        """
        start, first = self._stream.tell(), self.buffers.next
        self._switch.stream = self._stream
        try:
            return self._unpickler.load()
        except Exception:
            self._resume(start, first)
            raise

    def read_memory(self) -> list[tuple[int, memoryview]]:
        """Return the buffers that `Writer.add_memory` has added; they may be read-only, and refer to the source."""
        small, large = self.read()
        found = [(number, memoryview(content)) for number, content in small.items()]
        return found + [(number, memoryview(self.buffers.take(borrowed=True))) for number in large]

    def _primed(self, memo: Sequence[object]) -> Unpickler:
        """Return an unpickler that takes these objects for the first it has read.

        The instructions are the pickle protocol's own: take the next buffer, which may be any object, note it, drop it.
        """
        objects = _Objects(memo, self.buffers)
        unpickler = Unpickler(self._switch, self._namespace, objects, self._stand_in, self._copies)
        if memo:
            steps = b"\x97\x940" * len(memo) + b"N."
            self._switch.stream = io.BytesIO(b"\x80\x05\x95" + len(steps).to_bytes(8, "little") + steps)
            unpickler.load()
        return unpickler

    def _resume(self, start: int, first: int) -> None:
        """Go to the end of a graph that failed, with as many objects noted as its writer has noted."""
        done = self._unpickler.memo.copy()
        self._stream.seek(self._begin)
        total = self._known
        while self._stream.tell() <= start:
            at, taken = self._stream.tell(), 0
            for operation, _, _ in pickletools.genops(self._stream):
                total += operation.name == "MEMOIZE"
                taken += operation.name == "NEXT_BUFFER"
            if at == start:
                self.buffers.next = first + taken
        self._unpickler = self._primed([done.get(place, INCOMPLETE) for place in range(total)])


class IncompleteError(Exception):
    """Something belongs to a value that could not be restored."""


class _Incomplete:
    """Stands for what a failed graph has not completed; whatever refers to it cannot be used either."""

    def __reduce_ex__(self, protocol: object) -> Any:
        raise IncompleteError("it shares objects with a value that cannot be restored")


INCOMPLETE = _Incomplete()


class _Switch:
    """What an unpickler reads from; another stream may take over between two graphs."""

    stream: BinaryIO

    def read(self, size: int) -> bytes:
        return self.stream.read(size)

    def readinto(self, buffer: Any) -> int:
        return self.stream.readinto(buffer)  # type: ignore[attr-defined,no-any-return]  # both kinds have it

    def readline(self) -> bytes:
        return self.stream.readline()


class _Objects:
    """What an unpickler takes for its buffers: first the known objects, then the file's buffers."""

    def __init__(self, known: Sequence[object], buffers: Buffers) -> None:
        self._known = iter(known)
        self._buffers = buffers
        self._first = True

    def __iter__(self) -> _Objects:
        return self

    def __next__(self) -> Any:
        if self._first:
            for each in self._known:
                return each
            self._first = False
        return self._buffers.take()


class Buffers:
    """The buffers of a file, one after the other; each is read when its array is restored."""

    def __init__(
        self,
        source: memoryview | Path,
        extents: list[tuple[int, int]],
        shipment: Shipment | None = None,
    ) -> None:
        self._source = source
        self._shipment = shipment
        self._file = source.open("rb", buffering=0) if isinstance(source, Path) else None
        self._extents = extents
        self.next = 0
        self.given = False  # see `Reader`
        # Of the memory made here: by ID, itself and where it comes from, a place in the file or a segment.
        self.origins: dict[int, tuple[Memory, int | Segment]] = {}

    def take(self, *, borrowed: bool = False) -> Any:
        """Return the next buffer; one that is `borrowed` may be the source's own."""
        start, end = self._extents[self.next]
        self.next += 1
        if isinstance(self._source, memoryview):
            piece = self._source[start:end]
            if borrowed or not (piece.readonly or (self.given and 2 * piece.nbytes <= self._source.nbytes)):
                return piece
            copy = fresh(piece.nbytes)
            memoryview(copy)[:] = piece
            return copy
        # One allocation per array: each is freed with its own array.
        segment = None if self._shipment is None else self._shipment.segments.get(start)
        if segment is not None and segment.size == end - start:
            assert self._shipment is not None
            buffer = self._shipment.take(start)
            self.origins[id(buffer)] = (buffer, segment)
            return buffer
        buffer = fresh(end - start)
        view = memoryview(buffer)
        assert self._file is not None
        self._file.seek(start)
        while view:  # one call reads 2 GiB at most
            count = self._file.readinto(view)
            if not count:
                raise blocks.DamagedValuesError(f"{self._source.name} is cut short")
            view = view[count:]
        self.origins[id(buffer)] = (buffer, start)
        return buffer

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file is not None:
            self._file.close()


def _opened(source: Source, shipment: Shipment | None) -> tuple[BinaryIO, Buffers]:
    """Return a stream at the beginning of the graphs, and the buffers."""
    if isinstance(source, bytes | bytearray | memoryview):
        view = memoryview(source).cast("B")
        head = io.BytesIO(view[: blocks.head_size(view)])
        (start, end), *rest = blocks.extents(blocks.read_sizes(head, view.nbytes))
        return io.BytesIO(view[start:end]), Buffers(view, rest)
    path = Path(source)
    if shipment is not None and 0 in shipment.segments:
        shipment.fill(path, [0])
    with path.open("rb") as beginning:
        (start, _), *rest = blocks.extents(blocks.read_sizes(beginning, path.stat().st_size))
    if shipment is not None:
        # A buffer that is a segment is read from the volume straight into its memory.
        buffers = {(begin, stop - begin) for begin, stop in rest}
        shipment.fill(path, [at for at, s in shipment.segments.items() if (at, s.size) not in buffers])
    file = path.open("rb")  # not before all is there: it reads ahead
    try:
        file.seek(start)
        return file, Buffers(path, rest, shipment)
    except BaseException:
        file.close()
        raise
