"""The files of a volume as one snapshot: paths, sizes and the blocks of their contents."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from zenml_modal_nb.emulator.state.refusals import (
    AlreadyExistsError,
    InvalidArgumentError,
    NotFoundError,
)

LONGEST_NAME = 255  # bytes of a file's or directory's name: what Linux and macOS have room for
LONGEST_PATH = 2048  # bytes; leaves room for the path of the directory that it is mounted in
DEEPEST_PATH = 200  # names; Python's own functions for trees of files go down by recursion


@dataclass(frozen=True)
class File:
    """One file: `blocks` are SHA-256 digests (hex) of 8 MiB each, trailing zeros left out; times in seconds."""

    size: int
    mode: int
    modified: float
    blocks: tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """One line of a listing; `file` is None for a directory, whose time is `modified`."""

    path: str
    file: File | None
    modified: float


@dataclass(frozen=True)
class Tree:
    """All files by their path (e.g. `a/b.txt`), and the directories that are kept though they may be empty."""

    files: Mapping[str, File] = field(default_factory=dict)
    directories: Mapping[str, float] = field(default_factory=dict)

    def file(self, path: str) -> File:
        """The file at `path`; raises NotFoundError, or InvalidArgumentError for a directory."""
        name = normal(path)
        if name in self.files:
            return self.files[name]
        if self.is_directory(name):
            raise InvalidArgumentError(f"{path!r} is a directory.")
        raise NotFoundError(f"No such file or directory: {path!r}")

    def is_directory(self, name: str) -> bool:
        """Whether this normal path is a directory; the root, which is empty, always is."""
        return not name or name in self.directories or any(_within(name, self.files))

    def listed(self, path: str, recursive: bool) -> list[Entry]:
        """What lies in a directory, or the one file at `path`; raises NotFoundError."""
        name = normal(path)
        if name in self.files:
            return [Entry(name, self.files[name], self.files[name].modified)]
        if not self.is_directory(name):
            raise NotFoundError(f"No such file or directory: {path!r}")
        found: dict[str, Entry] = {}
        for inner, file in _within(name, self.files):
            for parent in reversed(PurePosixPath(inner).parents):
                key = str(parent)
                if key != "." and _below(key, name):
                    known = found.get(key)
                    newest = max(file.modified, known.modified if known else 0.0)
                    found[key] = Entry(key, None, newest)
            found[inner] = Entry(inner, file, file.modified)
        for inner, modified in _within(name, self.directories):
            found.setdefault(inner, Entry(inner, None, modified))
        depth = len(PurePosixPath(name).parts) + 1
        chosen = (entry for entry in found.values() if recursive or _depth(entry.path) == depth)
        return sorted(chosen, key=lambda entry: entry.path)

    def with_files(self, files: Mapping[str, File], overwrite: bool) -> Tree:
        """The tree after an upload; raises AlreadyExistsError, or InvalidArgumentError for an impossible path."""
        directories = {str(parent) for name in self.files for parent in PurePosixPath(name).parents}
        directories.update(self.directories)
        for path in files:
            if path in directories:
                raise InvalidArgumentError(f"{path!r} is a directory.")
            if not overwrite and path in self.files:
                raise AlreadyExistsError(
                    f"{path!r}: already exists in the volume (use force to overwrite it)."
                )
            for parent in PurePosixPath(path).parents:
                if str(parent) in self.files or str(parent) in files:
                    raise InvalidArgumentError(f"{parent} is a file, so {path!r} cannot be below it.")
        return dataclasses.replace(self, files={**self.files, **files})

    def without(self, path: str, recursive: bool) -> Tree:
        """The tree without a file or a directory; raises NotFoundError or InvalidArgumentError."""
        name = normal(path)
        if name in self.files:
            # As in any file system, the directory stays when its last file goes.
            kept = {key: file for key, file in self.files.items() if key != name}
            return Tree(kept, {**self.directories, **_parents(name)})
        if not self.is_directory(name):
            raise NotFoundError(f"No such file or directory: {path!r}")
        if not recursive:
            raise InvalidArgumentError(f"{path!r} is a directory: say recursive to remove it.")
        files = {key: file for key, file in self.files.items() if not _below(key, name)}
        directories = {
            key: at for key, at in self.directories.items() if key != name and not _below(key, name)
        }
        return Tree(files, {**directories, **(_parents(name) if name else {})})

    def copied(self, sources: Iterable[str], target: str, recursive: bool) -> Tree:
        """The tree after `cp sources target`; raises NotFoundError or InvalidArgumentError."""
        names = [normal(source) for source in sources]
        destination = normal(target)
        into = target.endswith("/") or self.is_directory(destination)
        if len(names) > 1 and not into:
            raise InvalidArgumentError(f"{target!r} is not a directory.")
        tree, now = self, time.time()
        for name in names:
            base = f"{destination}/{PurePosixPath(name).name}".lstrip("/") if into else destination
            if name in self.files:
                tree = tree.with_files({base: dataclasses.replace(self.files[name], modified=now)}, True)
            elif not self.is_directory(name):
                raise NotFoundError(f"No such file or directory: {name!r}")
            elif not recursive:
                raise InvalidArgumentError(f"{name!r} is a directory: say recursive to copy it.")
            else:
                files = {
                    base + key[len(name) :]: dataclasses.replace(file, modified=now)
                    for key, file in _within(name, self.files)
                }
                made = {base + key[len(name) :]: now for key, _ in _within(name, self.directories)}
                tree = Tree(tree.with_files(files, True).files, {**tree.directories, base: now, **made})
        return tree

    def facts(self) -> dict[str, Any]:
        """The tree in a form for a record."""
        files = {
            path: [file.size, file.mode, file.modified, *file.blocks] for path, file in self.files.items()
        }
        return {"files": files, "directories": dict(self.directories)}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Tree:
        """The tree that gave these facts; TypeError, ValueError or AttributeError if none did."""
        files = {
            path: File(int(size), int(mode), float(modified), tuple(blocks))
            for path, (size, mode, modified, *blocks) in facts["files"].items()
        }
        if not all(isinstance(digest, str) for file in files.values() for digest in file.blocks):
            raise TypeError("a block is named by its digest")
        return cls(files, {path: float(modified) for path, modified in facts["directories"].items()})


def normal(path: str) -> str:
    """A path as trees keep it, e.g. `/a//b/` is `a/b`; InvalidArgumentError for one that no volume can have."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in path:
        raise InvalidArgumentError(f"{path!r} is not a path in a volume.")
    name = "/".join(parts)
    if not can_be_kept(name):
        shown = path.encode("utf-8", "replace")[:80].decode("utf-8", "replace")
        raise InvalidArgumentError(
            f"A volume cannot hold {shown!r}…: names are UTF-8 of at most {LONGEST_NAME} bytes, paths of "
            f"{LONGEST_PATH} and {DEEPEST_PATH} names."
        )
    return name


def can_be_kept(name: str) -> bool:
    """Whether a path can be listed to any client and laid out in any sandbox."""
    try:
        data = name.encode()
    except UnicodeEncodeError:  # what Python makes of a name on disk that is not UTF-8
        return False
    parts = data.split(b"/")
    return len(data) <= LONGEST_PATH and len(parts) <= DEEPEST_PATH and max(map(len, parts)) <= LONGEST_NAME


def _within(name: str, paths: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((key, value) for key, value in paths.items() if _below(key, name))


def _below(path: str, name: str) -> bool:
    return not name or path.startswith(f"{name}/")


def _depth(path: str) -> int:
    return path.count("/") + 1


def _parents(name: str) -> dict[str, float]:
    now = time.time()
    return {str(parent): now for parent in PurePosixPath(name).parents if str(parent) != "."}
