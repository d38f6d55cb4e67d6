"""Files added to images from the user's machine, stored once per content."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from zenml_modal_nb.emulator import identifiers
from zenml_modal_nb.emulator.places import Place
from zenml_modal_nb.emulator.state.records import Records
from zenml_modal_nb.emulator.state.refusals import InvalidArgumentError, NotFoundError
from zenml_modal_nb.emulator.state.shapes import made
from zenml_modal_nb.emulator.state.trees import can_be_kept


@dataclass(frozen=True)
class MountedFile:
    """A file's path in the container, its content by digest, and its permission bits."""

    path: str
    sha256: str
    mode: int


@dataclass(frozen=True)
class Mount:
    """A set of files; a mount of Modal's own, known by `name` only, has none here."""

    id: str
    name: str
    files: tuple[MountedFile, ...] = ()


class Mounts:
    """All mounts of this server; their files' contents lie in `directory`."""

    def __init__(self, records: Records, directory: Path) -> None:
        self._records = records
        self._directory = directory
        self._mounts = dict(records.restore(lambda value: made(Mount, value)))

    def missing(self, digests: Iterable[str]) -> list[str]:
        """Those of `digests` whose content has not been put here yet."""
        return [digest for digest in digests if not self.content(digest).is_file()]

    def put(self, digest: str, data: bytes) -> None:
        """Keep a file's content; raises InvalidArgumentError when it does not match its digest."""
        if hashlib.sha256(data).hexdigest() != digest:
            raise InvalidArgumentError("The file's content does not match its SHA-256 digest.")
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._directory / f".{secrets.token_hex(6)}"
        try:
            draft.write_bytes(data)
            draft.rename(self.content(digest))
        finally:
            draft.unlink(missing_ok=True)

    def adopt(self, digest: str, path: Path) -> None:
        """Keep the content of a file, which is gone after; raises as `put` does. May take a while."""
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise InvalidArgumentError("The file's content does not match its SHA-256 digest.")
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.replace(self.content(digest))

    def create(self, name: str, files: Iterable[MountedFile]) -> Mount:
        """Make a mount, the same for the same content.

        Raises InvalidArgumentError if a content is missing, or a path cannot be one.
        """
        known = tuple(files)
        for file in known:
            if not can_be_kept(file.path.lstrip("/")) or "\0" in file.path:
                raise InvalidArgumentError(f"No file can have the path {file.path[:80]!r}.")
        if absent := self.missing(file.sha256 for file in known):
            raise InvalidArgumentError(f"{len(absent)} files of this mount have not been uploaded.")
        mount = Mount(identifiers.content_id("mo", repr((name, known)).encode()), name, known)
        if mount.id not in self._mounts:
            self._mounts[mount.id] = mount
            self._records.write(mount.id, dataclasses.asdict(mount))
        return mount

    def get(self, mount_id: str) -> Mount:
        """The mount, or NotFoundError."""
        try:
            return self._mounts[mount_id]
        except KeyError:
            raise NotFoundError(f"No mount has the ID {mount_id!r}.") from None

    def place(self, mount_ids: Iterable[str], place: Place) -> None:
        """Copy the mounts' files below a sandbox's root: what it changes stays its own. Raises OSError."""
        for mount_id in mount_ids:
            for file in self.get(mount_id).files:
                target = place.vacant(file.path)
                shutil.copyfile(self.content(file.sha256), target)
                if file.mode:
                    os.chmod(target, file.mode & 0o777)

    def content(self, digest: str) -> Path:
        """Where a file's content lies, or would; InvalidArgumentError for anything but a digest."""
        # Only a digest may become a file name: anything else could name a path outside the directory.
        if not re.fullmatch(r"[0-9a-f]{64}", digest):
            raise InvalidArgumentError("A file is named by its SHA-256 digest, 64 hexadecimal digits.")
        return self._directory / digest
