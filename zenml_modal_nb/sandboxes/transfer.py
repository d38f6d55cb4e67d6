"""Files that a runner names in a frame: read through the sandbox's filesystem API, verified by size and digest."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import Callable, Mapping
from typing import Any

from zenml_modal_nb.errors import SandboxError
from zenml_modal_nb.events import Event
from zenml_modal_nb.runner import digests
from zenml_modal_nb.runner.frames import Frame
from zenml_modal_nb.sandboxes.depot import RESULTS_PATH, Depot

_TRIES = 4

Bundle = Mapping[str, Any]  # by MIME type


async def read_values(
    sandbox: Any, directory: str, frame: Frame, depot: Depot, emit: Callable[[Event], None]
) -> bytes | memoryview:
    """Return the values file of a `result` frame, inline, from our volume or from its file; empty if nothing came."""
    inline = frame.fields.get("inline")
    if inline is not None:
        try:
            return base64.b64decode(inline, validate=True)
        except binascii.Error as error:
            raise SandboxError(f"The result arrived damaged ({error}). Run the cell again.") from None
    fields = frame.fields
    name = fields.get("volume")
    if name is not None:
        found = await depot.fetch(sandbox, name, fields["size"], fields["sha256"], emit)
        # A volume that does not show it in time: the sandbox itself does.
        return await _read_file(sandbox, f"{RESULTS_PATH}/{name}", fields) if found is None else found
    if fields.get("file") is None:
        return b""
    return await _read_file(sandbox, f"{directory}/{fields['file']}", fields)


async def read_display(sandbox: Any, directory: str, frame: Frame) -> tuple[Bundle, Bundle]:
    """Return data and metadata of a `display` frame."""
    fields = frame.fields
    if fields.get("data") is not None:
        return fields["data"], fields.get("metadata") or {}
    bundle = json.loads(await _read_file(sandbox, f"{directory}/{fields['file']}", fields))
    return dict(bundle["data"]), dict(bundle.get("metadata") or {})


async def read_manifest(sandbox: Any, directory: str, frame: Frame) -> dict[str, Any]:
    """Return the list that a `files` frame names."""
    fields = frame.fields
    return dict(json.loads(await _read_file(sandbox, f"{directory}/{fields['file']}", fields)))


async def _read_file(sandbox: Any, path: str, fields: Mapping[str, Any]) -> bytes:
    import modal

    size, digest = fields["size"], fields["sha256"]

    for _ in range(_TRIES):
        try:
            data: bytes = await sandbox.filesystem.read_bytes.aio(path)
        except modal.exception.SandboxFilesystemFileTooLargeError as error:
            raise SandboxError(
                f"The result has {size / 1e9:.1f} GB, more than Modal lets a sandbox's file be read with: {error}. "
                "Bring back less, e.g. a part or a summary: --out NAME names the variables that come back. "
                "What is as large stays at Modal in a volume (--volume)."
            ) from error
        # In a thread: the background loop has other runs to follow meanwhile.
        if len(data) == size and await asyncio.to_thread(digests.of_content, [data]) == digest:
            return data
    raise SandboxError(
        f"{path} did not arrive whole in {_TRIES} attempts ({size} bytes). Run the cell again."
    )
