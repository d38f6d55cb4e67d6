"""The creation of a sandbox that can be cancelled at any moment; `life` carries it out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from zenml_modal_nb.events import Building, Event, Waiting
from zenml_modal_nb.sandboxes.ending import build_error, why_not_created
from zenml_modal_nb.sandboxes.launch import Launch
from zenml_modal_nb.sandboxes.reading import lost_contact
from zenml_modal_nb.sandboxes.termination import RUN_TAG, advice, terminate, terminate_tagged

logger = logging.getLogger(__name__)

_CREATION = 2.0  # seconds that a creation may still take once it is to be undone
_MOMENT = 1.0  # seconds within which an image that exists is found
_GLANCE = 0.1  # seconds between two looks whether it is there, and that any creation is given
_LAST_LINES = 20  # of a build log, that an error shows
_LOOKS = (0.0, 0.2, 0.6, 1.6)  # seconds before each look for a sandbox whose creation was cancelled


class Creation:
    """One sandbox that is being made; made and asked by its follower."""

    def __init__(self, launch: Launch, emit: Callable[[Event], None]) -> None:
        self._launch = launch
        self._emit = emit
        self.undone = True  # nothing is left of a creation that was cancelled, as far as is known
        self.asked = True  # Modal for a sandbox; not if it was cancelled while the image was made

    async def sandbox(self) -> Any:
        """Create it; a cancellation terminates what was being created, also when its ID is not known yet.

        Raises:
            RunEndedError: there is none, and why.
        """
        import modal

        self._emit(Waiting())

        arguments = dict(self._launch.arguments)
        arguments["tags"] = {**arguments.get("tags", {}), RUN_TAG: self._launch.nonce}
        volumes, variables = self._launch.mounts
        arguments["volumes"] = {**arguments.get("volumes", {}), **volumes}
        arguments["env"] = {**(arguments.get("env") or {}), **variables}
        creating = asyncio.create_task(modal.Sandbox.create.aio(*self._launch.entrypoint, **arguments))
        watching = asyncio.create_task(self._watch_build())
        try:
            return await asyncio.shield(creating)
        except asyncio.CancelledError:
            self.undone = await self._undo(creating)
            raise
        except Exception as error:
            log = await self._build_log(error) if isinstance(error, build_error()) else ""
            raise why_not_created(error, self._launch.server, log, self._launch.terms) from error
        finally:
            watching.cancel()

    async def _watch_build(self) -> None:
        # `Image.build` first would ask for every layer twice, and the SDK's output, which holds the log, is one for
        # the whole process: the user's own builds would come through here, or ours show in their cell.
        image = self._launch.arguments["image"]
        await asyncio.sleep(_MOMENT)
        if _is_built(image):
            return
        stages = self._launch.stages
        told: int | None = None
        while not _is_built(image):
            # Those below are there first, each as soon as it is built.
            if (done := sum(map(_is_built, stages))) != told:
                self._emit(Building(why=self._launch.why_built, done=done, layers=len(stages)))
                told = done
            await asyncio.sleep(_GLANCE)
        self._emit(Waiting())

    async def _build_log(self, error: Exception) -> str:
        """Return the end of the log of an image that could not be built, empty where it cannot be had."""
        import modal

        lines: list[str] = []
        try:
            image = modal.Image.from_id(
                getattr(error, "image_id", ""), client=self._launch.arguments["client"]
            )
            async for entry in image.logs.fetch.aio(layers=1):
                lines = [*lines, entry.message][-_LAST_LINES:]
        except lost_contact(AttributeError) as reason:  # AttributeError: an SDK before 1.6.4 has no `logs`
            logger.debug("No build log of %r: %r", error, reason)
        return "".join(lines)

    async def _undo(self, creating: asyncio.Task[Any]) -> bool:
        arguments = self._launch.arguments
        # Not at once: of a creation that has hardly begun the SDK leaves coroutines unawaited, which Python tells.
        await asyncio.wait({creating}, timeout=_GLANCE)
        if _is_built(arguments["image"]):
            # Most creations answer at once, and their answer is surer than a search; one that waits for a GPU does not.
            await asyncio.wait({creating}, timeout=_CREATION)
        creating.cancel()
        await asyncio.wait({creating})
        if not creating.cancelled() and creating.exception() is None:
            return await terminate(creating.result())
        # A sandbox is asked for by its image's ID: without one, nothing has to be looked for.
        self.asked = _is_built(arguments["image"])
        if not self.asked:
            return True
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
            logger.info("Whether a sandbox of this run exists is not known (%s); %s", lost, advice(None))
        return lost is None


def _is_built(image: Any) -> bool:
    return hasattr(image, "object_id")  # the SDK's images have one only once they exist at Modal
