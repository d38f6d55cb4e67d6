"""The import of zenml, quiet and off the user's path: it takes seconds and changes the process.

zenml's import installs rich tracebacks, raises the root logger's level, prints its log to stdout, turns warnings into
log records and quietens TensorFlow. The user asked for none of it, so all that stays as it was, unless the user
imported zenml before us.
"""

from __future__ import annotations

import contextvars
import importlib
import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent import futures
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext, suppress

from zenml_modal_nb.pipelines.import_gate import ImportGate

_RICH_TRACEBACK = "ZENML_ENABLE_RICH_TRACEBACK"
_SET_BY_ZENML = "TF_CPP_MIN_LOG_LEVEL"

# Set while our own run is being compiled and recorded: what zenml logs then is not for the user's cell.
_silent: contextvars.ContextVar[bool] = contextvars.ContextVar("zenml_modal_nb_silent", default=False)

_lock = threading.Lock()
_warm: Future[None] | None = None


class _Silence(logging.Filter):
    """Keeps from a handler what is logged while our own run is recorded."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not _silent.get()


class _Chatter(_Silence):
    """Keeps from zenml's console handler, too, what would not be seen without it."""

    def __init__(self, imported_by_us: bool) -> None:
        super().__init__()
        self._imported_by_us = imported_by_us

    def filter(self, record: logging.LogRecord) -> bool:
        if not super().filter(record):
            return False
        if not self._imported_by_us or record.name.startswith("zenml"):
            return True
        # As logging's last resort: warnings that nobody else shows.
        return record.levelno >= logging.WARNING and not _is_handled(record.name)


def hush() -> None:
    """Let nothing that this thread logs from now on be seen, on handlers of the user's either."""
    _silent.set(True)
    for handler in (*logging.getLogger().handlers, logging.lastResort):
        if handler is not None and not any(isinstance(each, _Silence) for each in handler.filters):
            handler.addFilter(_Silence())


@contextmanager
def numbers_hushed() -> Iterator[None]:
    """Let numpy say nothing of what ZenML computes for its record, e.g. the mean of an array with `inf`."""
    errstate = getattr(sys.modules.get("numpy"), "errstate", None)
    with nullcontext() if errstate is None else errstate(all="ignore"):
        yield


def _is_handled(name: str) -> bool:
    """Whether a logger has a handler that is not zenml's, of its own or further up."""
    logger: logging.Logger | None = logging.getLogger(name)
    while logger is not None:
        if any(not type(handler).__module__.startswith("zenml") for handler in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False


def _nothing() -> None:
    pass


def begin(first: Callable[[], None] = _nothing) -> None:
    """Start warming up in the background, `first` before zenml; returns at once. What failed before is tried again."""
    global _warm
    with _lock:
        if _warm is None or (_warm.done() and _warm.exception() is not None):
            done: Future[None] = Future()
            _warm = done
            gate = ImportGate(lambda: _settle(done))
            name = "zenml-modal-nb-warmup"
            threading.Thread(target=_run, args=(done, gate, first), name=name, daemon=True).start()


def _settle(done: Future[None]) -> None:
    futures.wait([done])


def wait(given_up: Future[None] | None = None) -> None:
    """Return when zenml is imported and its local store is open, or `given_up` is done; raises what went wrong."""
    begin()
    assert _warm is not None
    if given_up is not None:
        futures.wait([_warm, given_up], return_when=futures.FIRST_COMPLETED)
        if given_up.done():
            return
    _warm.result()


def settle() -> None:
    """Return when a warm-up that has begun is over, however it ended; begins none."""
    with _lock:
        begun = _warm
    if begun is not None:
        futures.wait([begun])


def _run(done: Future[None], gate: ImportGate, first: Callable[[], None]) -> None:
    try:
        first()
        hush()
        import_quietly()
        _open_store()
        done.set_result(None)
    except BaseException as error:  # noqa: BLE001 - handed to whoever waits
        done.set_exception(error)
    finally:
        gate.open()


def import_quietly() -> None:
    """Import zenml and leave the process as it was."""
    imported_by_us = "zenml" not in sys.modules
    root = logging.getLogger()
    level, show_warning = root.level, warnings.showwarning
    given = {name: os.environ.get(name) for name in (_RICH_TRACEBACK, _SET_BY_ZENML)}
    if imported_by_us:
        os.environ[_RICH_TRACEBACK] = "false"
    try:
        import zenml  # noqa: F401
        from zenml.logger import ZenMLConsoleHandler
    finally:
        if imported_by_us:
            for name, value in given.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
    if imported_by_us and warnings.showwarning is not show_warning:
        logging.captureWarnings(False)
    if imported_by_us:
        logging.getLogger("zenml").setLevel(root.level)
        root.setLevel(level)
    for handler in root.handlers:
        if isinstance(handler, ZenMLConsoleHandler) and not any(
            isinstance(each, _Chatter) for each in handler.filters
        ):
            handler.addFilter(_Chatter(imported_by_us))


def _open_store() -> None:
    from zenml.client import Client
    from zenml.environment import Environment

    from zenml_modal_nb.pipelines import integrations, scope, stack

    scope.root_here()
    scope.remember_packages()
    integrations.remember()
    scope.remember_package_list()
    if stack.store_is_local():  # to load the extension must write nothing where others see it
        Client().active_stack_model  # noqa: B018 - the first look-up creates the default stack
        stack.own_stack()
    # With the first cell ZenML imports it, and Modal's SDK with it: 0.4 s.
    importlib.import_module("zenml_modal_nb.pipelines.operator")
    # RuntimeError: neither uv nor pip lists anything, which ZenML logs with each run.
    with suppress(RuntimeError):
        Environment.get_python_packages()
