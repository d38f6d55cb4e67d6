"""A sandbox that runs a step of ZenML's, which goes on when the cell's results have arrived: it ends by itself."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from zenml_modal_nb.sandboxes.reading import lost_contact

logger = logging.getLogger(__name__)

_PAUSE = 1.0  # seconds between two attempts to say that the results have arrived, or to hear of the end


class Attachment:
    """A sandbox that ZenML's own operator has created; made by `pipelines.connected`, asked by its follower."""

    undone = False
    asked = True

    def __init__(self, sandbox_id: str, client: Any) -> None:
        self._sandbox_id = sandbox_id
        self._client = client

    async def sandbox(self) -> Any:
        """Find it."""
        import modal

        return await modal.Sandbox.from_id.aio(self._sandbox_id, client=self._client)


async def acknowledge(sandbox: Any, directory: str) -> None:
    """Say that the results have arrived, and wait until ZenML's step has recorded what it returns."""
    acknowledged = False
    while True:
        try:
            if not acknowledged:
                await sandbox.filesystem.write_bytes.aio(b"", f"{directory}/ack")
                acknowledged = True
            await sandbox.wait.aio(raise_on_termination=False)
        except lost_contact() as error:
            logger.debug("The end of %s is not known yet: %r", sandbox.object_id, error)
            if await _has_ended(sandbox):
                return
            await asyncio.sleep(_PAUSE)
        else:
            return


async def _has_ended(sandbox: Any) -> bool:
    try:
        return await sandbox.poll.aio() is not None
    except lost_contact():
        return False
