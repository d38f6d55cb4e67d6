"""Follows one sandbox from its creation to its verified result, whatever happens in between.

Made and waited for by the step operator; what happens meanwhile goes to `emit`, on the background loop's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from zenml_modal_nb.events import Event, Resources
from zenml_modal_nb.pricing.meter import Meter
from zenml_modal_nb.sandboxes.acknowledgement import acknowledge
from zenml_modal_nb.sandboxes.conversation import Conversation, Outcome
from zenml_modal_nb.sandboxes.launch import Launch
from zenml_modal_nb.sandboxes.life import Life
from zenml_modal_nb.sandboxes.losses import Losses
from zenml_modal_nb.sandboxes.usage import Usage


class Follower(Life[Outcome]):
    """The life of a sandbox whose runner is spoken with; its outcome is the verified result."""

    def __init__(self, launch: Launch, emit: Callable[[Event], None], meter: Meter) -> None:
        super().__init__(launch, emit, meter)
        self.usage = Usage()

    async def _follow(self) -> None:
        losses = Losses(self.sandbox.object_id)
        conversation = Conversation(self._launch, self.sandbox, self._emit, losses, self._use)
        with losses.heard():
            try:
                self._outcome.set_result(await conversation.outcome())
            finally:
                await conversation.close()
        if self._launch.command:
            await acknowledge(self.sandbox, conversation.directory)

    def _use(self, fields: Mapping[str, Any]) -> None:
        cpu, memory_mib = self.usage.take(fields)
        self._meter.observe(cpu, memory_mib)
        gpus = tuple((percent, used) for percent, used in fields.get("gpu", ()))
        self._emit(Resources(cpu, memory_mib, gpus))
