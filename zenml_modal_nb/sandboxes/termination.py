"""The end of a sandbox, asked for until it is confirmed."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from zenml_modal_nb.sandboxes.reading import lost_contact

logger = logging.getLogger(__name__)

RUN_TAG = "zenml_modal_nb_run"  # finds a sandbox whose ID never reached us

_PAUSES = (0.0, 0.3, 1.0, 2.0)  # seconds before each try; the SDK itself repeats a call for half a second
_PATIENCE = 12.0  # seconds for all tries: a network that swallows everything answers none of them


async def terminate(sandbox: Any) -> bool:
    """End a sandbox; says whether it is confirmed that it is gone, also when it had ended by itself."""
    try:
        async with asyncio.timeout(_PATIENCE):
            for pause in _PAUSES:
                await asyncio.sleep(pause)
                if await _is_gone(sandbox):
                    return True
    except TimeoutError:
        pass  # whoever asked tells the user
    logger.info(
        "It is not confirmed that sandbox %s has ended; %s", sandbox.object_id, advice(sandbox.object_id)
    )
    return False


def advice(sandbox_id: str | None) -> str:
    """Say what becomes of a sandbox that may still be there, and how to end it now."""
    if sandbox_id is None:
        return (
            "if one was created, it ends by itself within 15 minutes, for lack of input. "
            "To end it now, open the app in Modal's dashboard and stop it."
        )
    return (
        "it ends at its timeout at the latest. "
        f"To end it now, open the app in Modal's dashboard, where {sandbox_id} is listed, and stop it."
    )


async def terminate_tagged(app: Any, client: Any, nonce: str) -> bool:
    """Terminate every running sandbox of one run; says whether there was one, raises when that is not known."""
    import modal

    found = False
    async for sandbox in modal.Sandbox.list.aio(app_id=app.app_id, tags={RUN_TAG: nonce}, client=client):
        await sandbox.terminate.aio()
        found = True
    return found


async def _is_gone(sandbox: Any) -> bool:
    import modal

    try:
        await sandbox.terminate.aio()
    except modal.exception.NotFoundError:
        return True  # it had ended long ago
    except lost_contact() as error:
        logger.debug("Sandbox %s could not be terminated: %r", sandbox.object_id, error)
    else:
        return True
    try:
        return await sandbox.poll.aio() is not None
    except lost_contact() as error:
        logger.debug("Sandbox %s does not answer: %r", sandbox.object_id, error)
        return False
