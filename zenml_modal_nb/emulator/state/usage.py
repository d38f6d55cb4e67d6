"""What a sandbox has used, and what Modal would bill for it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from zenml_modal_nb.emulator.state.resources import RATES, Gpu, Request, rate_key

GIBIBYTE = 1024**3
MOST_SAMPLES = 4096  # kept for the percentiles


@dataclass(frozen=True)
class Cost:
    """USD by what is billed: `CPU`, `Memory`, and the GPU type if there is one."""

    by_resource: dict[str, Decimal] = field(default_factory=dict)

    @property
    def total(self) -> Decimal:
        """All of it."""
        return sum(self.by_resource.values(), Decimal(0))


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
        self.cpu_core_seconds = 0.0
        self.memory_gib_seconds = 0.0
        self.cpu_samples: list[float] = []
        self.memory_samples: list[float] = []

    def note(self, cpu_time: float, memory: int) -> None:
        """Take a measurement: CPU seconds of all processes since their start, and bytes they hold now."""
        now = time.monotonic()
        passed = now - self._last
        if passed <= 0:
            return
        # Less than before: a child has ended and took its time with it.
        cores = max(0.0, cpu_time - self._cpu_time) / passed
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
        hour = Decimal(3600)
        found = {
            "CPU": Decimal(self.cpu_core_seconds) / hour * Decimal(RATES["cpu_hour_cost_sandbox"]),
            "Memory": Decimal(self.memory_gib_seconds) / hour * Decimal(RATES["mem_gib_hour_cost_sandbox"]),
        }
        if self._gpu:
            price = Decimal(RATES[rate_key(self._gpu.type)])
            found[self._gpu.type] = Decimal(self.seconds) * self._gpu.count / hour * price
        return Cost({name: value.quantize(Decimal("1e-9")) for name, value in found.items()})

    def facts(self) -> dict[str, Any]:
        """The totals in a form for a record."""
        return {
            "seconds": self.seconds,
            "cpu_core_seconds": self.cpu_core_seconds,
            "memory_gib_seconds": self.memory_gib_seconds,
        }

    def restore(self, facts: dict[str, Any]) -> None:
        """Take the totals of a record."""
        self.seconds = facts["seconds"]
        self.cpu_core_seconds = facts["cpu_core_seconds"]
        self.memory_gib_seconds = facts["memory_gib_seconds"]

    def _bill(self, seconds: float, cores: float, gib: float) -> None:
        self.seconds += seconds
        self.cpu_core_seconds += seconds * max(cores, self._request.cores)
        self.memory_gib_seconds += seconds * max(gib, self._request.memory_mib / 1024)
