"""What a sandbox has used, and what Modal would bill for it."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from zenml_modal_nb.emulator.state.ledger import Amount, Cost, Ledger
from zenml_modal_nb.emulator.state.resources import Gpu, Request
from zenml_modal_nb.emulator.state.shapes import made

GIBIBYTE = 1024**3
MOST_SAMPLES = 4096  # kept for the percentiles


class Usage:
    """Fed by the registry's meter once in a while; bills max(request, used), as Modal does.

    CPU is in core-seconds, memory in GiB-seconds.
    """

    def __init__(self, request: Request, gpu: Gpu | None) -> None:
        self._request = request
        self._gpu = gpu
        self._last = time.monotonic()
        self._cpu_time = 0.0
        self.seconds = 0.0
        self._amount = Amount()
        self._ledger: Ledger | None = None
        self._app_id = ""
        self.cpu_samples: list[float] = []
        self.memory_samples: list[float] = []

    def bill_to(self, ledger: Ledger, app_id: str) -> None:
        """Book all that is used from now on in this app's account."""
        self._ledger, self._app_id = ledger, app_id

    @property
    def cpu_core_seconds(self) -> float:
        """The larger of request and use, summed up."""
        return self._amount.cpu_core_seconds

    @property
    def memory_gib_seconds(self) -> float:
        """The larger of request and use, summed up."""
        return self._amount.memory_gib_seconds

    def note(self, cpu_time: float, memory: int) -> None:
        """Take a measurement: CPU seconds of all processes since their start, and bytes they hold now."""
        now = time.monotonic()
        passed = now - self._last
        if passed <= 0:
            return
        cores = (cpu_time - self._cpu_time) / passed
        held = memory / GIBIBYTE
        self._cpu_time, self._last = cpu_time, now
        self._bill(passed, cores, held)
        if len(self.cpu_samples) < MOST_SAMPLES:
            self.cpu_samples.append(cores)
            self.memory_samples.append(held)

    def finish(self) -> None:
        """Bill what has passed since the last measurement at the request: nobody measured it."""
        now = time.monotonic()
        self._bill(now - self._last, 0.0, 0.0)
        self._last = now

    def cost(self) -> Cost:
        """What this much costs at the prices the API tells."""
        return self._amount.cost()

    def facts(self) -> dict[str, Any]:
        """The totals in a form for a record."""
        return {"seconds": self.seconds, **asdict(self._amount)}

    def restore(self, facts: dict[str, Any]) -> None:
        """Take the totals of a record."""
        amounts = {name: value for name, value in facts.items() if name != "seconds"}
        self.seconds, self._amount = float(facts["seconds"]), made(Amount, amounts)

    def _bill(self, seconds: float, cores: float, gib: float) -> None:
        cores, gib = max(cores, self._request.cores), max(gib, self._request.memory_mib / 1024)
        self.seconds += seconds
        self._amount.add(seconds, cores, gib, self._gpu)
        if self._ledger:
            self._ledger.bill(self._app_id, time.time(), seconds, cores, gib, self._gpu)
