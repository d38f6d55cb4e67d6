"""The working directory of the cell: what is unpacked into it, what the cell has written, what is to be fetched."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zenml_modal_nb.runner import digests, frames, mounts, patterns
from zenml_modal_nb.runner.output import Output

ARCHIVE = "files.tar"
_MANIFEST = "out/files.json"
_LISTED = 20  # files that the frame names
_MOST = 50_000  # files and directories looked at before and after the cell: 0.3 s each time
_MOST_FETCHED = 10_000
_CACHES = frozenset({"__pycache__"})

_Stamp = tuple[int, int, int]  # size, modification time in nanoseconds, number in the file system


@dataclass(frozen=True, slots=True)
class Fetched:
    """What matches the patterns of --fetch, and what cannot come back with the reason; made by `WorkingDirectory`."""

    paths: tuple[str, ...] = ()
    lost: dict[str, str] = field(default_factory=dict)
    unmatched: tuple[str, ...] = ()


class WorkingDirectory:
    """The directory that the sandbox starts in; made by `program`.

    `apart` lies in it and is not the cell's, e.g. the runner's own directory and volumes.
    """

    def __init__(self, wanted: Sequence[str], place: Path, apart: Sequence[str]) -> None:
        self._wanted = wanted
        self._place = place
        self._root = os.getcwd()
        self._apart = {os.path.realpath(path) for path in (*apart, str(place))}
        self._ready = False
        self._before: dict[str, _Stamp] | None = None

    def receive(self, archive: Path) -> None:
        """Unpack what the notebook has sent, and remember what is there before the cell runs. Raises OSError."""
        if archive.exists():
            unpack(archive, Path(self._root))
        self._before = self._seen()
        self._ready = True

    def report(self, output: Output) -> None:
        """Send the `files` frame where there is anything to tell. Raises OSError."""
        if not self._ready:
            return  # the cell has not run
        fetched = self._matching() if self._wanted else Fetched()
        written = self._written(frozenset(fetched.paths))
        if written == [] and not self._wanted:
            return
        fields: dict[str, Any] = {"directory": self._root, "unlisted": written is None}
        if self._wanted:
            fields |= self._manifest(fetched)
        listed = (written or [])[:_LISTED]
        while True:
            shown = [{"path": _text(path), "size": size} for path, size in listed]
            try:
                more = len(written or []) - len(listed)
                output.emit("files", {**fields, "written": shown, "more": more})
            except frames.FrameTooLongError:  # long names
                listed = listed[: len(listed) // 2]
            else:
                return

    def _seen(self) -> dict[str, _Stamp] | None:
        """What is there now, None where that is too much to look at."""
        found: dict[str, _Stamp] = {}
        for looked, (path, status) in enumerate(self._walk("", hidden=False)):
            if looked == _MOST:
                return None
            if stat.S_ISREG(status.st_mode):
                found[path] = (status.st_size, status.st_mtime_ns, status.st_ino)
        return found

    def _written(self, fetched: frozenset[str]) -> list[tuple[str, int]] | None:
        after = None if self._before is None else self._seen()
        if after is None or self._before is None:
            return None
        before = self._before
        return [
            (path, stamp[0])
            for path, stamp in sorted(after.items())
            if before.get(path) != stamp and path not in fetched
        ]

    def _matching(self) -> Fetched:
        paths: dict[str, None] = {}
        lost: dict[str, str] = {}
        unmatched = []
        for pattern in self._wanted:
            found = list(self._found(pattern))
            if not found:
                unmatched.append(pattern)
            elif len(found) > _MOST_FETCHED:
                lost[pattern] = f"it matches more than {_MOST_FETCHED} files: pack them into an archive"
            else:
                paths.update(dict.fromkeys(found))
        return Fetched(tuple(paths), lost, tuple(unmatched))

    def _found(self, pattern: str) -> Iterator[str]:
        count = 0
        for path, status in self._below(patterns.root(pattern)):
            # A link to a file comes back as that file, as `cp` has it.
            regular = stat.S_ISREG(status.st_mode) or (
                stat.S_ISLNK(status.st_mode) and os.path.isfile(os.path.join(self._root, path))
            )
            if regular and patterns.matches(pattern, path):
                count += 1
                yield path
                if count > _MOST_FETCHED:
                    return

    def _below(self, path: str) -> Iterator[tuple[str, os.stat_result]]:
        """All that lies below a path; what is apart is looked at only where the path itself names it."""
        place = os.path.join(self._root, path)
        if path and os.path.isdir(place) and not os.path.islink(place):
            yield from self._walk(f"{path}/", hidden=True)
        else:
            yield from self._walk("", hidden=True)

    def _manifest(self, fetched: Fetched) -> dict[str, Any]:
        files, lost = [], dict(fetched.lost)
        for path in fetched.paths:
            place = os.path.join(self._root, path)
            try:
                path.encode()
                with open(place, "rb") as file:
                    status = os.fstat(file.fileno())
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
            except UnicodeEncodeError:
                lost[_text(path)] = "its name is no text, and Modal's files have none of that kind: rename it"
            except OSError as error:
                lost[path] = f"it cannot be read: {error.strerror}"
            else:
                runs = bool(status.st_mode & stat.S_IXUSR)
                files.append({"path": path, "size": status.st_size, "sha256": digest, "runs": runs})
        text = json.dumps({"files": files, "lost": lost, "unmatched": fetched.unmatched}).encode()
        (self._place / _MANIFEST).write_bytes(text)
        return {"file": _MANIFEST, "size": len(text), "sha256": digests.of_content([text])}

    def _walk(self, prefix: str, *, hidden: bool) -> Iterator[tuple[str, os.stat_result]]:
        """Files and directories below a prefix, e.g. "out/", without following links."""
        try:
            entries = sorted(os.scandir(os.path.join(self._root, prefix)), key=lambda entry: entry.name)
        except OSError:  # removed meanwhile, or not for this user
            return
        for entry in entries:
            # The working directory is often the home, where libraries keep their caches.
            if entry.name in _CACHES or (entry.name.startswith(".") and not hidden):
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            path = f"{prefix}{entry.name}"
            if not stat.S_ISDIR(status.st_mode):
                yield path, status
            elif os.path.realpath(entry.path) not in self._apart:
                yield path, status
                yield from self._walk(f"{path}/", hidden=hidden)


def opened(wanted: Sequence[str], place: Path, volumes: Sequence[str]) -> WorkingDirectory:
    """Return the present directory as the cell's."""
    return WorkingDirectory(wanted, place, [mounts.place(path) for path in volumes])


