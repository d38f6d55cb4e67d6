"""Real subprocesses: each in a session of its own, read as it writes, ended with everything it started."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import psutil

from zenml_modal_nb.emulator import orphans
from zenml_modal_nb.emulator.state.output import Output
from zenml_modal_nb.emulator.state.refusals import ConflictError, UnavailableError

NOT_FOUND_CODE = 127  # what a shell answers for a command that does not exist
NOT_EXECUTABLE_CODE = 126
STDIN_BUFFER = 16 * 1024 * 1024  # bytes; the most the SDK sends in one write
GONE_SECONDS = 2.0  # how long a killed process may take to be gone; on a busy machine some milliseconds
DRAIN_SECONDS = 2.0  # how long output may go on arriving after the process and all it started are gone

# Set in every process of a sandbox (as at Modal), and inherited: it finds those that left the process group.
MARKER = "MODAL_SANDBOX_ID"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Command:
    """What to start; made by a sandbox from its definition."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    directory: Path
    discard_stdout: bool = False
    discard_stderr: bool = False
    merge_stderr: bool = False


class Stdin(asyncio.BaseProtocol):
    """The writing end of a process's standard input; positions count bytes since the start."""

    def __init__(self) -> None:
        self.written = 0
        self.ended = False
        self._transport: asyncio.WriteTransport | None = None
        self._room = asyncio.Event()
        self._room.set()

    async def connect(self, descriptor: int) -> None:
        """Write to the pipe `descriptor` from now on."""
        pipe = os.fdopen(descriptor, "wb", 0)
        transport, _ = await asyncio.get_running_loop().connect_write_pipe(lambda: self, pipe)
        transport.set_write_buffer_limits(high=STDIN_BUFFER)
        self._transport = transport

    async def write(self, offset: int, data: bytes, end: bool) -> None:
        """`put`, and return once the buffer has room."""
        self.put(offset, data, end)
        await self.room()

    async def room(self) -> None:
        """Return once the buffer has room for more."""
        await self._room.wait()

    def put(self, offset: int, data: bytes, end: bool) -> None:
        """Pass `data` on; what lies before the position reached is a repetition and is skipped.

        Raises ConflictError when the input is closed or `offset` leaves a gap, UnavailableError before the
        process has started.
        """
        if self._transport is None and not self.ended:
            raise UnavailableError("The sandbox has not started yet.")
        if offset > self.written:
            raise ConflictError(
                f"Standard input is at byte {self.written}; writing at {offset} leaves a gap."
            )
        fresh = data[self.written - offset :]
        if fresh:
            if self.ended or self._transport is None:
                raise ConflictError("Standard input is closed.")
            self._transport.write(fresh)
            self.written += len(fresh)
        if end:
            self.end()

    def end(self) -> None:
        """Close after what is buffered; the process reads the end of its input. Repeating it is harmless."""
        if not self.ended and self._transport is not None:
            self._transport.write_eof()
        self.ended = True

    def abandon(self) -> None:
        """Close at once and drop what is buffered: the process is gone."""
        self.ended = True
        self._room.set()
        if self._transport is not None:
            self._transport.abort()

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
        self._transport = None
        self._room.set()


class Process(asyncio.SubprocessProtocol):
    """One running command with its three streams; made by `start`."""

    def __init__(self, stdout: Output, stderr: Output) -> None:
        self.stdin = Stdin()
        self.stdout = stdout
        self.stderr = stderr
        self.pid = 0
        self.made_at = time.time()
        self._outputs = {1: stdout, 2: stderr}
        self._code: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._drained = asyncio.Event()
        self._transport: asyncio.SubprocessTransport | None = None
        self._begun = asyncio.Event()
        self._waiting: asyncio.Task[None] | None = None
        self._doomed = False

    @property
    def begun(self) -> bool:
        """Whether it has started, or will not any more."""
        return self._begun.is_set()

    async def wait_to_begin(self) -> None:
        """Return when it has started, or will not any more."""
        await self._begun.wait()

    @property
    def returncode(self) -> int | None:
        """The exit code, minus the number of the signal that ended the process, or None while it runs."""
        return self._code.result() if self._code.done() else None

    async def wait(self) -> int:
        """The exit code, or minus the number of the signal that ended the process."""
        return await asyncio.shield(self._code)

    def kill(self) -> None:
        """End the process and its group at once; does nothing when it has ended."""
        if self.returncode is None and self.pid:
            kill_group(self.pid)
        elif self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
            self.fail("Ended before it started.", -signal.SIGKILL)
        else:
            self._doomed = not self.begun

    def interrupt(self) -> None:
        """Ask the process and its group to end."""
        if self.returncode is None and self.pid:
            os.killpg(self.pid, signal.SIGINT)

    async def drain(self) -> None:
        """Wait until all output has arrived, then say so to its readers."""
        try:
            await asyncio.wait_for(self._drained.wait(), DRAIN_SECONDS)
        except TimeoutError:
            log.warning("Process %s has ended but its output is still held open; it is cut off.", self.pid)
        if self._transport is not None:
            self._transport.close()
        self.stdout.end()
        self.stderr.end()

    def discard(self) -> None:
        """End it, and let everything go that could still be read."""
        self.kill()
        self.stdout.discard()
        self.stderr.discard()

    def fail(self, message: str, code: int) -> None:
        """End without ever having started; `message` is the last line of standard error."""
        self.stderr.append(f"{message}\n".encode())
        self.stdin.ended = True
        self._drained.set()
        self._code.set_result(code)
        self._begun.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.SubprocessTransport, transport)
        self.pid = self._transport.get_pid() or 0
        orphans.expect(self.pid)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self._outputs[fd].append(data)

    def process_exited(self) -> None:
        code = self._transport.get_returncode() if self._transport is not None else None
        self.stdin.abandon()
        orphans.ended(self.pid)
        # asyncio calls this once it has the code; 255 is its own answer where the system knows none.
        self._code.set_result(255 if code is None else code)

    def connection_lost(self, exc: Exception | None) -> None:
        self._drained.set()


