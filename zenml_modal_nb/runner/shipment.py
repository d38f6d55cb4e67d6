"""What waits for a run in a volume: the large segments of a part, block by block, each verified when it is read."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zenml_modal_nb.runner import digests
from zenml_modal_nb.runner.allocation import Memory, fresh
from zenml_modal_nb.runner.blocks import DamagedValuesError

# Variables that say where our volume is mounted, if it is: what was sent, and where large results go.
SHIPPED, RESULTS = "ZENML_MODAL_NB_SHIPPED", "ZENML_MODAL_NB_RESULTS"

_READERS = 8  # threads: a volume's files come over a network, several at once
_PATIENCE = 120.0  # seconds that a block may take to be there: mounts and commits are not instant
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0
_PIECE = 1 << 20  # bytes compared at a time


@dataclass(frozen=True, slots=True)
class Segment:
    """Some bytes of a part that are not in its file: their number, and the digests of their blocks in `place`."""

    size: int
    blocks: tuple[str, ...]
    place: Path

    def is_same(self, content: memoryview) -> bool:
        """Tell whether these are the segment's bytes."""
        if content.nbytes != self.size:
            return False
        pieces = _split(content)
        with ThreadPoolExecutor(min(len(pieces), os.cpu_count() or 1)) as threads:
            return all(threads.map(self._is_block, self.blocks, pieces))

    def _is_block(self, name: str, content: memoryview) -> bool:
        # To compare with the file takes a third of the time of a digest, which decides if they differ.
        return _is_as_in(self.place / name, content) or digests.of_block([content]) == name


class Shipment:
    """The segments of one part that are in the volume, by where they begin in the part."""

    def __init__(self, segments: Mapping[int, Segment]) -> None:
        self.segments = segments
        self._arriving: dict[int, tuple[Memory, list[Future[None]]]] = {}

    @classmethod
    def of_part(cls, part: Mapping[str, Any], place: str | None) -> Shipment:
        """Read a PART of the run's header; `place` is where the volume is mounted."""
        segments, position, where = {}, 0, Path(place or "/nowhere")
        for each in part["segments"]:
            if "blocks" in each:
                segments[position] = Segment(each["size"], tuple(each["blocks"]), where)
            position += each["size"]
        return cls(segments)

    def begin(self) -> None:
        """Begin to read all segments into memory, beside whatever else a run begins with, e.g. imports of libraries."""
        if not self.segments:
            return
        threads = ThreadPoolExecutor(_READERS)
        with suppress(MemoryError):  # who takes the segment hears of it
            for start, segment in self.segments.items():
                self._arriving[start] = _arriving(segment, threads)
        threads.shutdown(wait=False)

    def take(self, start: int) -> Memory:
        """Return the segment that begins at `start`; raises DamagedValuesError if it does not arrive, MemoryError."""
        arriving = self._arriving.pop(start, None)
        if arriving is None:
            with ThreadPoolExecutor(_READERS) as threads:
                arriving = _arriving(self.segments[start], threads)
        memory, blocks = arriving
        for block in blocks:
            block.result()
        return memory

    def fill(self, path: Path, starts: Sequence[int] | None = None) -> None:
        """Put segments, all by default, into the part's own file; raises DamagedValuesError, OSError."""
        with path.open("r+b") as file:
            for start in self.segments if starts is None else starts:
                file.seek(start)
                if start in self._arriving:
                    file.write(self.take(start))
                    continue
                segment = self.segments[start]
                for number, name in enumerate(segment.blocks):
                    piece = memoryview(bytearray(min(digests.BLOCK, segment.size - number * digests.BLOCK)))
                    _arrive(segment.place / name, piece)
                    file.write(piece)


def _arriving(segment: Segment, threads: ThreadPoolExecutor) -> tuple[Memory, list[Future[None]]]:
    memory = fresh(segment.size)
    blocks = zip(segment.blocks, _split(memoryview(memory)), strict=True)
    return memory, [threads.submit(_arrive, segment.place / name, piece) for name, piece in blocks]


def _split(content: memoryview) -> list[memoryview]:
    return [content[at : at + digests.BLOCK] for at in range(0, content.nbytes, digests.BLOCK)]


def _arrive(path: Path, content: memoryview) -> None:
    """Read a block as soon as it is there; one ends where only zeros follow."""
    until, pause = time.monotonic() + _PATIENCE, _SHORTEST_PAUSE
    while not _is_read(path, content):
        if time.monotonic() > until:
            raise DamagedValuesError(
                f"the block {path.name[:16]} of what was sent has not arrived in the volume within {_PATIENCE:.0f} s"
            )
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _is_read(path: Path, content: memoryview) -> bool:
    found = hashlib.sha256()
    at = 0
    try:
        with path.open("rb", buffering=0) as file:
            if os.fstat(file.fileno()).st_size > content.nbytes:
                return False
            while count := file.readinto(content[at:]):
                found.update(content[at : at + count])
                at += count
    except OSError:  # not there yet, or a mount that hiccups
        return False
    if found.hexdigest() != path.name:
        return False
    rest = content[at:]
    rest[:] = bytes(rest.nbytes)  # of an attempt before that has read more
    return True


def _is_as_in(path: Path, content: memoryview) -> bool:
    """Tell whether a file holds these bytes, as far as it can be read."""
    piece = bytearray(min(_PIECE, content.nbytes))
    at = 0
    try:
        with path.open("rb", buffering=0) as file:
            while count := file.readinto(piece):
                if count < len(piece):
                    del piece[count:]
                # A bytearray compares memory at once, a memoryview item by item.
                if piece != content[at : at + count]:
                    return False
                at += count
    except OSError:
        return False
    rest = content[at:]
    return not digests.stripped([rest])
