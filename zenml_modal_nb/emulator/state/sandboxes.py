"""Sandboxes: what was asked for, how it runs, how it ended."""

from __future__ import annotations

import asyncio
import enum
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from zenml_modal_nb.emulator.families import Census, Family
from zenml_modal_nb.emulator.places import Place
from zenml_modal_nb.emulator.processes import Process, kill_group
from zenml_modal_nb.emulator.state.mounted import VolumeMount, commit_all
from zenml_modal_nb.emulator.state.output import Output, Reading
from zenml_modal_nb.emulator.state.refusals import ConflictError, NotFoundError, UnavailableError
from zenml_modal_nb.emulator.state.resources import Gpu, Request
from zenml_modal_nb.emulator.state.usage import Usage

if TYPE_CHECKING:
    from zenml_modal_nb.emulator.state.preparation import Prepared

COMMIT_SECONDS = 5.0  # between two commits of what a sandbox writes to its volumes, as at Modal
JOBS_KEPT = 64  # finished commands of one sandbox that can still be read


class End(enum.Enum):
    """Why a sandbox is no longer running; Modal's result statuses."""

    EXITED = enum.auto()
    TIMED_OUT = enum.auto()
    TERMINATED = enum.auto()
    OUT_OF_MEMORY = enum.auto()
    IDLE = enum.auto()
    LOST = enum.auto()  # with its worker, or preempted


@dataclass(frozen=True)
class Outcome:
    """How a sandbox ended; `code` is its exit code, 128 + N after signal N."""

    end: End
    code: int


@dataclass(frozen=True)
class Definition:
    """What a client asked for; `version` is the sandbox backend, `timeout` is in seconds."""

    version: int
    app_id: str
    image_id: str
    command: tuple[str, ...]
    variables: Mapping[str, str] = field(repr=False)
    workdir: str = ""
    timeout: int = 300
    name: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    gpu: Gpu | None = None
    request: Request = field(default_factory=Request)
    mounts: tuple[str, ...] = ()
    volumes: tuple[VolumeMount, ...] = ()
    idle_timeout: int = 0
    regions: tuple[str, ...] = ()
    cloud: str = ""


class Input(Protocol):
    """Standard input, of a process or of the filesystem tool."""

    written: int
    ended: bool

    async def write(self, offset: int, data: bytes, end: bool) -> None:
        """Pass on `data`, which begins at byte `offset` of the whole input."""


class Readable(Protocol):
    """An output stream, of a process or of the filesystem tool."""

    def chunks(self, offset: int, reading: Reading) -> AsyncIterator[tuple[int, bytes]]:
        """Yield (position, bytes) from `offset` until the stream ends."""


class Job(Protocol):
    """A command run inside a sandbox: a process or a call of the filesystem tool."""

    @property
    def stdin(self) -> Input: ...
    @property
    def stdout(self) -> Readable: ...
    @property
    def stderr(self) -> Output: ...
    @property
    def returncode(self) -> int | None: ...

    async def wait(self) -> int:
        """The exit code, or minus the number of a signal."""

    def kill(self) -> None:
        """End it at once."""

    def discard(self) -> None:
        """End it, and let everything go that could still be read."""