async def start(
    command: Command, stdout: Output, stderr: Output, room: Coroutine[None, None, None] | None = None
) -> Process:
    """Start `command` in a new session; one that cannot be started is a process that failed, as in a shell.

    With `room` it returns at once, and the command starts when that has been waited for.
    """
    process = Process(stdout, stderr)
    if room is None:
        await _launch(process, command)
    else:
        process._waiting = asyncio.create_task(_launch_after(room, process, command))
    return process


def ended(stdout: Output, stderr: Output, code: int) -> Process:
    """A process that has ended long ago."""
    process = Process(stdout, stderr)
    process.stdin.ended = True
    process._drained.set()
    process._code.set_result(code)
    process._begun.set()
    return process


async def _launch_after(room: Coroutine[None, None, None], process: Process, command: Command) -> None:
    await room
    process._waiting = None
    await _launch(process, command)


async def _launch(process: Process, command: Command) -> None:
    reader, writer = os.pipe()
    try:
        with orphans.launching():
            await asyncio.get_running_loop().subprocess_exec(
                lambda: process,
                *command.arguments,
                stdin=reader,
                stdout=subprocess.DEVNULL if command.discard_stdout else subprocess.PIPE,
                stderr=_stderr_of(command),
                env=dict(command.environment),
                cwd=command.directory,
                start_new_session=True,
            )
    except FileNotFoundError:
        os.close(writer)
        process.fail(f"{command.arguments[0]}: command not found", NOT_FOUND_CODE)
    except (PermissionError, OSError, ValueError) as error:
        # ValueError: e.g. a null byte in an argument
        os.close(writer)
        process.fail(f"{command.arguments[0]}: cannot be started: {error}", NOT_EXECUTABLE_CODE)
    else:
        await process.stdin.connect(writer)
        process._begun.set()
        if process._doomed:
            kill_group(process.pid)
    finally:
        os.close(reader)


def _stderr_of(command: Command) -> int:
    if command.discard_stderr:
        return subprocess.DEVNULL
    return subprocess.STDOUT if command.merge_stderr else subprocess.PIPE


def kill_group(pid: int) -> None:
    """Kill the process group that `pid` leads; 0, of a command that could not be started, leads none."""
    if not pid:
        return  # to the system, 0 would mean our own group: the server would kill itself
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        # Gone already; on macOS a group of zombies answers with a permission error.
        return


def open_below(identifier: str, directories: Sequence[Path]) -> list[str]:
    """What the processes of a sandbox have open below these directories, e.g. `path a.txt is open in python`."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARKER) != identifier:
                continue
            paths = [file.path for file in process.open_files()]
            if hasattr(process, "memory_maps"):  # not on macOS
                paths += [mapped.path for mapped in process.memory_maps()]
            name, where = process.name(), Path(process.cwd())
            for directory in directories:
                inside = [Path(path) for path in paths if Path(path).is_relative_to(directory)]
                found += [f"path {path.relative_to(directory)} is open in {name}" for path in inside]
                if where.is_relative_to(directory):
                    found.append(f"cwd of {name} is inside volume")
        except psutil.Error:
            # Another user's process, or one that has just ended: nothing of the sandbox's is open in it.
            continue
    return found


def kill_marked(identifiers: Sequence[str]) -> None:
    """Kill every process that runs in one of these sandboxes, whatever group or session it has moved to.

    Returns when they are gone, also those that were killed before and have not ended yet.
    """
    wanted = set(identifiers)
    killed = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARKER) in wanted:
                process.kill()
                killed.append(process)
        except psutil.Error:
            # Another user's process, or one that has just ended: not ours to kill.
            continue
    deadline = time.monotonic() + GONE_SECONDS
    while any(_is_alive(process) for process in killed) and time.monotonic() < deadline:
        time.sleep(0.002)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
