"""Our volumes at Modal: large values wait in one for their sandbox, large results in the other for the notebook.

What is sent lies there in blocks of 8 MiB, each under its SHA-256: what is there already is not sent again, from
whichever variable, run or kernel it comes. A block that nobody has sent for a week is removed.
"""

from __future__ import annotations

import asyncio
import io
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zenml_modal_nb.errors import SandboxError
from zenml_modal_nb.events import Direction, Event, Transfer
from zenml_modal_nb.runner import digests
from zenml_modal_nb.runner.shipment import RESULTS, SHIPPED
from zenml_modal_nb.sandboxes import blocks
from zenml_modal_nb.sandboxes.launch import Segment
from zenml_modal_nb.sandboxes.reading import lost_contact

logger = logging.getLogger(__name__)

# Two in each Modal environment: a sandbox can mount a volume at one path only.
SHIPMENTS_VOLUME, RESULTS_VOLUME = "zenml-modal-nb-shipments", "zenml-modal-nb-results"
RESULTS_PATH = "/mnt/zenml-modal-nb/results"
_SHIPPED_PATH = "/mnt/zenml-modal-nb/shipped"
_DAY = 86_400.0  # seconds
_EXPIRY = 7 * _DAY
_RENEWAL = 6 * _DAY  # a block of that age is sent again: one that a run needs must not expire before it
_MOST_REMOVED = 256  # blocks by one run
_BATCH = 8  # blocks sent at once by the SDK's own means: progress is told after each
_QUIET = 1.0  # seconds before a transfer is worth telling
_PAUSE = 0.25  # seconds between two things told


@dataclass(frozen=True, slots=True)
class Depot:
    """A notebook's part of the volumes; made by the step operator, used by the run's follower."""

    client: Any
    environment: str | None
    directory: str  # the notebook's

    def mounts(self, *, shipped: bool, results: bool) -> tuple[dict[str, Any], dict[str, str]]:
        """Return what a sandbox is created with: volumes by path, and the variables that name the paths to the runner.

        A mount path is a path in a container; on the local Modal API only variables lead there.
        """
        volumes, variables = {}, {}
        if shipped:
            volume = self._volume(SHIPMENTS_VOLUME)
            volumes[_SHIPPED_PATH] = volume.with_mount_options(read_only=True, sub_path=self._path())
            variables[SHIPPED] = _SHIPPED_PATH
        if results:
            volumes[RESULTS_PATH] = self._volume(RESULTS_VOLUME).with_mount_options(sub_path=self._path())
            variables[RESULTS] = RESULTS_PATH
        return volumes, variables

    async def ship(self, segments: Iterable[Segment], emit: Callable[[Event], None]) -> None:
        """Put segments into their volume, as far as they are not there; raises Modal's errors."""
        wanted = {
            name: block
            for segment in segments
            for name, block in zip(segment.blocks, digests.split(segment.pieces), strict=True)
        }
        volume = self._volume(SHIPMENTS_VOLUME)
        await volume.hydrate.aio()
        there = await self._blocks(volume)
        now = time.time()
        missing = {name: block for name, block in wanted.items() if now - there.get(name, 0.0) > _RENEWAL}
        told = Told(emit, "sending", sum(part.nbytes for block in missing.values() for part in block))
        if missing:
            try:
                await blocks.put(self.client, volume.object_id, self._path(), missing, told.advance)
            except blocks.UnavailableError as error:
                logger.debug("Large values are sent by the SDK's own means: %s", error)
                await self._put(volume, missing, told)
            told.finish()
        await self._expire(volume, {name: sent for name, sent in there.items() if name not in wanted})

    async def read(
        self, wanted: Mapping[str, memoryview], advance: Callable[[int], None]
    ) -> Mapping[str, str]:
        """Read files of results, by name, into memory, and return their contents' digests; raises Modal's errors.

        Those that are not there, or have another size, are left out.
        """
        volume = self._volume(RESULTS_VOLUME)
        await volume.hydrate.aio()
        paths = {self._path(name): content for name, content in wanted.items()}
        try:
            found = await blocks.get(self.client, volume.object_id, paths, advance)
        except blocks.UnavailableError as error:
            logger.debug("A large result is read by the SDK's own means: %s", error)
            read = {path: await _read_by_sdk(volume, path, each, advance) for path, each in paths.items()}
            found = {path: digest for path, digest in read.items() if digest is not None}
        return {path.rpartition("/")[2]: digest for path, digest in found.items()}

    async def remove(self, names: Iterable[str]) -> None:
        """Remove results that have been read."""
        volume = self._volume(RESULTS_VOLUME)
        await asyncio.gather(*(self._remove(volume, self._path(name)) for name in names))

    async def expire(self) -> None:
        """Remove the results of runs that ended, long ago, before they were read; raises Modal's errors."""
        volume = self._volume(RESULTS_VOLUME)
        await self._expire(volume, await self._blocks(volume))

    async def _put(self, volume: Any, missing: Mapping[str, Sequence[memoryview]], told: Told) -> None:
        names = list(missing)
        for start in range(0, len(names), _BATCH):
            batch = {name: missing[name] for name in names[start : start + _BATCH]}
            # The SDK would put what is there by then under the name of what was there before, for a week.
            held = await asyncio.to_thread(_held, batch)
            if held is None:
                raise SandboxError(
                    "A large input changed while it was sent, e.g. by a thread of the notebook. Nothing was started. "
                    "Run the cell again when nothing else writes to its inputs."
                )
            async with volume.batch_upload(force=True) as upload:
                for name, content in held.items():
                    upload.put_file(_InMemory(content), self._path(name))
            told.advance(sum(part.nbytes for block in batch.values() for part in block))

    def _volume(self, name: str) -> Any:
        import modal

        return modal.Volume.from_name(
            name, create_if_missing=True, version=2, environment_name=self.environment, client=self.client
        )

    def _path(self, *parts: str) -> str:
        return "/".join(("", self.directory, *parts))

    async def _blocks(self, volume: Any) -> Mapping[str, float]:
        """The files of the notebook that are there, and when each was written."""
        import modal

        try:
            return {
                entry.path.rpartition("/")[2]: float(entry.mtime)
                async for entry in volume.iterdir.aio(self._path(), recursive=False)
            }
        except (modal.exception.NotFoundError, FileNotFoundError):
            return {}

    async def _expire(self, volume: Any, there: Mapping[str, float]) -> None:
        now = time.time()
        expired = [name for name, written in there.items() if now - written > _EXPIRY]
        for name in expired[:_MOST_REMOVED]:
            await self._remove(volume, self._path(name))

    async def _remove(self, volume: Any, path: str) -> None:
        try:
            await volume.remove_file.aio(path)
        except lost_contact(FileNotFoundError) as error:
            logger.debug("%s could not be removed from our volume: %r", path, error)


