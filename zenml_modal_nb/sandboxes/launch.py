"""What a sandbox is started with and what is sent to it: `Launch` is made by the step operator, used by `follow`."""

from __future__ import annotations

import asyncio
import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

STDIN_LIMIT = 8 << 20  # bytes; larger parts go through the filesystem API, which streams
_STDIN_CHUNK = 1 << 20  # bytes; the SDK buffers at most 2 MiB per drain on V1 sandboxes

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
    into: Path = field(default_factory=Path.cwd)  # where fetched files are put
    server: str = "Modal"  # who is asked for it, in the words of a sentence

    @property
    def header(self) -> bytes:
        """The header of the sandbox's standard input, with its length in front."""
        parts = [{"name": p.name, "size": p.size, "sha256": p.sha256, "via": p.via} for p in self.parts]
        text = json.dumps({"version": 1, "parts": parts, "run": dict(self.run)}).encode()
        return len(text).to_bytes(8, "big") + text


async def send(sandbox: Any, launch: Launch, directory: str) -> None:
    """Write the header and the parts; called after the sandbox said hello, since stdin retries only for seconds."""
    large = [part for part in launch.parts if part.via == "file"]
    await _write_stdin(
        sandbox, [launch.header, *(b for p in launch.parts if p.via == "stdin" for b in p.blocks)]
    )
    for part in large:
        with tempfile.NamedTemporaryFile(prefix="zenml-modal-nb-") as spool:
            # In a thread: a disk may be slow, and the background loop has other runs to follow meanwhile.
            await asyncio.to_thread(_fill, spool, part.blocks)
            await sandbox.filesystem.copy_from_local.aio(spool.name, f"{directory}/in/{part.name}")


def _fill(file: IO[bytes], blocks: Sequence[Block]) -> None:
    for block in blocks:
        file.write(block)
    file.flush()


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
