"""Follows one sandbox from its creation to its verified result, whatever happens in between.

Made and waited for by the step operator; what happens meanwhile goes to `emit`, on the background loop's thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from threading import Event as Flag
from typing import Any

from zenml_modal_nb.events import Display, Event, Log, Progress, Reason, Started, Stream, Waiting
from zenml_modal_nb.pricing.meter import Meter
from zenml_modal_nb.runner.frames import Frame
from zenml_modal_nb.sandboxes import launch as launching
from zenml_modal_nb.sandboxes.channel import Channel, Text
from zenml_modal_nb.sandboxes.ending import RunEndedError, why_ended, why_not_created
from zenml_modal_nb.sandboxes.launch import Launch
from zenml_modal_nb.sandboxes.loop import start
from zenml_modal_nb.sandboxes.reading import StreamReading
from zenml_modal_nb.sandboxes.transfer import read_display, read_values

logger = logging.getLogger(__name__)

STREAMS: tuple[Stream, ...] = ("stdout", "stderr")
_STDERR_LAG = 2.0  # seconds that the other stream may come after the result before its copy is read instead


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the runner delivered: the facts of its last frame, the verified values file, the error if any."""

    result: Frame
    values: bytes
    error: Frame | None


class Follower:
    """One sandbox's life: `begin` starts it, `created` and `outcome` wait for it, `stop` ends it."""

    def __init__(self, launch: Launch, emit: Callable[[Event], None], meter: Meter) -> None:
        self._launch = launch
        self._emit = emit
        self._meter = meter  # runs while the sandbox exists
        self._created: Future[str] = Future()
        self._outcome: Future[Outcome] = Future()
        self._gone = Flag()
        self._task: Future[None] | None = None
        self._stop_reason: Reason | None = None

    def begin(self) -> None:
        """Create the sandbox and follow it, in the background."""
        self._task = start(self._live())

    def created(self) -> str:
        """Wait until the sandbox exists and return its ID; raises what prevented it."""
        return self._created.result()

    def outcome(self) -> Outcome:
        """Wait for the verified result; raises RunEndedError when there is none."""
        return self._outcome.result()

    def stop(self, reason: Reason) -> None:
        """End the run now, at whatever stage; safe from any thread and more than once."""
        if self._stop_reason is None:
            self._stop_reason = reason
        if self._task is not None:
            self._task.cancel()

    def closed(self, timeout: float) -> bool:
        """Wait, at most `timeout` seconds, until the sandbox is terminated; says whether it is."""
        return self._gone.wait(timeout)

    async def _live(self) -> None:
        sandbox = None
        try:
            self._emit(Waiting())
            try:
                sandbox = await launching.create(self._launch)
            except Exception as error:
                raise why_not_created(error) from error
            self._meter.start()
            self._created.set_result(sandbox.object_id)
            self._outcome.set_result(await self._follow(sandbox))
        except asyncio.CancelledError:
            reason = self._stop_reason or Reason.LOST_CONTACT
            self._fail(RunEndedError(reason, f"The run was ended: {reason}."))
        except Exception as error:  # noqa: BLE001 - handed to whoever waits, never lost
            self._fail(error)
        finally:
            await asyncio.shield(self._close(sandbox))

    def _fail(self, error: Exception) -> None:
        if not self._created.done():
            self._created.set_exception(error)
        if not self._outcome.done():
            self._outcome.set_exception(error)

    async def _close(self, sandbox: Any) -> None:
        if sandbox is not None:
            import modal

            try:
                await sandbox.terminate.aio()
            except modal.exception.NotFoundError:
                logger.debug("Sandbox %s had ended before it was terminated", sandbox.object_id)
            except modal.exception.Error as error:
                logger.warning(
                    "Sandbox %s could not be terminated (%s); it ends at its own timeout. "
                    "`modal container list` shows it.",
                    sandbox.object_id,
                    error,
                )
        self._meter.stop()
        self._gone.set()

    async def _follow(self, sandbox: Any) -> Outcome:
        run = _Run(self._launch, sandbox, self._emit)
        try:
            return await run.outcome()
        finally:
            run.cancel()


class _Run:
    """What lasts from the sandbox's existence to its result; lives on the background loop only."""

    def __init__(self, launch: Launch, sandbox: Any, emit: Callable[[Event], None]) -> None:
        self._launch = launch
        self._sandbox = sandbox
        self._emit = emit
        self._result: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._stderr_end = asyncio.Event()
        self._error: Frame | None = None
        self._directory = ""  # the runner's, from its hello
        self._python = ""
        self._tasks: set[asyncio.Task[None]] = set()
        client = launch.arguments["client"]
        self._readings = {
            stream: StreamReading(sandbox, client, stream, Channel(launch.nonce), partial(self._take, stream))
            for stream in STREAMS
        }

    async def outcome(self) -> Outcome:
        """Read both streams until the result is there and verified."""
        self._aside(self._read())
        frame = await self._result
        await self._finish_stderr(frame.fields["stderr"])
        return Outcome(frame, await read_values(self._sandbox, self._directory, frame), self._error)

    def cancel(self) -> None:
        """Stop everything that goes on beside the result."""
        for task in self._tasks:
            task.cancel()

    def _aside(self, work: Coroutine[Any, Any, None]) -> None:
        async def guarded() -> None:
            try:
                await work
            except Exception as error:  # noqa: BLE001 - becomes the run's own error
                if not self._result.done():
                    self._result.set_exception(error)

        self._tasks.add(asyncio.create_task(guarded()))

    async def _read(self) -> None:
        await asyncio.gather(*(reading.run() for reading in self._readings.values()))
        if not self._result.done():
            raise await why_ended(self._sandbox)

    async def _finish_stderr(self, end: int) -> None:
        """Wait for the other stream's last frame; what it has lost by then is read from the runner's copy."""
        try:
            await asyncio.wait_for(self._stderr_end.wait(), _STDERR_LAG)
        except TimeoutError:
            await self._readings["stderr"].catch_up(end)

    async def _take(self, stream: Stream, item: Text | Frame) -> None:
        if isinstance(item, Text):
            self._emit(Log(item.text, stream))
            return
        fields = item.fields
        match item.kind:
            case "hello":
                self._aside(self._greet(fields))
            case "gpu":
                self._emit(Started(self._sandbox.object_id, self._python, fields["name"]))
            case "partial":
                self._emit(Log(fields["text"], stream))
            case "progress":
                self._emit(Progress(fields["text"], stream))
            case "display":
                self._emit(Display(*await read_display(self._sandbox, self._directory, item)))
            case "error":
                self._error = item
            case "end":
                self._stderr_end.set()
            case "result" if not self._result.done():
                self._result.set_result(item)
            case "abandoned":
                raise RunEndedError(
                    Reason.LOST_CONTACT,
                    "The sandbox ended itself: nobody had been there for its grace period.",
                )

    async def _greet(self, fields: Mapping[str, Any]) -> None:
        self._directory, self._python = fields["directory"], fields["python"]
        if self._python.rpartition(".")[0] != self._launch.python:
            raise RunEndedError(
                Reason.NOT_STARTED,
                f"The image has Python {self._python}, the notebook {self._launch.python}: values cannot travel "
                "between them. Choose an image with the notebook's Python, or leave out --image.",
            )
        for reading in self._readings.values():
            reading.directory = self._directory
        self._emit(Started(self._sandbox.object_id, self._python))
        await launching.send(self._sandbox, self._launch, self._directory)
        while True:
            await asyncio.sleep(self._launch.grace / 4)
            await self._sandbox.filesystem.write_bytes.aio(b"", f"{self._directory}/alive")