class Sandbox:
    """One sandbox; made and watched by `Sandboxes`. Times are seconds since 1970."""

    def __init__(
        self,
        sandbox_id: str,
        task_id: str,
        definition: Definition,
        place: Place,
        process: Process,
        prepared: Prepared,
    ) -> None:
        self.id = sandbox_id
        self.task_id = task_id
        self.definition = definition
        self.tags = dict(definition.tags)
        self.created_at = time.time()
        self.process = process
        self.place = place
        self.environment = prepared.environment
        self.paths = prepared.paths
        self.volumes = prepared.volumes
        self.outcome: Outcome | None = None
        self.ended_at = 0.0
        self.name = definition.name
        self.usage = Usage(definition.request, definition.gpu)
        self._active_at = time.monotonic()
        self._verdict: End | None = None
        self._code: int | None = None
        self._lost = False
        self._done = asyncio.Event()
        self._jobs: dict[str, Job] = {}
        self._watchers: set[asyncio.Task[None]] = set()
        self._stdin_index = 0

    @property
    def running(self) -> bool:
        """Whether it has not ended, nor been told to."""
        return self.outcome is None and self._verdict is None

    @property
    def family(self) -> Family:
        """By what its processes are known; while it has not ended completely."""
        running = [job for job in self._jobs.values() if isinstance(job, Process) and job.returncode is None]
        leaders = frozenset(process.pid for process in (self.process, *running) if process.pid)
        return Family(self.id, leaders, self.place.root, self.process.made_at)

    def restore(self, created_at: float, ended_at: float, outcome: Outcome) -> None:
        """Be a sandbox that has ended."""
        self.created_at, self.ended_at, self.outcome = created_at, ended_at, outcome
        self._done.set()

    async def live(self, census: Census, keep: Callable[[Sandbox, Outcome], Awaitable[None]]) -> None:
        """Wait for the end, whatever brings it, and leave nothing behind: run once, as a task of its own.

        `keep` is told the outcome before anybody else.
        """
        await self.process.wait_to_begin()
        committing = asyncio.create_task(self._commit_now_and_then()) if self.volumes else None
        try:
            code = await asyncio.wait_for(self.process.wait(), self.definition.timeout or None)
        except TimeoutError:
            self._verdict = self._verdict or End.TIMED_OUT
            self.process.kill()
            code = await self.process.wait()
        if committing:
            committing.cancel()
            await asyncio.wait([committing])
        self._verdict = self._verdict or End.EXITED
        try:
            await self._clean_up(census)
        finally:
            # Told in any case: whoever waits must not wait forever because a directory could not be removed.
            self.ended_at = time.time()
            self.usage.finish()
            code = code if self._code is None else self._code
            outcome = Outcome(self._verdict, code if code >= 0 else 128 - code)
            try:
                await keep(self, outcome)
            finally:
                self.outcome = outcome
                self._done.set()

    async def _clean_up(self, census: Census) -> None:
        for job in self._jobs.values():
            job.kill()
        # What the command left running ends with it, as in a container.
        if self.process.pid:
            kill_group(self.process.pid)
            await asyncio.to_thread(census.end, [self.family])
        await self.process.drain()
        await asyncio.gather(*self._watchers)
        if self._verdict is not End.LOST:  # with its worker goes what was not committed
            await commit_all(self.volumes)
        for mounted in self.volumes:
            await mounted.close()
        await asyncio.to_thread(self.place.remove)

    async def _commit_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(COMMIT_SECONDS)
            await commit_all(self.volumes)

    def terminate(self) -> None:
        """Kill everything; does nothing when it has ended."""
        if self.running:
            self._verdict = End.TERMINATED
            self.process.kill()

    def strike(self, end: End, code: int) -> None:
        """End it as neither its command nor its client would; does nothing when it has ended."""
        if self.running:
            self._verdict = end
            self._code = code
            self.process.kill()

    async def preempt(self, code: int, grace: float) -> None:
        """Ask it to end, as its machine is wanted for something else; kill it after `grace` seconds."""
        if self.running:
            self._verdict = End.LOST
            self._code = code
            self.process.interrupt()
            try:
                await asyncio.wait_for(self.process.wait(), grace)
            except TimeoutError:
                self.process.kill()

    def lose(self, code: int) -> None:
        """End it with its machine: what a V2 sandbox printed was there and nowhere else."""
        if self.running:
            self._lost = True
            if self.definition.version == 2:
                self.process.stdout.lose()
                self.process.stderr.lose()
            self.strike(End.LOST, code)

    def require_worker(self) -> None:
        """Raise UnavailableError if its machine is gone."""
        if self._lost:
            raise UnavailableError(f"The worker of sandbox {self.id} does not answer.")

    async def wait(self, timeout: float | None) -> Outcome | None:
        """The outcome, or None if it is still running after `timeout` seconds."""
        if self.outcome is None and timeout != 0:
            try:
                await asyncio.wait_for(self._done.wait(), timeout)
            except TimeoutError:
                return None
        return self.outcome

    def touch(self) -> None:
        """Note a command, or input: the sandbox is in use."""
        self._active_at = time.monotonic()

    @property
    def idle_seconds(self) -> float:
        """For how long nothing has used it; its own command does not count, as at Modal."""
        if any(job.returncode is None for job in self._jobs.values()):
            self.touch()
        return time.monotonic() - self._active_at

    def rename(self, name: str) -> None:
        """Give a name to a sandbox that has none; raises ConflictError."""
        if self.name not in ("", name) or not self.running:
            raise ConflictError(f"Sandbox {self.id} has another name, or has ended.")
        self.name = name

    async def write_stdin(self, offset: int, data: bytes, end: bool) -> None:
        """V2: pass on `data`, which begins at byte `offset` of the whole input."""
        self.touch()
        await self.process.stdin.write(offset, data, end)

    async def write_message(self, index: int, data: bytes, end: bool) -> None:
        """V1: take the message with this number; one that was taken before is skipped, a gap is refused."""
        self.touch()
        if index > self._stdin_index + 1:
            raise ConflictError(f"Standard input is at message {self._stdin_index}; {index} leaves a gap.")
        if index == self._stdin_index + 1:
            self.process.stdin.put(self.process.stdin.written, data, end)
            # Before waiting: a client that gives up then sends the message again, and it has been taken.
            self._stdin_index = index
        await self.process.stdin.room()

    def require_running(self) -> None:
        """Raise NotFoundError if it has ended, UnavailableError if it has not started."""
        if not self.running:
            raise NotFoundError(f"Sandbox {self.id} has already shut down.")
        if not self.process.begun:
            raise UnavailableError(f"Sandbox {self.id} has not started yet.")

    def job(self, job_id: str) -> Job:
        """The command of this ID, or NotFoundError."""
        try:
            return self._jobs[job_id]
        except KeyError:
            raise NotFoundError(f"Sandbox {self.id} runs no command {job_id!r}.") from None

    def has_job(self, job_id: str) -> bool:
        """Whether this ID has been used: starting it again is a repetition."""
        return job_id in self._jobs

    def keep_job(self, job_id: str, job: Job, timeout: float | None) -> None:
        """Watch a started command to its end (seconds), and forget the oldest finished ones."""
        self._jobs[job_id] = job
        watcher = asyncio.create_task(_watch(job, timeout))
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)
        finished = [key for key, kept in self._jobs.items() if kept.returncode is not None]
        for key in finished[: max(0, len(finished) - JOBS_KEPT)]:
            self._jobs.pop(key).discard()

    def forget(self) -> None:
        """Let go of files and streams; nothing can be read any more."""
        for job in (self.process, *self._jobs.values()):
            job.discard()
        self._jobs.clear()


async def _watch(job: Job, timeout: float | None) -> None:
    try:
        await asyncio.wait_for(job.wait(), timeout)
    except TimeoutError:
        job.kill()
        await job.wait()
    if isinstance(job, Process):
        kill_group(job.pid)
        await job.drain()
