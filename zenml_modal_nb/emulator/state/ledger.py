"""The ledger: what the sandboxes of each app have used in each hour, kept when they are long forgotten."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

from zenml_modal_nb.emulator.state.records import Records
from zenml_modal_nb.emulator.state.resources import RATES, Gpu, rate_key
from zenml_modal_nb.emulator.state.shapes import made

HOUR = 3600
KEPT_HOURS = 24 * 366


@dataclass(frozen=True)
class Cost:
    """USD by what is billed: `CPU`, `Memory`, and the GPU type if there is one."""

    by_resource: dict[str, Decimal] = field(default_factory=dict)

    @property
    def total(self) -> Decimal:
        """All of it."""
        return sum(self.by_resource.values(), Decimal(0))


@dataclass
class Amount:
    """What is billed: core-seconds, GiB-seconds, and seconds of each GPU type times their number."""

    cpu_core_seconds: float = 0.0
    memory_gib_seconds: float = 0.0
    gpu_seconds: dict[str, float] = field(default_factory=dict)

    def add(self, seconds: float, cores: float, gib: float, gpu: Gpu | None) -> None:
        """Bill this many seconds of so much."""
        self.cpu_core_seconds += seconds * cores
        self.memory_gib_seconds += seconds * gib
        if gpu:
            self.gpu_seconds[gpu.type] = self.gpu_seconds.get(gpu.type, 0.0) + seconds * gpu.count

    def cost(self) -> Cost:
        """What this much costs at the prices the API tells."""
        hour = Decimal(HOUR)
        found = {
            "CPU": Decimal(self.cpu_core_seconds) / hour * Decimal(RATES["cpu_hour_cost_sandbox"]),
            "Memory": Decimal(self.memory_gib_seconds) / hour * Decimal(RATES["mem_gib_hour_cost_sandbox"]),
        }
        for kind, seconds in self.gpu_seconds.items():
            found[kind] = Decimal(seconds) / hour * Decimal(RATES[rate_key(kind)])
        return Cost({name: value.quantize(Decimal("1e-9")) for name, value in found.items()})


@dataclass(frozen=True)
class _Entry:
    """What an amount of a record is of."""

    hour: int
    app_id: str


class Ledger:
    """All that was ever billed (for a year), by app and hour; written down by `save`, from time to time."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._unsaved: set[tuple[int, str]] = set()
        oldest = int(time.time()) // HOUR - KEPT_HOURS
        self._amounts: dict[tuple[int, str], Amount] = {}
        for key, (hour, app_id, amount) in records.restore(_entry):
            if hour < oldest:
                records.remove(key)
            else:
                self._amounts[hour, app_id] = amount

    def bill(
        self, app_id: str, end: float, seconds: float, cores: float, gib: float, gpu: Gpu | None
    ) -> None:
        """Book what was used in the `seconds` before `end` (seconds since 1970), hour by hour."""
        while seconds > 0:
            hour = math.ceil(end / HOUR) - 1
            part = min(seconds, end - hour * HOUR)
            self._amounts.setdefault((hour, app_id), Amount()).add(part, cores, gib, gpu)
            self._unsaved.add((hour, app_id))
            end, seconds = float(hour * HOUR), seconds - part

    @property
    def saved(self) -> bool:
        """Whether all that has been booked is written down."""
        return not self._unsaved

    def save(self) -> None:
        """Write down what has been booked since the last time."""
        for hour, app_id in self._unsaved:
            facts = {"hour": hour, "app_id": app_id, **asdict(self._amounts[hour, app_id])}
            self._records.write(f"{app_id}-{hour}", facts)
        self._unsaved.clear()

    def between(self, begin: float, end: float) -> Iterator[tuple[int, str, Amount]]:
        """(Its beginning in seconds since 1970, app, amount) of every hour of every app within these times."""
        for (hour, app_id), amount in sorted(self._amounts.items(), key=lambda item: item[0]):
            if begin < (hour + 1) * HOUR and hour * HOUR < end:
                yield hour * HOUR, app_id, amount


def _entry(facts: dict[str, Any]) -> tuple[int, str, Amount]:
    entry = made(_Entry, {name: facts.get(name) for name in ("hour", "app_id")})
    amount = made(Amount, {name: value for name, value in facts.items() if name not in ("hour", "app_id")})
    return entry.hour, entry.app_id, amount
