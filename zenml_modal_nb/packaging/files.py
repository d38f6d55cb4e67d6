"""Files and folders that are sent: found, measured, and packed into one archive on the disk."""

from __future__ import annotations

import glob
import hashlib
import io
import mmap
import os
import stat
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from zenml_modal_nb.errors import InvalidRequestError
from zenml_modal_nb.runner import patterns

_OWN_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or an empty folder; `inside` is its path in the sandbox's working directory."""

    inside: str
    source: str  # its path here
    size: int  # bytes; 0 for a folder
    is_folder: bool = False


@dataclass(frozen=True, slots=True)
class Archive:
    """A tar in the file system, without a name: gone when nothing refers to it; `content` is its memory map."""

    content: memoryview = field(repr=False)
    size: int


@dataclass(frozen=True, slots=True)
class Shipment:
    """What --file names; made by `find`."""

    entries: tuple[Entry, ...] = ()

    @property
    def size(self) -> int:
        """The sum of the files' sizes, in bytes."""
        return sum(entry.size for entry in self.entries)

    def archive(self) -> Archive:
        """Pack the files as they are now; the same bytes as long as they do not change.

        Raises:
            InvalidRequestError: one cannot be read, or there is no room on the disk.
        """
        # A copy, and not the files themselves: what is sent must be what was digested, whatever is written meanwhile.
        with tempfile.TemporaryFile(prefix="zenml-modal-nb-") as spool:
            sink = _Sink(spool.fileno())
            with tarfile.open(fileobj=sink, mode="w|", format=tarfile.PAX_FORMAT) as archive:
                for entry in self.entries:
                    _add(archive, entry)
            content = mmap.mmap(spool.fileno(), 0, access=mmap.ACCESS_READ)
        return Archive(memoryview(content), sink.size)


def contents(archive: memoryview) -> str:
    """Return a digest of the files in an archive, whenever they were written: the same text written anew is no change.

    `archive` is an `Archive.content`.
    """
    digest = hashlib.sha256()
    mapped = archive.obj
    assert isinstance(mapped, mmap.mmap)
    mapped.seek(0)
    with tarfile.open(fileobj=mapped, mode="r:") as reader:  # it reads the headers alone
        for member in reader:
            digest.update(repr((member.name, member.mode, member.type, member.size)).encode())
            digest.update(archive[member.offset_data : member.offset_data + member.size])
    return digest.hexdigest()


class _Sink(io.RawIOBase):
    """Writes and counts; what tarfile needs of a file."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self.size = 0

    def write(self, data: Any) -> int:
        view = memoryview(data)
        self.size += view.nbytes
        while view:
            try:
                view = view[os.write(self._descriptor, view) :]
            except OSError as error:
                raise InvalidRequestError(
                    f"The files of --file cannot be packed in {tempfile.gettempdir()}: {error.strerror}. Make room "
                    "there, or set TMPDIR to another directory before the kernel starts. Nothing was created."
                ) from error
        return memoryview(data).nbytes


def find(wanted: Sequence[str], base: Path) -> Shipment:
    """Look for what the user names, relative to `base`; folders with everything below them, links followed.

    What lies outside `base` gets its own name alone.

    Raises:
        InvalidRequestError: something is missing, cannot be read, or two things would get one path.
    """
    found: dict[str, Entry] = {}
    for text in wanted:
        for path in _named(text, base):
            for entry in _entries(path, base):
                other = found.setdefault(entry.inside, entry)
                if os.path.realpath(other.source) != os.path.realpath(entry.source):
                    raise InvalidRequestError(
                        f"--file: {other.source} and {entry.source} would both be {entry.inside} in the sandbox. "
                        "Rename one, or move it below the working directory. Nothing was created."
                    )
    _check_parents(found)
    return Shipment(tuple(found[inside] for inside in sorted(found)))


def _named(text: str, base: Path) -> list[str]:
    path = os.path.join(base, os.path.expanduser(text))
    if os.path.lexists(path):
        return [path]
    if patterns.is_pattern(text):
        matches = sorted(glob.glob(os.path.expanduser(text), root_dir=base, recursive=True))
        if matches:
            return [os.path.join(base, match) for match in matches]
        raise InvalidRequestError(f"--file {text!r} matches nothing in {base}. Nothing was created.")
    try:
        beside = os.listdir(os.path.dirname(os.path.normpath(path)))
    except OSError:
        beside = []
    meant = get_close_matches(os.path.basename(os.path.normpath(path)), beside, n=1)
    advice = f" Did you mean {os.path.join(os.path.dirname(text), meant[0])!r}?" if meant else ""
    raise InvalidRequestError(
        f"--file {text!r}: there is no such file in {base}.{advice} Nothing was created."
    )


def _entries(path: str, base: Path) -> Iterator[Entry]:
    source = os.path.normpath(path)
    inside = os.path.relpath(source, base)
    if inside.split("/")[0] == "..":
        inside = os.path.basename(source)
    if not inside:
        raise InvalidRequestError("--file /: a whole disk is not sent. Name a file or a folder.")
    yield from _walk(source, "" if inside == "." else inside, ())


def _walk(source: str, inside: str, above: tuple[tuple[int, int], ...]) -> Iterator[Entry]:
    try:
        status = os.stat(source)
        if stat.S_ISREG(status.st_mode) and os.access(source, os.R_OK):
            yield Entry(inside, source, status.st_size)
            return
        kind = _OWN_KINDS.get(stat.S_IFMT(status.st_mode))
        if kind is not None:
            raise _refused(source, f"it is {kind}, which holds nothing that could be sent")
        names = sorted(os.listdir(source)) if stat.S_ISDIR(status.st_mode) else None
    except FileNotFoundError:
        raise _refused(source, "it is a link to nothing") from None
    except OSError as error:
        raise _refused(source, f"it cannot be read ({error.strerror})") from None
    if names is None:
        raise _refused(source, "it cannot be read (Permission denied)")
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        raise _refused(source, "it is a link to a folder that it lies in")
    if not names and inside:
        yield Entry(inside, source, 0, is_folder=True)
    for name in names:
        yield from _walk(
            os.path.join(source, name), f"{inside}/{name}" if inside else name, (*above, identity)
        )


def _refused(source: str, reason: str) -> InvalidRequestError:
    return InvalidRequestError(f"--file: {source!r} cannot be sent: {reason}. Nothing was created.")


def _check_parents(found: dict[str, Entry]) -> None:
    for inside, entry in found.items():
        for parent in Path(inside).parents:
            other = found.get(str(parent))
            if other is not None and not other.is_folder:
                raise InvalidRequestError(
                    f"--file: {other.source} would be a file, and {entry.source} in a folder of the same name in the "
                    "sandbox. Rename one. Nothing was created."
                )


def _add(archive: tarfile.TarFile, entry: Entry) -> None:
    try:
        status = os.stat(entry.source)
        member = tarfile.TarInfo(entry.inside)
        member.mode = stat.S_IMODE(status.st_mode)
        member.mtime = int(status.st_mtime)
        if entry.is_folder:
            member.type = tarfile.DIRTYPE
            archive.addfile(member)
            return
        member.size = entry.size
        with open(entry.source, "rb") as file:
            archive.addfile(member, file)
            if file.read(1):
                raise _refused(entry.source, "it grows while it is read")
    except OSError as error:  # tarfile raises it too, where a file ends early
        raise _refused(entry.source, f"it changed while it was read, or cannot be read ({error})") from error
