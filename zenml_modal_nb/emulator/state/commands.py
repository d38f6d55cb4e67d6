"""Commands run inside sandboxes: started once each, however often and by how many they are asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from zenml_modal_nb.emulator import filesystem, processes
from zenml_modal_nb.emulator.processes import MARKER, Command
from zenml_modal_nb.emulator.state.mounted import commit_all
from zenml_modal_nb.emulator.state.output import AllBytes, Output
from zenml_modal_nb.emulator.state.preparation import Preparation
from zenml_modal_nb.emulator.state.refusals import InvalidArgumentError
from zenml_modal_nb.emulator.state.sandboxes import Job, Sandbox


@dataclass(frozen=True)
class Order:
    """What a client wants to be run; made by the command router. `timeout` is in seconds, None for no limit."""

    words: tuple[str, ...]
    variables: Mapping[str, str] = field(repr=False)
    workdir: str = ""
    timeout: float | None = None
    discard_stdout: bool = False
    discard_stderr: bool = False
    merge_stderr: bool = False


class Commands:
    """Starts commands in sandboxes; made by `Sandboxes`. `spool` is where their output lies."""

    def __init__(self, spool: Path, preparation: Preparation) -> None:
        self._spool = spool
        self._preparation = preparation
        self._starting: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def run(self, sandbox: Sandbox, job_id: str, order: Order) -> None:
        """Start a command in a running sandbox; the same `job_id` again is a repetition and does nothing.

        A client that gives up half way leaves a whole command, which its repetition finds.
        """
        sandbox.require_running()
        sandbox.touch()
        if not order.words:
            raise InvalidArgumentError("There is no command to run.")
        key = (sandbox.id, job_id)
        starting = self._starting.get(key)
        if starting is None:
            if sandbox.has_job(job_id):
                return
            starting = asyncio.create_task(self._start(sandbox, job_id, order))
            self._starting[key] = starting
            starting.add_done_callback(lambda done: self._started(key, done))
        await asyncio.shield(starting)

    async def settle(self) -> None:
        """Wait for what is just being started."""
        await asyncio.gather(*self._starting.values(), return_exceptions=True)

    def _started(self, key: tuple[str, str], starting: asyncio.Task[None]) -> None:
        del self._starting[key]
        if not starting.cancelled():
            starting.exception()  # told to whoever waits; nobody may be left

    async def _start(self, sandbox: Sandbox, job_id: str, order: Order) -> None:
        job: Job
        if order.words[0] == filesystem.TOOL:
            job = await filesystem.run(order.words[1:], self._spool, sandbox.paths.path)
        else:
            if order.words[0] == "sync":
                # As at Modal, it commits the volumes.
                await commit_all(sandbox.volumes)
                sandbox.require_running()  # its directory, which may be gone by now, is not made again
            job = await processes.start(
                Command(
                    tuple(sandbox.paths.text(word) for word in order.words),
                    {**sandbox.environment, **order.variables, MARKER: sandbox.id},
                    sandbox.place.directory(order.workdir or self._preparation.workdir(sandbox.definition)),
                    discard_stdout=order.discard_stdout,
                    discard_stderr=order.discard_stderr,
                    merge_stderr=order.merge_stderr,
                ),
                Output(AllBytes(self._spool)),
                Output(AllBytes(self._spool)),
            )
        sandbox.keep_job(job_id, job, order.timeout)
        if not sandbox.running:
            # It ended while the command was starting, so its own ending did not see the command.
            job.kill()