class Told:
    """Tells how far a transfer is, if it takes long enough to be noticed."""

    def __init__(self, emit: Callable[[Event], None], direction: Direction, total: int) -> None:
        self._emit = emit
        self._direction = direction
        self._total = total
        self._done = 0
        self._next = time.monotonic() + _QUIET
        self._told = 0

    def advance(self, size: int) -> None:
        """Take note of some more bytes; of some, perhaps, that were told before and had to be sent again."""
        self._done = min(self._done + size, self._total)
        if time.monotonic() >= self._next:
            self._tell()

    def finish(self) -> None:
        """Tell the end of what took long enough."""
        if self._told != self._done and (self._told or time.monotonic() >= self._next):
            self._tell()

    def _tell(self) -> None:
        self._next = time.monotonic() + _PAUSE
        self._told = self._done
        self._emit(Transfer(self._direction, self._done, self._total))


class _InMemory:
    """A block as the SDK takes it: a file without a descriptor, whose content it copies as it needs it."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def fileno(self) -> int:
        raise io.UnsupportedOperation("this file is in memory")

    def getbuffer(self) -> bytes:
        return self._content


def _held(named: Mapping[str, Sequence[memoryview]]) -> Mapping[str, bytes] | None:
    """Copies of blocks without the zeros at their end, which nobody can change; None if one has another name by now."""
    held = {name: b"".join(digests.stripped(block)) for name, block in named.items()}
    return held if all(digests.of_block([content]) == name for name, content in held.items()) else None


async def _read_by_sdk(
    volume: Any, path: str, content: memoryview, advance: Callable[[int], None]
) -> str | None:
    """Read one file as `blocks.get` does, by the SDK's own means; None if it is not there, or has another size."""
    position = 0
    try:
        async for chunk in volume.read_file.aio(path):
            if position + len(chunk) > content.nbytes:
                return None
            content[position : position + len(chunk)] = chunk
            position += len(chunk)
            advance(len(chunk))
    except FileNotFoundError:
        return None
    # In a thread: the background loop has other runs to follow meanwhile.
    return await asyncio.to_thread(digests.of_content, [content]) if position == content.nbytes else None


def why_not_shipped(error: Exception) -> SandboxError:
    """Return what a user reads when the volume refuses."""
    return SandboxError(
        f"The cell's large inputs could not be put into the volume {SHIPMENTS_VOLUME} at Modal: {error}. "
        "Nothing was started. Run the cell again, or send less: --in NAMES chooses the variables that are sent."
    )
