"""What is sent to a sandbox, and the creation of one that can be cancelled at any moment.

The step operator makes a `Launch`, `follow` carries it out.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from zenml_modal_nb.runner.bootstrap import BOOTSTRAP

logger = logging.getLogger(__name__)

STDIN_LIMIT = 8 << 20  # bytes; larger parts go through the filesystem API, which streams
_STDIN_CHUNK = 1 << 20  # bytes; the SDK buffers at most 2 MiB per drain on V1 sandboxes

_CREATION = 2.0  # seconds that a creation may still take once it is to be undone
_LOOKS = (0.0, 0.2, 0.6, 1.6)  # seconds before each look for a sandbox whose creation was cancelled

_CREATION = 2.0  # seconds that a creation may still take once it is to be undone
RUN_TAG = "zenml_modal_nb_run"  # finds a sandbox whose ID never reached us

Block = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Part:
    """One named piece of what a run needs; `blocks` are its bytes, never joined."""

    name: str
    blocks: tuple[Block, ...] = field(repr=False)
    size: int
    sha256: str

    @classmethod
    def of(cls, name: str, blocks: Sequence[Block]) -> Part:
        """Measure and digest the blocks."""
        digest = hashlib.sha256()
        size = 0
        for block in blocks:
            digest.update(block)
            size += memoryview(block).nbytes
        return cls(name, tuple(blocks), size, digest.hexdigest())

    @property
    def via(self) -> str:
        """How it travels: "stdin" or "file"."""
        return "stdin" if self.size <= STDIN_LIMIT else "file"


@dataclass(frozen=True, slots=True)
class Launch:
    """Everything a sandbox is started with; made by the step operator."""

    nonce: str
    parts: tuple[Part, ...]
    run: Mapping[str, Any]  # RUN of the channel's contract
    python: str  # minor version that the values were pickled with, e.g. "3.11"
    grace: float  # seconds that the runner goes on without a client
    arguments: Mapping[str, Any] = field(repr=False)  # of modal.Sandbox.create; holds secrets

    @property
    def header(self) -> bytes:
        """The header of the sandbox's standard input, with its length in front."""
        parts = [{"name": p.name, "size": p.size, "sha256": p.sha256, "via": p.via} for p in self.parts]
        text = json.dumps({"version": 1, "parts": parts, "run": dict(self.run)}).encode()
        return len(text).to_bytes(8, "big") + text


async def create(launch: Launch) -> Any:
    """Create the sandbox; a cancellation terminates what was being created, also when its ID is not known yet."""
    import modal

    arguments = dict(launch.arguments)
    arguments["tags"] = {**arguments.get("tags", {}), RUN_TAG: launch.nonce}
    creating = asyncio.create_task(
        modal.Sandbox.create.aio("python", "-u", "-c", BOOTSTRAP, launch.nonce, **arguments)
    )
    try:
        return await asyncio.shield(creating)
    except asyncio.CancelledError:
        await _undo(creating, launch)
        raise


async def terminate(sandbox: Any) -> None:
    """End a sandbox; a failure is told to the log, since whoever ends it can do no more."""
    import modal

    try:
        await sandbox.terminate.aio()
    except modal.exception.NotFoundError:
        logger.debug("Sandbox %s had ended before it was terminated", sandbox.object_id)
    except Exception as error:  # noqa: BLE001 - the run ends in any case
        logger.warning(
            "Sandbox %s could not be terminated (%s); it ends at its own timeout. `modal container list` shows it.",
            sandbox.object_id,
            error,
        )


async def _undo(creating: asyncio.Task[Any], launch: Launch) -> None:
    # Most creations answer at once, and their answer is surer than a search; one that waits for a GPU does not.
    await asyncio.wait({creating}, timeout=_CREATION)
    if creating.done() and creating.exception() is None:
        await terminate(creating.result())
        return
    creating.cancel()
    await asyncio.wait({creating})
    try:
        for pause in _LOOKS:
            await asyncio.sleep(pause)
            if await terminate_tagged(launch.arguments["app"], launch.arguments["client"], launch.nonce):
                return
    except Exception as error:  # noqa: BLE001 - as above
        logger.warning(
            "Whether a sandbox of this run was created is not known (%s). It would end by itself within 15 minutes, "
            "for lack of input; `modal container list` shows it.",
            error,
        )


async def terminate_tagged(app: Any, client: Any, nonce: str) -> bool:
    """Terminate every running sandbox of one run; says whether there was one."""
    import modal

    found = False
    async for sandbox in modal.Sandbox.list.aio(app_id=app.app_id, tags={RUN_TAG: nonce}, client=client):
        await sandbox.terminate.aio()
        found = True
    return found


async def send(sandbox: Any, launch: Launch, directory: str) -> None:
    """Write the header and the parts; called after the sandbox said hello, since stdin retries only for seconds."""
    large = [part for part in launch.parts if part.via == "file"]
    await _write_stdin(
        sandbox, [launch.header, *(b for p in launch.parts if p.via == "stdin" for b in p.blocks)]
    )
    for part in large:
        with tempfile.NamedTemporaryFile(prefix="zenml-modal-nb-") as spool:
            for block in part.blocks:
                spool.write(block)
            spool.flush()
            await sandbox.filesystem.copy_from_local.aio(spool.name, f"{directory}/in/{part.name}")


async def _write_stdin(sandbox: Any, blocks: Sequence[Block]) -> None:
    pending = bytearray()
    for block in blocks:
        view = memoryview(block).cast("B")
        for start in range(0, len(view), _STDIN_CHUNK):
            pending += view[start : start + _STDIN_CHUNK]
            if len(pending) >= _STDIN_CHUNK:
                sandbox.stdin.write(bytes(pending))
                await sandbox.stdin.drain.aio()
                pending.clear()
    sandbox.stdin.write(bytes(pending))
    sandbox.stdin.write_eof()
    await sandbox.stdin.drain.aio()
