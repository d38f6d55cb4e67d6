"""What is said between a sandbox's runner and the notebook, from the sandbox's existence to its verified result.

Made and waited for by `follow`; what happens meanwhile goes to `emit`, on the background loop's thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import cloudpickle

from zenml_modal_nb.errors import SandboxError
from zenml_modal_nb.events import Cleared, Display, Event, Log, Progress, Reason, Started, Stream
from zenml_modal_nb.runner.frames import Frame
from zenml_modal_nb.sandboxes import volumes
from zenml_modal_nb.sandboxes.channel import Channel, Text
from zenml_modal_nb.sandboxes.collecting import Collection
from zenml_modal_nb.sandboxes.ending import RunEndedError, end_of, why_ended
from zenml_modal_nb.sandboxes.fetching import Fetched, fetch
from zenml_modal_nb.sandboxes.launch import Launch, send
from zenml_modal_nb.sandboxes.losses import Losses
from zenml_modal_nb.sandboxes.reading import StreamReading, lost_contact
from zenml_modal_nb.sandboxes.transfer import read_display, read_values

logger = logging.getLogger(__name__)

STREAMS: tuple[Stream, ...] = ("stdout", "stderr")
_STDERR_LAG = 2.0  # seconds that the other stream may come after the result before its copy is read instead
_SIGN = 20.0  # seconds between two signs of life to a step of ZenML's, see `pipelines.step_body`
_MOST_BEFORE = 40  # pieces of its output that are told if it ends before its cell begins
_ENDING = 5.0  # seconds after its input was closed in which a sandbox that ends is known to have ended
_CLOSING = 5.0  # seconds that the end of a run waits for what goes on beside it


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the runner delivered: the facts of its last frame, the verified values file, the error if any."""

    result: Frame
    values: bytes | memoryview
    error: Frame | None
    fetched: Fetched = field(default_factory=Fetched)


