"""The creation of a sandbox that can be cancelled at any moment; `follow` carries it out."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from zenml_modal_nb.runner.bootstrap import BOOTSTRAP
from zenml_modal_nb.sandboxes.launch import Launch
from zenml_modal_nb.sandboxes.reading import lost_contact
from zenml_modal_nb.sandboxes.termination import RUN_TAG, advice, terminate, terminate_tagged

logger = logging.getLogger(__name__)

_CREATION = 2.0  # seconds that a creation may still take once it is to be undone
_LOOKS = (0.0, 0.2, 0.6, 1.6)  # seconds before each look for a sandbox whose creation was cancelled


class Creation:
    """One sandbox that is being made; made and asked by its follower."""

    def __init__(self, launch: Launch) -> None:
        self._launch = launch
        self.undone = True  # nothing is left of a creation that was cancelled, as far as is known

    async def sandbox(self) -> Any:
        """Create it; a cancellation terminates what was being created, also when its ID is not known yet."""
        import modal

        arguments = dict(self._launch.arguments)
        arguments["tags"] = {**arguments.get("tags", {}), RUN_TAG: self._launch.nonce}
        creating = asyncio.create_task(
            modal.Sandbox.create.aio("python", "-u", "-c", BOOTSTRAP, self._launch.nonce, **arguments)
        )
        try:
            return await asyncio.shield(creating)
        except asyncio.CancelledError:
            self.undone = await self._undo(creating)
            raise

    async def _undo(self, creating: asyncio.Task[Any]) -> bool:
        # Most creations answer at once, and their answer is surer than a search; one that waits for a GPU does not.
        await asyncio.wait({creating}, timeout=_CREATION)
        if creating.done() and creating.exception() is None:
            return await terminate(creating.result())
        creating.cancel()
        await asyncio.wait({creating})
        arguments = self._launch.arguments
        lost: Exception | None = None
        for pause in _LOOKS:
            await asyncio.sleep(pause)
            try:
                if await terminate_tagged(arguments["app"], arguments["client"], self._launch.nonce):
                    return True
                lost = None
            except lost_contact() as error:
                lost = error
        if lost is not None:
            logger.warning("Whether a sandbox of this run exists is not known (%s); %s", lost, advice(None))
        return lost is None
