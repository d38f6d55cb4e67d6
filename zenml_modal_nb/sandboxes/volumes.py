"""Named volumes of a sandbox: mounted when it is created, committed when its cell has ended."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from zenml_modal_nb.errors import InvalidRequestError
from zenml_modal_nb.runner import mounts
from zenml_modal_nb.sandboxes.connection import Connection
from zenml_modal_nb.sandboxes.reading import lost_contact

_PATIENCE = 600.0  # seconds for the commit of one volume: as long as what was written takes to be uploaded

Volumes = Sequence[tuple[str, str]]  # names and mount paths


def check(volumes: Volumes) -> None:
    """Refuse what cannot be mounted together, as Modal would; raises InvalidRequestError."""
    for number, (name, path) in enumerate(volumes):
        for other, place in volumes[:number]:
            if path == place or path.startswith(f"{place}/") or place.startswith(f"{path}/"):
                problem = (
                    f"{other} and {name} cannot be mounted at {place} and {path}, one in the other's place"
                )
            elif name == other:
                problem = f"{name} cannot be mounted at two places, {place} and {path}"
            else:
                continue
            raise InvalidRequestError(
                f"--volume: {problem}. Keep one; --no-volume drops those of %config. Nothing was created."
            )


def of(volumes: Volumes, connection: Connection) -> dict[str, Any]:
    """Return `modal.Volume` objects by mount path; a volume that does not exist is made when the sandbox is."""
    import modal

    return {
        path: modal.Volume.from_name(
            name,
            environment_name=connection.environment,
            create_if_missing=True,
            client=connection.client,
        )
        for name, path in volumes
    }


def environment(volumes: Volumes) -> Mapping[str, str]:
    """Return the variable by which the runner learns where a sandbox has its volumes; see `runner.mounts`."""
    return {mounts.VARIABLE: json.dumps([path for _, path in volumes])} if volumes else {}


async def commit(sandbox: Any, paths: Sequence[str]) -> str:
    """Make what was written part of the volumes, for whoever mounts them next; returns what went wrong, or nothing.

    Modal commits every few seconds and at a sandbox's end as well, but says nothing when it has.
    """
    failures = []
    for path in paths:
        try:
            async with asyncio.timeout(_PATIENCE):
                process = await sandbox.exec.aio("sync", path)
                code = await process.wait.aio()
                said = (await process.stderr.read.aio()).strip() if code else ""
        except lost_contact() as error:
            code, said = 1, str(error)
        if code:
            failures.append(f"{path}: {said or f'exit code {code}'}")
    return "; ".join(failures)
