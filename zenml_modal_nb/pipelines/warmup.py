"""The import of zenml, quiet and off the user's path: it takes seconds and changes the process.

zenml's import installs rich tracebacks, raises the root logger's level and prints its log to stdout. The user asked
for none of it, so tracebacks and the root logger stay as they were, unless the user imported zenml before us.
"""

from __future__ import annotations

import contextvars
import logging
import os
import sys
import threading
from concurrent import futures
from concurrent.futures import Future
from typing import Any

_RICH_TRACEBACK = "ZENML_ENABLE_RICH_TRACEBACK"

# Set while our own run is being compiled and recorded: what zenml logs then is not for the user's cell.
silent: contextvars.ContextVar[bool] = contextvars.ContextVar("zenml_modal_nb_silent", default=False)

_lock = threading.Lock()
_warm: Future[None] | None = None


class _Chatter(logging.Filter):
    """Keeps from zenml's console handler what a user did not ask for."""

    def __init__(self, imported_by_us: bool) -> None:
        super().__init__()
        self._imported_by_us = imported_by_us

    def filter(self, record: logging.LogRecord) -> bool:
        if silent.get():
            return False
        # Without zenml's handler nobody would have seen another library's INFO.
        return (
            not self._imported_by_us or record.name.startswith("zenml") or record.levelno >= logging.WARNING
        )


def begin() -> None:
    """Start warming up in the background; returns at once."""
    global _warm
    with _lock:
        if _warm is None:
            _warm = Future()
            threading.Thread(target=_run, args=(_warm,), name="zenml-modal-nb-warmup", daemon=True).start()


def wait() -> None:
    """Return when zenml is imported and its store is open; raises what went wrong."""
    begin()
    assert _warm is not None
    _warm.result()


def is_busy() -> bool:
    """Whether the warm-up has begun and not ended."""
    return _warm is not None and not _warm.done()


def settle() -> None:
    """Return when the warm-up has ended, however."""
    if _warm is not None:
        futures.wait([_warm])


def _run(done: Future[None]) -> None:
    try:
        silent.set(True)
        import_quietly()
        _open_store()
        done.set_result(None)
    except BaseException as error:  # noqa: BLE001 - handed to whoever waits
        done.set_exception(error)


def import_quietly() -> None:
    """Import zenml and leave the process as it was."""
    imported_by_us = "zenml" not in sys.modules
    root = logging.getLogger()
    level = root.level
    given = os.environ.get(_RICH_TRACEBACK)
    if imported_by_us:
        os.environ[_RICH_TRACEBACK] = "false"
    try:
        import zenml  # noqa: F401
        from zenml.logger import ZenMLConsoleHandler
    finally:
        if imported_by_us:
            if given is None:
                del os.environ[_RICH_TRACEBACK]
            else:
                os.environ[_RICH_TRACEBACK] = given
    if imported_by_us:
        logging.getLogger("zenml").setLevel(root.level)
        root.setLevel(level)
    for handler in root.handlers:
        if isinstance(handler, ZenMLConsoleHandler) and not any(
            isinstance(f, _Chatter) for f in handler.filters
        ):
            handler.addFilter(_Chatter(imported_by_us))


def _open_store() -> Any:
    from zenml.client import Client

    from zenml_modal_nb.pipelines import scope, stack

    scope.root_here()
    scope.remember_packages()
    client = Client()
    client.active_stack_model  # noqa: B018 - the first look-up creates the default stack
    return stack.own_stack()
