"""Files that a runner names in a frame: read from the sandbox itself, verified by size and digest."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from zenml_modal_nb.errors import SandboxError
from zenml_modal_nb.events import Event
from zenml_modal_nb.runner import digests
from zenml_modal_nb.runner.allocation import fresh
from zenml_modal_nb.runner.frames import Frame
from zenml_modal_nb.sandboxes.depot import Told
from zenml_modal_nb.sandboxes.reading import lost_contact

logger = logging.getLogger(__name__)

_TRIES = 4
_TOLD = 4 << 20  # bytes; less is here before anything could be told
_COPY = (
    "import shutil, sys\nwith open(sys.argv[1], 'rb') as file: shutil.copyfileobj(file, sys.stdout.buffer)"
)

Bundle = Mapping[str, Any]  # by MIME type


async def read_values(
    sandbox: Any, directory: str, frame: Frame, emit: Callable[[Event], None]
) -> bytes | memoryview:
    """Return the values file of a `result` frame, inline or from its file; empty if nothing came."""
    inline = frame.fields.get("inline")
    if inline is not None:
        try:
            return base64.b64decode(inline, validate=True)
        except binascii.Error as error:
            raise SandboxError(f"The result arrived damaged ({error}). Run the cell again.") from None
    fields = frame.fields
    if fields.get("file") is None:
        return b""
    return await _read_result(sandbox, f"{directory}/{fields['file']}", fields, emit)


async def read_display(sandbox: Any, directory: str, frame: Frame) -> tuple[Bundle, Bundle]:
    """Return data and metadata of a `display` frame."""
    fields = frame.fields
    if fields.get("data") is not None:
        return fields["data"], fields.get("metadata") or {}
    bundle = json.loads(await _read_filed(sandbox, directory, fields))
    return dict(bundle["data"]), dict(bundle.get("metadata") or {})


async def read_manifest(sandbox: Any, directory: str, frame: Frame) -> dict[str, Any]:
    """Return the list that a `files` frame names."""
    fields = frame.fields
    return dict(json.loads(await _read_filed(sandbox, directory, fields)))


async def _read_result(
    sandbox: Any, path: str, fields: Mapping[str, Any], emit: Callable[[Event], None]
) -> bytes | memoryview:
    """Read a file of any size, and tell how far that is where it takes long."""
    size = fields["size"]
    if size >= _TOLD:
        content = memoryview(fresh(size))
        try:
            arrived = await _stream(sandbox, path, content, Told(emit, "collecting", size))
        except lost_contact() as error:
            logger.debug("%s is read in one piece: %r", path, error)
            arrived = False
        if arrived and await _is_whole(content, size, fields["sha256"]):
            return content
    return await read_file(sandbox, path, size, fields["sha256"])


async def _stream(sandbox: Any, path: str, content: memoryview, told: Told) -> bool:
    """Read a file piece by piece, which the filesystem API does not show; tell whether all of it may be there."""
    process = await sandbox.exec.aio("python", "-I", "-S", "-c", _COPY, path, text=False)
    position = 0
    async for piece in process.stdout:
        if position + len(piece) > content.nbytes:
            return False
        content[position : position + len(piece)] = piece
        position += len(piece)
        told.advance(len(piece))
    told.finish()
    return position == content.nbytes


async def _read_filed(sandbox: Any, directory: str, fields: Mapping[str, Any]) -> bytes:
    return await read_file(sandbox, f"{directory}/{fields['file']}", fields["size"], fields["sha256"])


async def read_file(sandbox: Any, path: str, size: int, digest: str) -> bytes:
    """Read a file from the sandbox itself; raises SandboxError if it does not arrive as it was announced."""
    import modal

    for _ in range(_TRIES):
        try:
            data: bytes = await sandbox.filesystem.read_bytes.aio(path)
        except modal.exception.SandboxFilesystemFileTooLargeError as error:
            raise SandboxError(
                f"The result has {size / 1e9:.1f} GB, more than Modal lets a sandbox's file be read with: {error}. "
                "Bring back less, e.g. a part or a summary: --out NAME names the variables that come back. "
                "What is as large stays at Modal in a volume (--volume)."
            ) from error
        if await _is_whole(data, size, digest):
            return data
    raise SandboxError(
        f"{path} did not arrive whole in {_TRIES} attempts ({size} bytes). Run the cell again."
    )


async def _is_whole(content: bytes | memoryview, size: int, digest: str) -> bool:
    if len(content) != size:
        return False
    # In a thread: the background loop has other runs to follow meanwhile.
    found: str = await asyncio.to_thread(digests.of_content, [content])
    return found == digest