class Conversation:
    """One sandbox's frames and text, and what they are answered with; lives on the background loop only."""

    def __init__(
        self,
        launch: Launch,
        sandbox: Any,
        emit: Callable[[Event], None],
        losses: Losses,
        use: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self._launch = launch
        self._sandbox = sandbox
        self._emit = emit
        self._use = use
        self._result: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._stderr_end = asyncio.Event()
        self._error: Frame | None = None
        self._files: Frame | None = None
        self._collection: Collection | None = None
        self._fed = bool(launch.command)  # what the cell needs has come as an artifact
        # What a step of ZenML's has written before its cell.
        self._before: deque[Log] = deque(maxlen=_MOST_BEFORE)
        self.directory = ""  # the runner's, from its hello
        self._python = ""
        self._tasks: set[asyncio.Task[None]] = set()
        self._unread = len(STREAMS)
        client, patience = launch.arguments["client"], launch.grace
        self._readings = {
            stream: StreamReading(
                sandbox, client, stream, Channel(launch.nonce), partial(self._take, stream), patience, losses
            )
            for stream in STREAMS
        }

    async def outcome(self) -> Outcome:
        """Read both streams until the result is there and verified."""
        for reading in self._readings.values():
            self._aside(partial(self._read, reading))
        frame = await self._result
        await self._finish_stderr(frame.fields["stderr"])
        await self._commit()
        return Outcome(frame, await self._values(frame), self._error, await self._fetch())

    async def _values(self, frame: Frame) -> bytes | memoryview:
        if "parts" not in frame.fields:
            return await read_values(self._sandbox, self.directory, frame, self._emit)
        if self._collection is None:
            raise SandboxError("The parts of the result were not announced. Run the cell again.")
        return await self._collection.content(frame)

    async def _commit(self) -> None:
        failure = await volumes.commit(self._sandbox, self._launch.run.get("volumes", ()))
        if failure:
            told = f"It is not sure that the volumes hold what the cell wrote last: {failure}\n"
            self._emit(Log(told, "stderr"))

    async def _fetch(self) -> Fetched:
        wanted = self._launch.run.get("fetch", ())
        into = self._launch.into
        return await fetch(self._sandbox, self.directory, self._files, wanted, into, self._emit)

    async def close(self) -> None:
        """Stop everything that goes on beside the result, and return when it has stopped."""
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks, timeout=_CLOSING)

    def _aside(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        # Begun in the task: one that is cancelled before its first step leaves no coroutine that nobody awaits.
        async def guarded() -> None:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - becomes the run's own error
                if not self._result.done():
                    self._result.set_exception(error)

        self._tasks.add(asyncio.create_task(guarded()))

    async def _read(self, reading: StreamReading) -> None:
        await reading.run()
        self._unread -= 1
        if not self._unread and not self._result.done():
            for each in self._before:
                self._emit(each)
            launch = self._launch
            raise await why_ended(self._sandbox, launch.grace, bool(self.directory), launch.terms)

    async def _finish_stderr(self, end: int) -> None:
        """Wait for the other stream's last frame; what it has lost by then is read from the runner's copy."""
        try:
            await asyncio.wait_for(self._stderr_end.wait(), _STDERR_LAG)
        except TimeoutError:
            await self._readings["stderr"].catch_up(end)

    async def _take(self, stream: Stream, item: Text | Frame) -> None:
        if isinstance(item, Text):
            log = Log(item.text, stream)
            if self._fed and not self.directory:
                self._before.append(log)
            else:
                self._emit(log)
            return
        fields = item.fields
        match item.kind:
            case "hello":
                self._aside(partial(self._greet, fields))
            case "begin" if fields["cloudpickle"] != cloudpickle.__version__:
                raise RunEndedError(Reason.NOT_STARTED, _other_cloudpickle(fields["cloudpickle"]))
            case "resources":
                self._use(fields)
            case "gpu":
                self._emit(Started(self._sandbox.object_id, self._python, fields["name"]))
            case "partial":
                self._emit(Log(fields["text"], stream))
            case "progress":
                self._emit(Progress(fields["text"], stream))
            case "display":
                await self._show(item)
            case "clear":
                self._emit(Cleared(fields["wait"]))
            case "error":
                self._error = item
            case "files":
                self._files = item
            case "stored":
                self._collect(item)
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
        self.directory, self._python = fields["directory"], fields["python"]
        if self._python.rpartition(".")[0] != self._launch.python:
            raise RunEndedError(
                Reason.NOT_STARTED,
                f"The image has Python {self._python}, the notebook {self._launch.python}: values cannot travel "
                "between them. Choose an image with the notebook's Python, or leave out --image.",
            )
        for reading in self._readings.values():
            reading.directory = self.directory
        self._emit(Started(self._sandbox.object_id, self._python))
        try:
            if not self._fed:
                await send(self._sandbox, self._launch)
        except lost_contact(ValueError):  # ValueError: its standard input is closed
            if not await self._is_ending():
                raise
            return  # the end of its output says how it ended
        while True:
            await asyncio.sleep(_SIGN if self._fed else self._launch.grace / 4)
            try:
                await self._sandbox.filesystem.write_bytes.aio(b"", f"{self.directory}/alive")
            except lost_contact() as error:
                logger.debug("No sign of life could be given to %s: %r", self._sandbox.object_id, error)

    async def _is_ending(self) -> bool:
        """Tell whether the sandbox ends about now: its input is closed a moment before its end is known."""
        try:
            async with asyncio.timeout(_ENDING):
                await end_of(self._sandbox, _ENDING)
        except lost_contact():  # the time is over, or Modal away
            return False
        return True

    def _collect(self, stored: Frame) -> None:
        if self._collection is None:
            whole, depot = stored.fields["whole"], self._launch.depot
            self._collection = Collection(self._sandbox, depot, self._emit, whole)
            self._aside(self._collection.run)
        self._collection.add(stored)

    async def _show(self, frame: Frame) -> None:
        try:
            data, metadata = await read_display(self._sandbox, self.directory, frame)
        except lost_contact(SandboxError) as error:
            self._emit(Log(f"[a display of the cell could not be read: {error}]\n", "stderr"))
        else:
            fields = frame.fields
            self._emit(Display(data, metadata, fields.get("id"), fields.get("update", False)))


def _other_cloudpickle(theirs: str) -> str:
    return (
        f"The image's Python loads cloudpickle {theirs} when it starts, before the {cloudpickle.__version__} that "
        "comes with the cell: values cannot travel between them. Choose an image that does not load it, or one with "
        "the same version."
    )
