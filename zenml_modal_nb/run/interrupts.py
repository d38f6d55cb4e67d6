"""Interrupts as something to act on, rather than an exception in the middle of whatever runs."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def interrupts_to(act: Callable[[], None]) -> Iterator[None]:
    """Call `act` for every interrupt of this thread; it runs between any two instructions, so it must be reentrant."""
    if threading.current_thread() is not threading.main_thread():  # no other thread is ever interrupted
        yield
        return
    before = signal.signal(signal.SIGINT, lambda number, frame: act())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
