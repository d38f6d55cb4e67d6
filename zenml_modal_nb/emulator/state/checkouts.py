"""The directory of a volume's mount: a snapshot laid out in it, and what a sandbox has changed since."""

from __future__ import annotations

import logging
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from zenml_modal_nb.emulator.state.assembled import Assembled, Stamp
from zenml_modal_nb.emulator.state.blocks import Blocks
from zenml_modal_nb.emulator.state.descents import Descent, LinkedError
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
    or written: every directory is gone into by its own name, never through a link, also not through one that is made
    while this looks; a mount's directory that is no longer at its own path is left alone.
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
        if not self._real:  # nothing runs here yet
            self.directory.mkdir(parents=True, exist_ok=True)
            self._real = os.path.realpath(self.directory)
        if self._assembled:
            known = {name: seen for name, (seen, _) in self._seen.items()}
            self._assembled.prepare(file for name, file in files.items() if known.get(name) != file)
        with self._descent(make=True) as descent:
            for name in self._seen.keys() - files.keys():
                with suppress(FileNotFoundError, LinkedError):
                    place, last = descent.parent(name)
                    os.unlink(last, dir_fd=place)
            for name in sorted(self._directories - directories, reverse=True):
                if not any(file.startswith(f"{name}/") for file in files):
                    with suppress(FileNotFoundError, LinkedError):
                        place, last = descent.parent(name)
                        shutil.rmtree(last, ignore_errors=True, dir_fd=place)
            descent.let_go()
            for name in sorted(directories):
                descent.directory(name, make=True)
            seen = {}
            for name, file in files.items():
                before = self._seen.get(name)
                if before is None or before[0] != file or self._spoilt(descent, name, before[1]):
                    before = (file, self._restored(descent, name, file))
                seen[name] = before
        self._seen, self._directories = seen, directories
        if self._assembled:
            self._assembled.forget_idle()

    def look(self) -> Changes:
        """What differs from what was last laid out or settled; its contents are stored as blocks.

        What cannot be read, or has a name that no volume can have, is left out and told in the server's log.
        Raises ConflictError, or OSError for a disk that is full.
        """
        try:
            descent = self._descent()
        except FileNotFoundError:  # removed with all that was in it
            return Changes(removed=frozenset(self._seen))
        with descent:
            return self._changes(descent)

    def _changes(self, descent: Descent) -> Changes:
        written, stamps, found, directories = {}, {}, set(), set()
        unread: set[str] = set()
        for name, status, place in self._walk(descent, unread):
            if stat.S_ISDIR(status.st_mode):
                directories.add(name)
                continue
            found.add(name)
            stamp = Stamp.of(status)
            known = self._seen.get(name)
            if known and known[1] == stamp:
                continue
            try:
                last = PurePosixPath(name).name
                descriptor = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=place)
            except FileNotFoundError:  # removed since: the next commit says so
                found.discard(name)
                continue
            except OSError as error:
                self._tell(name, error.strerror)
                continue
            try:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    continue  # replaced since: the next commit says so
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

    def _restored(self, descent: Descent, name: str, file: File) -> Stamp:
        place, last = descent.parent(name, make=True)
        with suppress(FileNotFoundError):
            if stat.S_ISDIR(os.stat(last, dir_fd=place, follow_symlinks=False).st_mode):
                shutil.rmtree(last, dir_fd=place)
        if self._assembled:
            self._assembled.show(file, last, place)
        else:
            self._blocks.restore(file, last, place)
        return Stamp.of(os.stat(last, dir_fd=place, follow_symlinks=False))

    def _spoilt(self, descent: Descent, name: str, stamp: Stamp) -> bool:
        """Whether a file of a read-only mount is not what was laid out: root can write all the same."""
        if not self._assembled:
            return False
        try:
            place, last = descent.parent(name)
            return Stamp.of(os.stat(last, dir_fd=place, follow_symlinks=False)) != stamp
        except OSError:
            return True

    def _descent(self, *, make: bool = False) -> Descent:
        try:
            return Descent(self._real, make=make)
        except LinkedError as error:
            raise ConflictError(f"The mount's directory {self.directory} is a link, or below one.") from error

    def _walk(self, descent: Descent, unread: set[str]) -> Iterator[tuple[str, os.stat_result, int]]:
        """Regular files and directories, each after its own, with the directory that they are in.

        What could not be looked at goes to `unread`.
        """
        waiting = [""]  # not by recursion: a sandbox may nest directories as deep as it likes
        while waiting:
            place = waiting.pop()
            try:
                listed = descent.listed(place)
            except (FileNotFoundError, LinkedError):
                continue
            except OSError as error:
                self._leave(place, error, unread)
                continue
            try:
                with os.scandir(listed) as listing:
                    entries = sorted(listing, key=lambda entry: entry.name)
                for entry in entries:
                    name = f"{place}/{entry.name}" if place else entry.name
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    except OSError as error:  # e.g. of a directory that may be listed, but not gone into
                        self._leave(name, error, unread)
                        continue
                    if not can_be_kept(name):
                        self._tell(name, "its name is not UTF-8, or its path is too long")
                    elif stat.S_ISDIR(status.st_mode):
                        waiting.append(name)
                        yield name, status, listed
                    elif stat.S_ISREG(status.st_mode):
                        yield name, status, listed
            finally:
                os.close(listed)

    def _leave(self, name: str, error: OSError, unread: set[str]) -> None:
        unread.add(name)
        self._tell(name, error.strerror)

    def _tell(self, name: str, reason: str | None) -> None:
        if name not in self._told:  # once, not at every commit
            self._told.add(name)
            log.warning("Not committed to a volume: %s in %s: %s", ascii(name), self.directory, reason)


def _at_or_below(name: str, places: set[str]) -> bool:
    return bool(places) and ("" in places or any(name == p or name.startswith(f"{p}/") for p in places))
