"""One background event loop for everything that waits on Modal, so that no user thread has to."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    # A daemon: an interpreter that exits must not wait for a sandbox that nobody follows any more.
    threading.Thread(target=loop.run_forever, name="zenml-modal-nb-loop", daemon=True).start()
    return loop


def start(work: Coroutine[Any, Any, T]) -> Future[T]:
    """Run a coroutine on the background loop; cancelling the future cancels the coroutine."""
    # In a context of its own: connections that the SDK keeps open would keep the caller's, and all it refers to.
    return contextvars.Context().run(asyncio.run_coroutine_threadsafe, work, _loop())


def call(function: Callable[[], None]) -> None:
    """Call a function on the background loop's thread, after everything that was started before."""
    _loop().call_soon_threadsafe(function)
