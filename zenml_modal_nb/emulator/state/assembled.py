"""Large files of volumes, put together once and shown in any number of read-only mounts without a copy."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import stat
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from zenml_modal_nb.emulator.state.blocks import WORKERS, Blocks
from zenml_modal_nb.emulator.state.trees import File

LEAST = 1024 * 1024  # bytes of a file; a smaller one is copied as fast
ROOM = 8 * 1024**3  # bytes at most of files that no mount shows
IDLE_SECONDS = 3600.0  # after which such a file goes


@dataclass(frozen=True)
class Stamp:
    """What tells that a file was changed since it was last looked at."""

    size: int
    modified: int  # nanoseconds
    number: int  # of the file in its file system
    mode: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        """The stamp of a file in this state."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ino, stat.S_IMODE(status.st_mode))


@dataclass
class _Whole:
    """A file that is here, or being put together by who holds `lock`."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    stamp: Stamp | None = None
    users: int = 0  # who wants it just now
    used: float = 0.0


class Assembled:
    """Whole files by what they hold, their mode and time; every method may be called from any thread.

    A mount shows one by a hard link, so nobody may write to it; but its owner and root can. Therefore a file is
    shown again only if its size, time, number and mode are those it was made with: what somebody has written to
    all the same reaches the mounts that show it then, and none that is made later.
    """

    def __init__(self, directory: Path, blocks: Blocks, room: int = ROOM) -> None:
        self._directory = directory
        self._room = room
        self._blocks = blocks
        self._whole: dict[str, _Whole] = {}
        self._lock = threading.Lock()

    def sweep(self) -> None:
        """Begin with nothing: only while nothing is mounted."""
        shutil.rmtree(self._directory, ignore_errors=True)
        self._directory.mkdir(mode=0o700, parents=True)

    def prepare(self, files: Iterable[File]) -> None:
        """Put files together before they are shown, several at once; raises NotFoundError or OSError."""
        large = [file for file in files if file.size >= LEAST]
        with ThreadPoolExecutor(WORKERS) as threads:
            list(threads.map(self._prepare, large))

    def show(self, file: File, target: str, directory: int) -> None:
        """Let `target` in an open directory be a file that is not to be written to; raises NotFoundError or OSError."""
        if file.size >= LEAST:
            with self._put_together(file) as path:
                linked = _link(path, target, directory)
        if file.size < LEAST or not linked:
            self._blocks.restore(_unwritable(file), target, directory)

    def forget_idle(self) -> None:
        """Let go of what no mount shows: what was not shown for long, and the oldest when it is too much.

        It looks at every file there is, so it is for once a mount, not once a file.
        """
        room = min(self._room, shutil.disk_usage(self._directory).free // 2)
        now = time.monotonic()
        with self._lock:
            for key, whole in sorted(self._whole.items(), key=lambda item: item[1].used, reverse=True):
                path = self._directory / key
                status = _status(path)
                if whole.users or (status and status.st_nlink > 1):
                    continue
                room -= status.st_size if status else 0
                if not status or room < 0 or now - whole.used > IDLE_SECONDS:
                    del self._whole[key]
                    path.unlink(missing_ok=True)

    def _prepare(self, file: File) -> None:
        with self._put_together(file):
            pass

    @contextmanager
    def _put_together(self, file: File) -> Iterator[Path]:
        """The whole file, which stays until the end of the block."""
        shown = _unwritable(file)
        key = hashlib.sha256(repr(shown).encode()).hexdigest()
        with self._lock:
            whole = self._whole.setdefault(key, _Whole())
            whole.users += 1
            whole.used = time.monotonic()
        path = self._directory / key
        try:
            with whole.lock:  # whoever wants the same file waits for it rather than make it too
                if whole.stamp is None or whole.stamp != _stamp(path):
                    self._blocks.restore(shown, path)
                    whole.stamp = _stamp(path)
                yield path
        finally:
            with self._lock:
                whole.users -= 1


def _unwritable(file: File) -> File:
    return dataclasses.replace(file, mode=file.mode & 0o555)


def _link(path: Path, target: str, directory: int) -> bool:
    """Whether `target` could be made another name of `path`: some file systems cannot, or not so often."""
    with suppress(FileNotFoundError):
        os.unlink(target, dir_fd=directory)
    try:
        os.link(path, target, dst_dir_fd=directory)
    except OSError:
        return False
    return True


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except FileNotFoundError:
        return None


def _stamp(path: Path) -> Stamp | None:
    status = _status(path)
    return Stamp.of(status) if status else None
