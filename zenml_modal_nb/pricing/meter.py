"""The estimate of what a sandbox costs: per hour before it starts, in total while it runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from decimal import Decimal

from zenml_modal_nb.pricing.quote import quote
from zenml_modal_nb.pricing.rates import Rates

_SECONDS_PER_HOUR = Decimal(3600)


def hourly(
    gpu: str | None,
    cpu: float | None,
    memory_mib: float | None,
    region: str | None,
    rates: Rates,
) -> Decimal | None:
    """Return USD per hour for a request as it is sent to Modal, or None when the GPU has no known price.

    `gpu` is in Modal's notation, e.g. "A100:2"; `cpu` in physical cores. Raises `InvalidRequestError` for
    a GPU that Modal does not offer.
    """
    return quote(gpu, cpu, memory_mib, region, rates).hourly


class Meter:
    """Adds up the cost of one sandbox from its creation; made by `run`, read by it and by `Cost` events.

    `clock` returns seconds that only grow. The figure is an estimate: Modal bills per second on the larger of
    request and use, and `observe` is how use above the request becomes known.
    """

    def __init__(
        self,
        gpu: str | None,
        cpu: float | None,
        memory_mib: float | None,
        region: str | None,
        rates: Rates,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.hourly = hourly(gpu, cpu, memory_mib, region, rates)
        self._request = (gpu, cpu or 0.0, memory_mib or 0.0, region)
        self._rates = rates
        self._clock = clock
        self._current = self.hourly
        self._lock = threading.Lock()  # one thread observes, others ask
        self._settled = Decimal(0)  # USD up to `_since`
        self._since: float | None = None
        self._started: float | None = None
        self._stopped: float | None = None

    def start(self) -> None:
        """Begin to count: the sandbox is being created. A second call changes nothing."""
        if self._started is None:
            self._started = self._since = self._clock()

    def observe(self, cpu: float, memory_mib: float) -> None:
        """Count from now on what the sandbox really uses (cores, MiB) where that is above its request."""
        if self._since is None or self._stopped is not None:
            return
        gpu, requested_cpu, requested_memory, region = self._request
        current = hourly(gpu, max(cpu, requested_cpu), max(memory_mib, requested_memory), region, self._rates)
        with self._lock:
            now = self._clock()
            self._settled += self._running(now)
            self._since, self._current = now, current

    def stop(self) -> None:
        """Stop counting: the sandbox is gone. A second call changes nothing."""
        if self._stopped is None:
            self._stopped = self._clock()

    def elapsed(self, now: float | None = None) -> float:
        """Return the seconds from the start to `now` (the clock's reading if None) or to the stop."""
        return 0.0 if self._started is None else max(0.0, self._end(now) - self._started)

    def usd(self, now: float | None = None) -> Decimal | None:
        """Return the estimate in USD so far, or None when the GPU has no known price."""
        if self.hourly is None:
            return None
        with self._lock:
            return self._settled + self._running(self._end(now))

    def _end(self, now: float | None) -> float:
        moment = self._clock() if now is None else now
        return moment if self._stopped is None else min(moment, self._stopped)

    def _running(self, until: float) -> Decimal:
        if self._since is None or self._current is None:
            return Decimal(0)
        return self._current * Decimal(str(max(0.0, until - self._since))) / _SECONDS_PER_HOUR