def unpack(archive: Path, target: Path) -> None:
    """Write an archive's files and directories, and nothing outside `target`. Raises OSError, ValueError."""
    import tarfile  # takes some milliseconds, which a cell without files need not wait for

    directories: list[tuple[Path, int]] = []
    with tarfile.open(archive, "r:") as files:
        for member in files:
            place = _inside(target, member.name)
            if member.isdir():
                place.mkdir(parents=True, exist_ok=True)
                directories.append((place, member.mode))
            elif member.isreg():
                place.parent.mkdir(parents=True, exist_ok=True)
                content = files.extractfile(member)
                assert content is not None  # it is a regular file
                if place.is_symlink():  # of the image's: what it refers to is not meant
                    place.unlink()
                with place.open("wb") as file:
                    shutil.copyfileobj(content, file, 1 << 20)
                place.chmod(stat.S_IMODE(member.mode) | stat.S_IRUSR | stat.S_IWUSR)
                os.utime(place, (member.mtime, member.mtime))
            else:
                raise ValueError(f"{member.name} in the archive is neither a file nor a directory")
    for place, mode in directories:
        place.chmod(stat.S_IMODE(mode) | stat.S_IRWXU)


def _inside(target: Path, name: str) -> Path:
    parts = name.split("/")
    if name.startswith("/") or ".." in parts or not name:
        raise ValueError(f"{name!r} in the archive leads out of the working directory")
    place = target.joinpath(*parts)
    if not place.parent.resolve().is_relative_to(target.resolve()):
        raise ValueError(f"{name!r} in the archive leads out of the working directory, by a link")
    return place


def _text(path: str) -> str:
    """A path as text, its invalid bytes replaced, cut in its middle where it is long."""
    text = path.encode("utf-8", "replace").decode()
    return text if len(text) <= 200 else f"{text[:100]}…{text[-99:]}"
