"""The client's signs of life, and the end of a run that has no client any more."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

_LONGEST_CHECK = 5.0  # seconds between two looks at the sign of life
_ACK_CHECK = 0.01  # seconds between the first two looks for the acknowledgement
_LONGEST_ACK_CHECK = 0.5
ABANDONED = 75  # the exit code of an abandoned run: EX_TEMPFAIL of sysexits.h


class Liveness:
    """Watches `DIRECTORY/alive`; ends the process when it has not changed for `grace` seconds."""

    def __init__(self, directory: Path, grace: float | None, abandon: Callable[[], None]) -> None:
        self._alive = directory / "alive"
        self._ack = directory / "ack"
        self._grace = grace
        self._abandon = abandon
        self._check = threading.Event()
        threading.Thread(target=self._watch, name="zenml_modal_nb liveness", daemon=True).start()

    def wait_for_acknowledgement(self) -> None:
        """Return once the client has the result; if it never says so, the watch ends the process."""
        pause = _ACK_CHECK
        while not self._ack.exists():
            self._check.wait(pause)
            # A client that is gone for long should not cost a core's hundredth until it is back.
            pause = min(pause * 1.02, _LONGEST_ACK_CHECK)

    def _watch(self) -> None:
        if self._grace is None:
            return
        # Clocks of two machines differ: what counts is when the file was seen to change, by this clock.
        sign, seen = self._sign(), time.monotonic()
        while time.monotonic() - seen <= self._grace:
            self._check.wait(min(self._grace / 8, _LONGEST_CHECK))
            latest = self._sign()
            if latest != sign:
                sign, seen = latest, time.monotonic()
        self._abandon()
        os._exit(ABANDONED)

    def _sign(self) -> int | None:
        try:
            return self._alive.stat().st_mtime_ns
        except FileNotFoundError:  # the client has not written it yet
            return None
