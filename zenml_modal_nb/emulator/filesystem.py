"""Modal's filesystem tools, answered inside the server: the SDK runs them as a command with a JSON argument.

The command, its operations, its error kinds and the form of its answers are those that
modal/sandbox/_filesystem.py and modal/_utils/sandbox_fs_utils.py send and parse (modal 1.6.4). Paths are host
paths, as for every program of a sandbox.
"""

from __future__ import annotations

import asyncio
import errno
import grp
import json
import os
import pwd
import secrets
import shutil
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from zenml_modal_nb.emulator.state.output import AllBytes, Output, Reading
from zenml_modal_nb.emulator.state.refusals import ConflictError, NotFoundError

TOOL = "/__modal/.bin/modal-sandbox-fs-tools"

_ERROR_KINDS = {
    errno.ENOENT: "NotFound",
    errno.EISDIR: "IsDirectory",
    errno.ENOTDIR: "NotDirectory",
    errno.EACCES: "PermissionDenied",
    errno.EPERM: "PermissionDenied",
    errno.EROFS: "PermissionDenied",
    errno.EEXIST: "PathAlreadyExists",
    errno.ENOTEMPTY: "DirectoryNotEmpty",
}


class Upload:
    """The standard input of a tool: bytes of a file being written, or nothing to write to.

    Reading and writing block the server's loop for a piece of a file at a time (at most 256 KiB from the SDK):
    a thread could still be writing when the descriptor is closed and its number given to another file.
    """

    def __init__(self, tool: FileTool, draft: Draft | None = None) -> None:
        self._tool = tool
        self._draft = draft
        self.written = 0
        self.ended = draft is None

    async def write(self, offset: int, data: bytes, end: bool) -> None:
        """Write `data` into the file, which appears under its name once it is complete.

        What lies before the position reached is a repetition and is skipped. Raises ConflictError when the file
        is complete, was never opened, or `offset` leaves a gap.
        """
        if offset > self.written:
            raise ConflictError(f"The file is at byte {self.written}; writing at {offset} leaves a gap.")
        fresh = memoryview(data)[self.written - offset :]
        while fresh:
            if self._draft is None:
                raise ConflictError("The tool reads no more input.")
            try:
                count = os.write(self._draft.descriptor, fresh)
            except OSError as error:
                # e.g. a full disk: the tool ends with an error, which the SDK asks for after this refusal
                self._tool.fail_with(error)
                self.abandon()
                raise ConflictError("The tool has ended.") from error
            self.written += count
            fresh = fresh[count:]
        if end:
            self._complete()

    def abandon(self) -> None:
        """Close the file and forget what was written; repeating it is harmless."""
        if self._draft is not None:
            self._draft.discard()
            self._draft = None
        self.ended = True

    def _complete(self) -> None:
        if self._draft is not None:
            try:
                self._draft.complete()
                self._tool.finish(0)
            except OSError as error:
                self._tool.fail_with(error)
            self._draft = None
        self.ended = True


