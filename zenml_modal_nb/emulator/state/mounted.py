"""A volume in one sandbox: a directory with a snapshot, whose changes are committed and which can be reloaded."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from zenml_modal_nb.emulator.state.checkouts import Checkout
from zenml_modal_nb.emulator.state.refusals import (
    ConflictError,
    InvalidArgumentError,
    NotFoundError,
    RefusedError,
)
from zenml_modal_nb.emulator.state.trees import File, Tree, normal
from zenml_modal_nb.emulator.state.volumes import Volumes

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class VolumeMount:
    """What a client asked for: a volume, or the part of it below `part`, at `path` in the sandbox."""

    volume_id: str
    path: str
    read_only: bool = False
    part: str = ""


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
        self._checkout = Checkout(directory, volumes.blocks, volumes.assembled if mount.read_only else None)
        self._prefix = normal(mount.part)
        self._turn = asyncio.Lock()
        self._closed = False

    async def close(self) -> None:
        """Commit nothing more: the directory is about to go, and must not be taken for one that was emptied."""
        async with self._turn:
            self._closed = True

    async def open(self) -> None:
        """Lay out the volume's present snapshot; raises NotFoundError, or InvalidArgumentError if it cannot."""
        async with self._turn:
            try:
                await self._bring_up_to_date()
            except OSError as error:
                raise InvalidArgumentError(
                    f"The volume cannot be mounted at {self.mount.path}: {error.strerror}."
                ) from error

    async def commit(self) -> bool:
        """Make what was written part of the volume; says whether there was anything.

        Raises NotFoundError for a volume that is gone, ConflictError for what cannot be stored.
        """
        if self.mount.read_only:
            return False
        async with self._turn:
            return await self._commit()

    async def reload(self) -> None:
        """Show the latest snapshot, after committing; raises what `commit` and `open` do."""
        async with self._turn:
            if not self.mount.read_only:
                await self._commit()
            if self._closed:
                return
            try:
                await self._bring_up_to_date()
            except OSError as error:
                raise ConflictError(
                    f"The volume at {self.mount.path} cannot be reloaded: {error.strerror}."
                ) from error

    async def _commit(self) -> bool:
        if self._closed:
            return False
        try:
            changes = await asyncio.to_thread(self._checkout.look)
        except OSError as error:  # e.g. a full disk
            raise ConflictError(
                f"What was written to {self.mount.path} cannot be committed: {error.strerror}."
            ) from error
        if not changes:
            return False
        # From here on nothing waits, so that two commits cannot undo each other.
        tree = self._volumes.get(self.mount.volume_id).tree
        written = {self._outer(name): file for name, file in changes.written.items()}
        removed = {self._outer(name) for name in changes.removed} | _displaced(tree, written)
        files = {name: file for name, file in tree.files.items() if name not in removed}
        now = time.time()
        made = {self._outer(name): now for name in changes.directories}
        directories = {name: at for name, at in {**made, **tree.directories}.items() if name not in written}
        self._volumes.commit(self.mount.volume_id, Tree({**files, **written}, directories))
        self._checkout.settle(changes)
        return True

    async def _bring_up_to_date(self) -> None:
        tree = self._volumes.get(self.mount.volume_id).tree
        files = {inner: file for name, file in tree.files.items() if (inner := self._inner(name))}
        directories = {inner for name in tree.directories if (inner := self._inner(name))}
        # Before anything waits: what is removed from the volume meanwhile must still be there to be laid out.
        self._volumes.blocks.claim(digest for file in files.values() for digest in file.blocks)
        await asyncio.to_thread(self._checkout.lay_out, files, directories)

    def _outer(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name

    def _inner(self, name: str) -> str:
        """The path in the mount, empty for what lies outside the mounted part."""
        if not self._prefix:
            return name
        return name.removeprefix(f"{self._prefix}/") if name.startswith(f"{self._prefix}/") else ""


async def commit_all(mounts: tuple[MountedVolume, ...]) -> None:
    """Commit every mount, whatever happens to one; a volume that was deleted meanwhile has nothing to commit to."""
    for mounted in mounts:
        try:
            await mounted.commit()
        except NotFoundError:
            continue
        except (RefusedError, OSError) as error:  # OSError: of the volume's own record, e.g. on a full disk
            log.warning("what was written to %s is not committed: %s", mounted.mount.path, error)


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
