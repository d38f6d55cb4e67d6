"""Watches one sandbox that records itself what it does: nothing is read from it, its end is waited for."""

from __future__ import annotations

from threading import Event as Flag

from zenml_modal_nb.pricing.meter import Meter
from zenml_modal_nb.sandboxes.ending import RunEndedError, why_step_ended
from zenml_modal_nb.sandboxes.launch import Launch
from zenml_modal_nb.sandboxes.life import Life


class Watcher(Life[RunEndedError]):
    """The life of a sandbox that runs ZenML's entrypoint; its outcome says how it ended if the step does not."""

    def __init__(self, launch: Launch, meter: Meter) -> None:
        super().__init__(launch, lambda event: None, meter)
        self._away = Flag()

    @property
    def is_away(self) -> bool:
        """Whether Modal does not answer at the moment, so that an end would not be noticed."""
        return self._away.is_set()

    async def _follow(self) -> None:
        self._outcome.set_result(await why_step_ended(self.sandbox, self._launch.grace, self._away))
