"""What waits for a run in a volume: the large segments of a part, block by block, each verified when it is read."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zenml_modal_nb.runner import digests
from zenml_modal_nb.runner.blocks import DamagedValuesError

# Variables that say where our volume is mounted, if it is: what was sent, and where large results go.
SHIPPED, RESULTS = "ZENML_MODAL_NB_SHIPPED", "ZENML_MODAL_NB_RESULTS"

_READERS = 8  # threads: a volume's files come over a network, several at once
_PATIENCE = 120.0  # seconds that a block may take to be there: mounts and commits are not instant
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0


@dataclass(frozen=True, slots=True)
class Segment:
    """Some bytes of a part that are not in its file: their number, and the digests of their blocks."""

    size: int
    blocks: tuple[str, ...]

    def is_same(self, content: memoryview) -> bool:
        """Tell whether these are the segment's bytes; nothing is read again."""
        return content.nbytes == self.size and tuple(digests.of_blocks([content])) == self.blocks


class Shipment:
    """The segments of one part that are in the volume, by where they begin in the part."""

    def __init__(self, segments: Mapping[int, Segment], place: Path) -> None:
        self.segments = segments
        self._place = place

    @classmethod
    def of_part(cls, part: Mapping[str, Any], place: str | None) -> Shipment:
        """Read a PART of the run's header; `place` is where the volume is mounted."""
        segments, position = {}, 0
        for each in part["segments"]:
            if "blocks" in each:
                segments[position] = Segment(each["size"], tuple(each["blocks"]))
            position += each["size"]
        return cls(segments, Path(place or "/nowhere"))

    def read_into(self, start: int, content: memoryview) -> None:
        """Read the segment that begins at `start`; raises DamagedValuesError when it does not arrive."""
        segment = self.segments[start]
        pieces = [content[at : at + digests.BLOCK] for at in range(0, segment.size, digests.BLOCK)]
        with ThreadPoolExecutor(min(len(pieces), _READERS)) as threads:
            list(threads.map(self._read, segment.blocks, pieces))

    def fill(self, path: Path, starts: Sequence[int] | None = None) -> None:
        """Put segments, all by default, into the part's own file; raises DamagedValuesError, OSError."""
        with path.open("r+b") as file:
            for start in self.segments if starts is None else starts:
                segment = self.segments[start]
                for number, name in enumerate(segment.blocks):
                    at = number * digests.BLOCK
                    piece = memoryview(bytearray(min(digests.BLOCK, segment.size - at)))
                    self._read(name, piece)
                    file.seek(start + at)
                    file.write(piece)

    def _read(self, name: str, content: memoryview) -> None:
        path, until, pause = self._place / name, time.monotonic() + _PATIENCE, _SHORTEST_PAUSE
        while not _is_read(path, name, content):
            if time.monotonic() > until:
                raise DamagedValuesError(
                    f"the block {name[:16]} of what was sent has not arrived in the volume within {_PATIENCE:.0f} s"
                )
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)


def _is_read(path: Path, name: str, content: memoryview) -> bool:
    try:
        with path.open("rb", buffering=0) as file:
            if os.fstat(file.fileno()).st_size != content.nbytes:
                return False
            view = content
            while view:
                count = file.readinto(view)
                if not count:
                    return False
                view = view[count:]
    except OSError:  # not there yet, or a mount that hiccups
        return False
    return hashlib.sha256(content).hexdigest() == name
