"""Short names for directories whose paths are long: the address of a Unix socket has about a hundred bytes at most.

Python's multiprocessing and PyTorch's loaders of data make sockets below the temporary directory, whose path in a real
container is `/tmp`.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import stat
import tempfile
from pathlib import Path

LONGEST = 62  # bytes; macOS takes 103, and `/pymp-xxxxxxxx/listener-xxxxxxxx` of multiprocessing has 32

log = logging.getLogger(__name__)


class ShortPaths:
    """Links to directories, all in one directory of the system's temporary one; one for each state directory."""

    def __init__(self, state_directory: Path) -> None:
        self._directory = Path(_temporary(), f"zmnb-{_digest(state_directory.resolve(), 10)}")

    def sweep(self) -> None:
        """Remove what an earlier server has left."""
        if self._is_ours():
            shutil.rmtree(self._directory, ignore_errors=True)

    def link(self, target: Path) -> None:
        """Give a directory a short path, unless its own is."""
        if len(os.fsencode(target)) <= LONGEST:
            return
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            if not self._is_ours():
                raise PermissionError(f"{self._directory} is somebody else's")
            self._named(target).symlink_to(target)
        except OSError as error:
            log.warning("Programs of a sandbox cannot make sockets below %s: %s", target, error)

    def of(self, target: Path) -> Path:
        """The short path of a directory, or its own: that is short, or no other could be made."""
        short = self._named(target)
        return short if self._is_ours() and short.is_symlink() else target

    def unlink(self, target: Path) -> None:
        """Remove the short path of a directory, if it has one."""
        if self._is_ours():
            self._named(target).unlink(missing_ok=True)

    def _named(self, target: Path) -> Path:
        return self._directory / _digest(target, 8)

    def close(self) -> None:
        """Remove the directory, if nothing is linked any more."""
        try:
            self._directory.rmdir()
        except OSError:
            log.debug("%s stays", self._directory)

    def _is_ours(self) -> bool:
        try:
            state = self._directory.lstat()
        except OSError:
            return False
        return stat.S_ISDIR(state.st_mode) and state.st_uid == os.getuid() and not state.st_mode & 0o077


def _digest(path: Path, length: int) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:length]


def _temporary() -> str:
    usual = "/tmp"  # noqa: S108  on macOS the user's own is half as long as a socket's address may be
    return usual if os.access(usual, os.W_OK | os.X_OK) else tempfile.gettempdir()