class Draft:
    """A file being written: one with another name, or the target itself if it is a device or a pipe.

    Its other name is beside the target's, or in `spool`, which is on the same file system, for a target below a
    sandbox's own directory: there it could be in a volume, and be committed.
    """

    def __init__(self, path: Path, spool: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from error
        self._target = Path(os.path.realpath(path))  # a link stays a link
        mode = self._target.stat().st_mode if self._target.exists() else stat.S_IFREG | 0o644
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        self._path = self._target
        if stat.S_ISREG(mode):
            own = self._target.is_relative_to(spool.parent.resolve())
            self._path = (spool if own else self._target.parent) / f".{secrets.token_hex(8)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NONBLOCK
        self.descriptor = os.open(self._path, flags, stat.S_IMODE(mode))

    def complete(self) -> None:
        """Give the file its name."""
        os.close(self.descriptor)
        if self._path != self._target:
            self._path.replace(self._target)

    def discard(self) -> None:
        """Leave nothing behind."""
        os.close(self.descriptor)
        if self._path != self._target:
            self._path.unlink(missing_ok=True)


class Download:
    """The standard output of a tool that reads a file: read from disk when asked, never held in memory."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    async def chunks(self, offset: int, reading: Reading) -> AsyncIterator[tuple[int, bytes]]:
        """Yield (position, bytes) from `offset` to the end of the file; NotFoundError once it is closed."""
        while True:
            if reading.delay:
                await asyncio.sleep(reading.delay)
            if self._descriptor is None:
                raise NotFoundError("This file was opened too long ago; read it again.")
            data = os.pread(self._descriptor, reading.size, offset)
            if not data:
                return
            yield offset, data
            offset += len(data)

    def close(self) -> None:
        """Let go of the file; repeating it is harmless."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class FileTool:
    """One call of the tool; looks like a process to whoever reads it. Made by `run`."""

    def __init__(self, spool: Path) -> None:
        self.stdin = Upload(self)
        self.stderr = Output(AllBytes(spool))
        self._answer = Output(AllBytes(spool))
        self._file: Download | None = None
        self._code: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @property
    def stdout(self) -> Output | Download:
        """A file's content, or an answer in JSON."""
        return self._file or self._answer

    @property
    def returncode(self) -> int | None:
        """0, 1 with an error on standard error, or None while it reads its input."""
        return self._code.result() if self._code.done() else None

    async def wait(self) -> int:
        """The exit code."""
        return await asyncio.shield(self._code)

    def kill(self) -> None:
        """Stop, and close the files."""
        self.finish(1)
        self.stdin.abandon()
        if self._file:
            self._file.close()

    def discard(self) -> None:
        """Stop, and let everything go that could still be read."""
        self.kill()
        self.stderr.discard()
        self._answer.discard()

    def serve(self, descriptor: int) -> None:
        """Give an open file as standard output and finish."""
        self._file = Download(descriptor)
        self.finish(0)

    def answer(self, value: object) -> None:
        """Write `value` as JSON to standard output and finish."""
        self._answer.append(json.dumps(value).encode())
        self.finish(0)

    def fail(self, kind: str, message: str) -> None:
        """Write an error as the SDK parses it and finish."""
        self.stderr.append(json.dumps({"error_kind": kind, "message": message, "detail": ""}).encode())
        self.finish(1)

    def fail_with(self, error: OSError) -> None:
        """Write an operating system's error as the SDK parses it and finish."""
        self.fail(_ERROR_KINDS.get(error.errno or 0, "Io"), os.strerror(error.errno or 0))

    def finish(self, code: int) -> None:
        """Exit with `code`, unless it has exited already."""
        if not self._code.done():
            self._answer.end()
            self.stderr.end()
            self._code.set_result(code)


async def run(arguments: tuple[str, ...], spool: Path, lead: Callable[[Path], Path]) -> FileTool:
    """Carry out the one argument, e.g. `{"Stat": {"path": "/tmp/x"}}`; errors are the tool's, never raised.

    `lead` says where a path of the sandbox lies: below a volume's directory, if it is that of a mount.
    """
    tool = FileTool(spool)
    try:
        ((operation, options),) = json.loads(arguments[0]).items()
        path = Path(options["path"])
    except (LookupError, ValueError, TypeError, AttributeError, RecursionError) as error:
        # The last: JSON that is nested too deeply.
        tool.fail("InvalidCommand", f"The tool does not understand its argument: {error!r}")
        return tool
    if not path.is_absolute():  # it would be taken from the server's own working directory
        tool.fail("InvalidPath", f"{str(path)[:100]!r} is not an absolute path.")
        return tool
    try:
        await _carry_out(tool, operation, path, lead(path), options, spool)
    except OSError as error:
        tool.fail_with(error)
    except ValueError as error:
        # e.g. a null character in the path
        tool.fail("InvalidPath", str(error))
    return tool


async def _carry_out(
    tool: FileTool, operation: str, shown: Path, path: Path, options: dict[str, Any], spool: Path
) -> None:
    match operation:
        case "ReadFile":
            tool.serve(await asyncio.to_thread(_open_for_reading, path))
        case "WriteFile":
            tool.stdin = Upload(tool, await asyncio.to_thread(Draft, path, spool))
        case "ListFiles":
            tool.answer(await asyncio.to_thread(_listing, path, shown))
        case "Stat":
            tool.answer(await asyncio.to_thread(_facts, path, shown))
        case "MakeDirectory":
            parents = bool(options.get("parents", True))
            await asyncio.to_thread(path.mkdir, parents=parents, exist_ok=parents)
            tool.finish(0)
        case "Remove":
            await asyncio.to_thread(_remove, path, bool(options.get("recursive")))
            tool.finish(0)
        case _:
            tool.fail("NotSupported", f"The local Modal API does not have the operation {operation}")


def _open_for_reading(path: Path) -> int:
    # Without O_NONBLOCK, opening a named pipe waits for a writer forever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    return descriptor


def _remove(path: Path, recursive: bool) -> None:
    if path.is_symlink() or not path.is_dir():
        path.unlink()
    elif recursive:
        shutil.rmtree(path)
    else:
        path.rmdir()


def _listing(path: Path, shown: Path) -> list[dict[str, object]]:
    return [_facts(child, shown / child.name) for child in sorted(path.iterdir())]


def _facts(path: Path, shown: Path) -> dict[str, object]:
    """What the SDK's FileInfo holds about one path; a link is described, not followed."""
    status = path.lstat()
    link = stat.S_ISLNK(status.st_mode)
    return {
        "name": shown.name,
        "path": str(shown),
        "type": "symlink" if link else "directory" if stat.S_ISDIR(status.st_mode) else "file",
        "size": status.st_size,
        "mode": stat.S_IMODE(status.st_mode),
        "permissions": stat.filemode(status.st_mode)[1:],
        "owner": _user(status.st_uid),
        "group": _group(status.st_gid),
        "modified_time": status.st_mtime,
        "symlink_target": os.readlink(path) if link else None,
    }


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
