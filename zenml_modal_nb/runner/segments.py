"""The copy of a stream on the sandbox's disk, from which a reader takes what the stream has lost."""

from __future__ import annotations

import os
from pathlib import Path

SEGMENT_SIZE = 1024 * 1024  # bytes; every segment but the last has exactly this size


class LogCopy:
    """Appends bytes to `DIRECTORY/log/STREAM.NNNNNN`; made and used by the stream it copies."""

    def __init__(self, directory: Path, stream: str) -> None:
        self._directory = directory / "log"
        self._stream = stream
        self._number = 0
        self._left = SEGMENT_SIZE
        self._descriptor: int | None = None

    def write(self, data: bytes) -> None:
        """Append, in full; raises OSError, e.g. when the disk is full."""
        view = memoryview(data)
        while view:
            written = os.write(self._open(), view[: self._left])
            view = view[written:]
            self._left -= written
            if not self._left:
                self._next()

    def _open(self) -> int:
        if self._descriptor is None:
            path = self._directory / f"{self._stream}.{self._number:06d}"
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        return self._descriptor

    def _next(self) -> None:
        os.close(self._open())
        self._descriptor = None
        self._number += 1
        self._left = SEGMENT_SIZE
