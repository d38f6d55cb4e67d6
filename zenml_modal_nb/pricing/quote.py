"""What a request costs per hour, with its parts."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from zenml_modal_nb.pricing import gpus
from zenml_modal_nb.pricing.rates import Rates

# The least that Modal reserves and bills, and its default (Modal's guide on CPU and memory, November 2026).
MINIMUM_CPU = Decimal("0.125")  # physical cores
MINIMUM_MEMORY_MIB = Decimal(128)

_MIB_PER_GIB = Decimal(1024)
_SECONDS_PER_HOUR = Decimal(3600)


@dataclass(frozen=True, slots=True)
class Quote:
    """USD per hour of each part, before the region's multiplier; read by the meter and the picker."""

    gpu: Decimal | None  # 0 without one, None when the type has no known price
    cpu: Decimal
    memory: Decimal
    multiplier: Decimal  # of the region, on everything; 1 without one

    @property
    def hourly(self) -> Decimal | None:
        """USD per hour, None when the GPU has no known price."""
        return None if self.gpu is None else (self.gpu + self.cpu + self.memory) * self.multiplier

    def total(self, seconds: int) -> Decimal | None:
        """Return USD for so many seconds."""
        return None if self.hourly is None else self.hourly * seconds / _SECONDS_PER_HOUR


def quote(
    gpu: str | None, cpu: float | None, memory_mib: float | None, region: str | None, rates: Rates
) -> Quote:
    """Price a request as it is sent to Modal.

    `gpu` is in Modal's notation, e.g. "A100:2"; `cpu` in physical cores. Raises `InvalidRequestError` for
    a GPU that Modal does not offer.
    """
    per_gpu: Decimal | None = Decimal(0)
    count = 0
    if gpu is not None:
        kind, count = gpus.split(gpu)
        per_gpu = rates.gpu_hour.get(kind.name)
    return Quote(
        gpu=None if per_gpu is None else per_gpu * count,
        cpu=max(Decimal(str(cpu or 0)), MINIMUM_CPU) * rates.cpu_hour,
        memory=max(Decimal(str(memory_mib or 0)), MINIMUM_MEMORY_MIB) / _MIB_PER_GIB * rates.memory_gib_hour,
        multiplier=rates.multiplier(region),
    )
