"""A volume in one sandbox: a directory with a snapshot, whose changes are committed and which can be reloaded."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import shutil
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from zenml_modal_nb.emulator.state.refusals import ConflictError, NotFoundError
from zenml_modal_nb.emulator.state.trees import File, Tree, normal
from zenml_modal_nb.emulator.state.volumes import Volumes


@dataclass(frozen=True)
class VolumeMount:
    """What a client asked for: a volume, or the part of it below `part`, at `path` in the sandbox."""

    volume_id: str
    path: str
    read_only: bool = False
    part: str = ""


@dataclass(frozen=True)
class _Stamp:
    """What tells that a file was changed since it was last looked at."""

    size: int
    modified: int  # nanoseconds
    number: int  # of the file in its file system


@dataclass(frozen=True)
class _Changes:
    """What a sandbox has done to its mount since the last commit."""

    written: Mapping[str, File] = field(default_factory=dict)
    stamps: Mapping[str, _Stamp] = field(default_factory=dict)
    removed: frozenset[str] = frozenset()
    directories: frozenset[str] = frozenset()


class MountedVolume:
    """One mount of one sandbox; made and used by `Sandboxes`.

    The sandbox sees the snapshot it was mounted with, or last reloaded; what it writes is seen by others after
    a commit. Of two sandboxes that write one file, the one that commits last wins, file by file, as with
    Modal's volumes of version 2.
    """

    def __init__(self, volumes: Volumes, mount: VolumeMount, directory: Path) -> None:
        self.mount = mount
        self.directory = directory
        self._volumes = volumes
        self._prefix = normal(mount.part)
        self._seen: dict[str, tuple[File, _Stamp]] = {}
        self._directories: set[str] = set()
        self._turn = asyncio.Lock()

    async def open(self) -> None:
        """Lay out the volume's present snapshot; raises NotFoundError."""
        async with self._turn:
            await self._bring_up_to_date()

    async def commit(self) -> bool:
        """Make what was written part of the volume; says whether there was anything. Raises NotFoundError."""
        if self.mount.read_only:
            return False
        async with self._turn:
            return await self._commit()

    async def reload(self) -> None:
        """Show the latest snapshot, after committing; raises ConflictError while files are open."""
        async with self._turn:
            if not self.mount.read_only:
                await self._commit()
            await self._bring_up_to_date()

    async def _commit(self) -> bool:
        changes = await asyncio.to_thread(self._look)
        if not changes.written and not changes.removed and changes.directories <= self._directories:
            return False
        # From here on nothing waits, so that two commits cannot undo each other.
        tree = self._volumes.get(self.mount.volume_id).tree
        written = {self._outer(name): file for name, file in changes.written.items()}
        removed = {self._outer(name) for name in changes.removed} | _displaced(tree, written)
        files = {name: file for name, file in tree.files.items() if name not in removed}
        now = time.time()
        made = {self._outer(name): now for name in changes.directories - self._directories}
        directories = {name: at for name, at in {**made, **tree.directories}.items() if name not in written}
        self._volumes.commit(self.mount.volume_id, Tree({**files, **written}, directories))
        for name, file in changes.written.items():
            self._seen[name] = (file, changes.stamps[name])
        for name in changes.removed:
            del self._seen[name]
        self._directories |= changes.directories
        return True

    async def _bring_up_to_date(self) -> None:
        tree = self._volumes.get(self.mount.volume_id).tree
        files = {inner: file for name, file in tree.files.items() if (inner := self._inner(name))}
        directories = {inner for name in tree.directories if (inner := self._inner(name))}
        await asyncio.to_thread(self._lay_out, files, directories)

    def _lay_out(self, files: Mapping[str, File], directories: set[str]) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        for name in self._seen.keys() - files.keys():
            (self.directory / name).unlink(missing_ok=True)
        for name in sorted(self._directories - directories, reverse=True):
            if not any(file.startswith(f"{name}/") for file in files):
                shutil.rmtree(self.directory / name, ignore_errors=True)
        for name in sorted(directories):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        seen = {}
        for name, file in files.items():
            known = self._seen.get(name)
            target = self.directory / name
            if known is None or known[0] != file:
                target.parent.mkdir(parents=True, exist_ok=True)
                shown = dataclasses.replace(file, mode=file.mode & ~0o222) if self.mount.read_only else file
                self._volumes.blocks.restore(shown, target)
                known = (file, _stamp(target.stat()))
            seen[name] = known
        self._seen, self._directories = seen, directories

    def _look(self) -> _Changes:
        written, stamps, found, directories = {}, {}, set(), set()
        for name, status in _walk(self.directory):
            if stat.S_ISDIR(status.st_mode):
                directories.add(name)
                continue
            found.add(name)
            stamp = _stamp(status)
            known = self._seen.get(name)
            if known and known[1] == stamp:
                continue
            try:
                with (self.directory / name).open("rb") as source:
                    size, blocks = self._volumes.blocks.add(source)
            except FileNotFoundError:  # removed since: the next commit says so
                found.discard(name)
                continue
            written[name] = File(size, stat.S_IMODE(status.st_mode), status.st_mtime, blocks)
            stamps[name] = stamp
        return _Changes(written, stamps, frozenset(self._seen.keys() - found), frozenset(directories))

    def _outer(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name

    def _inner(self, name: str) -> str:
        """The path in the mount, empty for what lies outside the mounted part."""
        if not self._prefix:
            return name
        return name.removeprefix(f"{self._prefix}/") if name.startswith(f"{self._prefix}/") else ""


async def commit_all(mounts: tuple[MountedVolume, ...]) -> None:
    """Commit every mount; a volume that was deleted meanwhile has nothing to be committed to."""
    for mounted in mounts:
        try:
            await mounted.commit()
        except NotFoundError:
            continue


async def reload_all(mounts: tuple[MountedVolume, ...], open_files: list[str]) -> None:
    """Reload every mount; raises ConflictError, naming the first of `open_files`, if there are any."""
    if open_files:
        raise ConflictError(f"there are open files preventing the operation: {open_files[0]}")
    for mounted in mounts:
        await mounted.reload()


def _displaced(tree: Tree, written: Mapping[str, File]) -> set[str]:
    """Files of others that cannot stay: a written file is a directory on their path, or they on its."""
    parents = {str(parent) for name in written for parent in PurePosixPath(name).parents}
    below = {name for name in tree.files if any(str(p) in written for p in PurePosixPath(name).parents)}
    return below | (tree.files.keys() & parents)


def _stamp(status: os.stat_result) -> _Stamp:
    return _Stamp(status.st_size, status.st_mtime_ns, status.st_ino)


def _walk(directory: Path, prefix: str = "") -> Iterator[tuple[str, os.stat_result]]:
    """Regular files and directories below `directory`, without following links."""
    try:
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    for entry in entries:
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        name = f"{prefix}{entry.name}"
        if stat.S_ISDIR(status.st_mode):
            yield name, status
            yield from _walk(Path(entry.path), f"{name}/")
        elif stat.S_ISREG(status.st_mode):
            yield name, status
