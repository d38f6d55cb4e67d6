"""The directory of a volume's mount: a snapshot laid out in it, and what a sandbox has changed since."""

from __future__ import annotations

import logging
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from zenml_modal_nb.emulator.state.assembled import Assembled, Stamp
from zenml_modal_nb.emulator.state.blocks import Blocks
from zenml_modal_nb.emulator.state.refusals import ConflictError
from zenml_modal_nb.emulator.state.trees import File, can_be_kept

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Changes:
    """What a sandbox has done to its mount since the last commit; `directories` are all that are new."""

    written: Mapping[str, File] = field(default_factory=dict)
    stamps: Mapping[str, Stamp] = field(default_factory=dict)
    removed: frozenset[str] = frozenset()
    directories: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.written or self.removed or self.directories)


class Checkout:
    """Made and used by `MountedVolume`, by one thread at a time.

    The sandbox's processes use the directory meanwhile. Whatever they put there, nothing outside of it is read
    or written: no link is followed, and a directory that is no longer at its own path is left alone.
    """

    def __init__(self, directory: Path, blocks: Blocks, assembled: Assembled | None) -> None:
        """Be read-only if the files are shown by `assembled`."""
        self.directory = directory
        self._blocks = blocks
        self._assembled = assembled
        self._real = ""
        self._seen: dict[str, tuple[File, Stamp]] = {}
        self._directories: set[str] = set()
        self._told: set[str] = set()

    def lay_out(self, files: Mapping[str, File], directories: set[str]) -> None:
        """Show this snapshot, whose blocks are claimed; raises ConflictError, NotFoundError or OSError."""
        self._require_own()
        self._made("")
        self._real = os.path.realpath(self.directory)
        for name in self._seen.keys() - files.keys():
            if self._holds(str(PurePosixPath(name).parent)):
                (self.directory / name).unlink(missing_ok=True)
        for name in sorted(self._directories - directories, reverse=True):
            if not any(file.startswith(f"{name}/") for file in files) and self._holds(name):
                shutil.rmtree(self.directory / name, ignore_errors=True)
        for name in sorted(directories):
            self._made(name)
        seen = {}
        for name, file in files.items():
            known = self._seen.get(name)
            if known is None or known[0] != file or self._spoilt(name, known[1]):
                known = (file, self._restored(name, file))
            seen[name] = known
        self._seen, self._directories = seen, directories

    def look(self) -> Changes:
        """What differs from what was last laid out or settled; its contents are stored as blocks.

        What cannot be read, or has a name that no volume can have, is left out and told in the server's log.
        Raises ConflictError, or OSError for a disk that is full.
        """
        self._require_own()
        written, stamps, found, directories = {}, {}, set(), set()
        unread: set[str] = set()
        for name, status in self._walk(unread):
            if stat.S_ISDIR(status.st_mode):
                directories.add(name)
                continue
            found.add(name)
            stamp = Stamp.of(status)
            known = self._seen.get(name)
            if known and known[1] == stamp:
                continue
            try:
                descriptor = os.open(self.directory / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            except FileNotFoundError:  # removed since: the next commit says so
                found.discard(name)
                continue
            except OSError as error:
                self._tell(name, error.strerror)
                continue
            try:
                size, blocks = self._blocks.add(descriptor)
            finally:
                os.close(descriptor)
            written[name] = File(size, stat.S_IMODE(status.st_mode), status.st_mtime, blocks)
            stamps[name] = stamp
        gone = (name for name in self._seen.keys() - found if not _at_or_below(name, unread))
        return Changes(written, stamps, frozenset(gone), frozenset(directories - self._directories))

    def settle(self, changes: Changes) -> None:
        """Take these changes, which are committed, for what was laid out."""
        for name, file in changes.written.items():
            self._seen[name] = (file, changes.stamps[name])
        for name in changes.removed:
            del self._seen[name]
        self._directories |= changes.directories

    def _restored(self, name: str, file: File) -> Stamp:
        target = self._made(str(PurePosixPath(name).parent)) / PurePosixPath(name).name
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        if self._assembled:
            self._assembled.show(file, target)
        else:
            self._blocks.restore(file, target)
        return Stamp.of(target.lstat())

    def _spoilt(self, name: str, stamp: Stamp) -> bool:
        """Whether a file of a read-only mount is not what was laid out: root can write all the same."""
        if not self._assembled:
            return False
        try:
            return Stamp.of((self.directory / name).lstat()) != stamp
        except OSError:
            return True

    def _made(self, name: str) -> Path:
        """A directory, made where it is missing; what stands in its way, e.g. a link, is removed."""
        path = self.directory
        path.mkdir(parents=True, exist_ok=True)
        for part in PurePosixPath(name).parts:
            path = path / part
            if path.is_symlink() or path.is_file():
                path.unlink()
            path.mkdir(exist_ok=True)
        return path

    def _holds(self, name: str) -> bool:
        """Whether this is a directory that no link leads to."""
        path = self.directory
        for part in PurePosixPath(name).parts:
            path = path / part
            if path.is_symlink():
                return False
        return path.is_dir()

    def _require_own(self) -> None:
        if self._real and os.path.realpath(self.directory) != self._real:
            raise ConflictError(f"The mount's directory {self.directory} is a link, or below one.")

    def _walk(self, unread: set[str]) -> Iterator[tuple[str, os.stat_result]]:
        """Regular files and directories, each after its own; what could not be looked at goes to `unread`."""
        waiting = [""]  # not by recursion: a sandbox may nest directories as deep as it likes
        while waiting:
            place = waiting.pop()
            try:
                with os.scandir(self.directory / place) as listing:
                    entries = sorted(listing, key=lambda entry: entry.name)
            except FileNotFoundError:
                continue
            except OSError as error:
                unread.add(place)
                self._tell(place, error.strerror)
                continue
            for entry in entries:
                name = f"{place}/{entry.name}" if place else entry.name
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if not can_be_kept(name):
                    self._tell(name, "its name is not UTF-8, or its path is too long")
                elif stat.S_ISDIR(status.st_mode):
                    waiting.append(name)
                    yield name, status
                elif stat.S_ISREG(status.st_mode):
                    yield name, status

    def _tell(self, name: str, reason: str | None) -> None:
        if name not in self._told:  # once, not at every commit
            self._told.add(name)
            log.warning("Not committed to a volume: %s in %s: %s", ascii(name), self.directory, reason)


def _at_or_below(name: str, places: set[str]) -> bool:
    return bool(places) and ("" in places or any(name == p or name.startswith(f"{p}/") for p in places))
