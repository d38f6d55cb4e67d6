"""The most that a sandbox was seen to use; filled by its follower, recorded by the step operator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MIB = 1 << 20


@dataclass(slots=True)
class Usage:
    """Maxima so far, 0 where nothing is known: cores, MiB, and of the busiest GPU percent and MiB."""

    cpu: float = 0.0
    memory_mib: float = 0.0
    gpu_percent: int = 0
    gpu_memory_mib: int = 0

    def take(self, fields: Mapping[str, Any]) -> tuple[float, float]:
        """Take a `resources` frame's fields; returns cores and MiB in use now."""
        cpu, memory_mib = float(fields["cpu"]), fields["memory"] / _MIB
        self.cpu, self.memory_mib = max(self.cpu, cpu), max(self.memory_mib, memory_mib)
        for percent, used in fields.get("gpu", ()):
            self.gpu_percent, self.gpu_memory_mib = (
                max(self.gpu_percent, percent),
                max(self.gpu_memory_mib, used),
            )
        return cpu, memory_mib
