"""A directory that others may rearrange meanwhile, reached name by name: no link leads out of it."""

from __future__ import annotations

import errno
import os
from pathlib import PurePosixPath
from types import TracebackType
from typing import Self

# To go through a directory is allowed where reading it is not.
_THROUGH = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LINKED = (errno.ELOOP, errno.ENOTDIR)  # what the system says of a link, or a file, in a directory's place


class LinkedError(OSError):
    """There is a link, or a file, where a directory is to be."""


class Descent:
    """Directories below `real`, a path without links; a context that closes what was opened.

    Descriptors that it gives are for use with `dir_fd`, until the next one is asked for.
    """

    def __init__(self, real: str, *, make: bool = False) -> None:
        """Raise LinkedError if `real` is behind a link by now, OSError if it is not there and not to be made."""
        top = os.open("/", _THROUGH)
        self._top = _reached(top, PurePosixPath(real).parts[1:], make=make, clear=False)
        self._last: tuple[str, int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.let_go()
        os.close(self._top)

    def directory(self, name: str, *, make: bool = False) -> int:
        """A directory by its path, e.g. `a/b`, empty for the top.

        With `make`, what stands in its way, e.g. a link, is removed. Raises LinkedError or another OSError.
        """
        if not name or name == ".":
            return self._top
        if self._last is None or self._last[0] != name:
            self.let_go()
            place = _reached(os.dup(self._top), PurePosixPath(name).parts, make=make, clear=make)
            self._last = (name, place)
        return self._last[1]

    def parent(self, name: str, *, make: bool = False) -> tuple[int, str]:
        """The directory that a path is in, as `directory` gives it, and the path's last name."""
        path = PurePosixPath(name)
        return self.directory(str(path.parent), make=make), path.name

    def listed(self, name: str) -> int:
        """A directory to be read, which its user closes; raises as `directory` does."""
        place = self.directory(name)
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=place)

    def let_go(self) -> None:
        """Forget which directory was reached last: it may have been removed."""
        if self._last is not None:
            os.close(self._last[1])
            self._last = None


def _reached(place: int, parts: tuple[str, ...], *, make: bool, clear: bool) -> int:
    """The directory that these names lead to from `place`, which is closed."""
    try:
        for part in parts:
            below = _below(place, part, make=make, clear=clear)
            os.close(place)
            place = below
    except BaseException:
        os.close(place)
        raise
    return place


def _below(place: int, part: str, *, make: bool, clear: bool) -> int:
    try:
        return os.open(part, _THROUGH, dir_fd=place)
    except FileNotFoundError:
        if not make:
            raise
    except OSError as error:
        if error.errno not in _LINKED:
            raise
        if not clear:
            raise LinkedError(error.errno, os.strerror(error.errno), part) from error
        os.unlink(part, dir_fd=place)
    os.mkdir(part, dir_fd=place)
    return os.open(part, _THROUGH, dir_fd=place)
