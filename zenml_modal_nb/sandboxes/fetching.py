"""Files that come back: streamed to the disk, verified, and never written outside the notebook's working directory."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import secrets
import stat
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zenml_modal_nb.errors import SandboxError
from zenml_modal_nb.events import Event, File, Files, Transfer
from zenml_modal_nb.runner import patterns
from zenml_modal_nb.runner.frames import Frame
from zenml_modal_nb.sandboxes.depot import Told
from zenml_modal_nb.sandboxes.reading import lost_contact
from zenml_modal_nb.sandboxes.transfer import read_manifest

_TRIES = 4
_AT_ONCE = 4  # files on their way
_LARGE = 32 << 20  # bytes that take long enough to be told before the first of them is there
_LONGEST_NAME = 200
_ODD = frozenset({"Cc", "Cs", "Zl", "Zp"})  # control characters, halves of characters, and ends of lines


@dataclass(frozen=True, slots=True)
class Fetched:
    """What became of the files of a cell; made by `fetch`. `lost` are those that did not arrive, with the reason."""

    files: Files = field(default_factory=Files)
    lost: Mapping[str, str] = field(default_factory=dict)


class _NotArrivedError(Exception):
    """A file did not arrive; the message is the reason."""


async def fetch(
    sandbox: Any,
    directory: str,
    frame: Frame | None,
    wanted: Iterable[str],
    into: Path,
    emit: Callable[[Event], None],
) -> Fetched:
    """Bring back what the sandbox has found for the patterns, which it is not trusted to have kept to.

    `directory` is the runner's, `frame` its `files` frame, None where there is nothing to tell.
    """
    if frame is None:
        return Fetched()
    told = frame.fields
    written = tuple(File(each["path"], each["size"]) for each in told["written"])
    files = Files(written, told["more"], unlisted=told["unlisted"])
    if "file" not in told:
        return Fetched(files)
    try:
        found = await read_manifest(sandbox, directory, frame)
        entries = [
            _Entry(each["path"], each["size"], each["sha256"], each["runs"]) for each in found["files"]
        ]
        lost = {str(name): str(reason) for name, reason in found["lost"].items()}
        unmatched = tuple(map(str, found["unmatched"]))
    except lost_contact(SandboxError, KeyError, TypeError, ValueError) as error:
        return Fetched(files, {"files of --fetch": f"the list of them could not be read: {error}"})
    transfer = _Transfer(sandbox, told["directory"], tuple(wanted), into)
    arrived = [each for each in entries if transfer.refusal(each, lost) is None]
    total = sum(each.size for each in arrived)
    progress = Told(emit, "collecting", total)
    if total >= _LARGE:
        emit(Transfer("collecting", 0, total))
    reasons = await asyncio.gather(*(transfer.bring(each, progress) for each in arrived))
    lost |= {each.path: reason for each, reason in zip(arrived, reasons, strict=True) if reason}
    fetched = tuple(
        File(each.path, each.size) for each, reason in zip(arrived, reasons, strict=True) if not reason
    )
    return Fetched(Files(written, told["more"], told["unlisted"], fetched, unmatched), lost)


@dataclass(frozen=True, slots=True)
class _Entry:
    path: str  # relative, with slashes
    size: int  # bytes
    sha256: str
    runs: bool  # whether it is executable

    def __post_init__(self) -> None:
        sound = type(self.size) is int and all(isinstance(each, str) for each in (self.path, self.sha256))
        if not sound:
            raise TypeError("the sandbox's list of files is damaged")


class _Transfer:
    """Brings files of one sandbox; made and used by `fetch`."""

    def __init__(self, sandbox: Any, remote: str, wanted: tuple[str, ...], into: Path) -> None:
        self._sandbox = sandbox
        self._remote = remote
        self._wanted = wanted
        self._into = into
        self._turn = asyncio.Semaphore(_AT_ONCE)

    def refusal(self, entry: _Entry, lost: dict[str, str]) -> str | None:
        """Say, and note in `lost`, why a file is not even asked for."""
        reason = refusal(entry.path, self._wanted, self._into)
        if reason is not None:
            lost[entry.path] = reason
        return reason

    async def bring(self, entry: _Entry, progress: Told) -> str | None:
        """Put a file in its place here, in the place of an older one; the reason if it did not arrive."""
        target = self._into / entry.path
        draft = target.with_name(f".{target.name[:_LONGEST_NAME]}.{secrets.token_hex(4)}")
        async with self._turn:
            try:
                await self._copy(entry, draft)
                await asyncio.to_thread(_put, draft, target, entry.runs)
            except _NotArrivedError as error:
                return str(error)
            except OSError as error:
                return f"it cannot be written here: {error.strerror or error}"
            finally:
                with contextlib.suppress(NotADirectoryError):  # then it was never there
                    draft.unlink(missing_ok=True)
        progress.advance(entry.size)
        return None

    async def _copy(self, entry: _Entry, draft: Path) -> None:
        import grpclib.exceptions
        import modal

        lost = (
            modal.exception.Error,
            grpclib.exceptions.GRPCError,
            grpclib.exceptions.StreamTerminatedError,
            TimeoutError,
        )
        reason = ""
        for _ in range(_TRIES):
            try:
                await self._sandbox.filesystem.copy_to_local.aio(f"{self._remote}/{entry.path}", draft)
            except modal.exception.SandboxFilesystemFileTooLargeError as error:
                raise _NotArrivedError(
                    f"it is larger than Modal lets a sandbox's file be read with ({error}): write it to a volume"
                ) from error
            except modal.exception.SandboxFilesystemNotFoundError as error:
                raise _NotArrivedError("it was removed after the cell had ended") from error
            except lost as error:
                reason = f"it cannot be read there: {error}"
                continue
            # In a thread: the background loop has other runs to follow meanwhile.
            if await asyncio.to_thread(_digest, draft) == (entry.size, entry.sha256):
                return
            reason = "it did not arrive whole: it was still being written, or the connection is bad"
        raise _NotArrivedError(reason)


def is_odd(path: str) -> bool:
    """Tell whether a path holds what no name should, e.g. an end of line."""
    return any(unicodedata.category(character) in _ODD for character in path)


def refusal(path: str, wanted: Iterable[str], into: Path) -> str | None:
    """Say why a path that a sandbox names is not written here, None if it may be."""
    parts = path.split("/")
    if is_odd(path) or path.startswith("/") or not {"", ".", ".."}.isdisjoint(parts):
        return "its name leads out of the working directory, or holds what no name should"
    if not any(patterns.matches(pattern, path) for pattern in wanted):
        return "nobody has asked for it"
    target = into.joinpath(*parts)
    if not target.parent.resolve().is_relative_to(into.resolve()):
        return "its directory here is a link that leads out of the working directory"
    if target.is_dir() and not target.is_symlink():
        return "there is a directory of that name here"
    return None


def _put(draft: Path, target: Path, runs: bool) -> None:
    if runs:
        mode = stat.S_IMODE(draft.stat().st_mode)
        draft.chmod(mode | (mode & 0o444) >> 2)  # for whom it is readable, as `chmod +x` has it
    os.replace(draft, target)


def _digest(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        return os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest()
