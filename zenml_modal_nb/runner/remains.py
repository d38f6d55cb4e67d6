"""What is left of things that are over or belong to one process: files, pools, futures, progress bars, loggers.

A file that is closed, a pool that was shut down and a future that is done can be made again as they ended; what is
still at work cannot travel, and says so.
"""

from __future__ import annotations

import importlib
import io
import logging
import os
import pickle
import sys
from collections.abc import Iterator
from typing import Any

from zenml_modal_nb.runner import logs

_FILES = (io.TextIOWrapper, io.BufferedReader, io.BufferedWriter, io.BufferedRandom, io.FileIO)


def reduce(obj: Any) -> Any:
    """Return how one of these is pickled, NotImplemented for anything else; raises PicklingError if it is at work."""
    kind = type(obj)
    if kind in _FILES:
        return _reduce_file(obj)
    if kind is logging.Logger:
        return logging.getLogger, (obj.name,), logs.take(obj), None, None, logs.put
    module = kind.__module__
    if module.startswith("concurrent.futures"):
        return _reduce_concurrent(obj)
    if module == "IPython.core.display_functions" and kind.__name__ == "DisplayHandle":
        return make_display_handle, (obj.display_id,)
    return _reduce_bar(obj)


def make_closed_file(
    mode: str, buffering: int, name: Any, encoding: str | None = None, errors: str | None = None
) -> Any:
    """Return a file as `close` has left it: it tells its name and mode, and refuses everything else."""
    # No file of that name has to exist here.
    there = mode.replace("x", "w")
    file: Any = open(os.devnull, there, buffering, encoding=encoding, errors=errors)  # noqa: SIM115 # closed below
    buffer = getattr(file, "buffer", file)
    getattr(buffer, "raw", buffer).name = name
    if encoding is not None:
        file.mode = mode
    file.close()
    return file


def make_shut_down(kind: Any, workers: int) -> Any:
    """Return a pool that takes no more work."""
    pool = kind(workers)
    pool.shutdown()
    return pool


def make_done(state: str, outcome: Any) -> Any:
    """Return a future that is done: cancelled, with a result or with an exception."""
    from concurrent.futures import Future

    future: Future[Any] = Future()
    if state == "cancelled":
        future.cancel()
        future.set_running_or_notify_cancel()
    elif state == "exception":
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
    return future


def make_bar_stream(stream: Any) -> Any:
    """Return what a progress bar writes to, a stream that it does not fail with."""
    return importlib.import_module("tqdm.utils").DisableOnWriteError(stream, tqdm_instance=_Nobody())


def make_display_handle(display_id: str) -> Any:
    """Return the handle of a display, by whatever is `IPython.display` here."""
    return importlib.import_module("IPython.display").DisplayHandle(display_id)


class _Nobody:
    """Stands for the bar, which only has to be told of streams that fail."""


def _reduce_file(file: Any) -> Any:
    for name in ("__stdin__", "__stdout__", "__stderr__"):
        if file is getattr(sys, name):
            return getattr, (sys, name)
    if not file.closed:
        raise pickle.PicklingError(
            "an open file belongs to the machine that has opened it; open it in the cell, or close it"
        )
    buffering = 0 if isinstance(file, io.FileIO) else -1
    text = (file.encoding, file.errors) if isinstance(file, io.TextIOWrapper) else ()
    return make_closed_file, (file.mode, buffering, file.name, *text)


def _reduce_concurrent(obj: Any) -> Any:
    name = type(obj).__name__
    if name == "Future":
        if not obj.done():
            raise pickle.PicklingError("a future that is not done; wait for its result in the cell")
        if obj.cancelled():
            return make_done, ("cancelled", None)
        error = obj.exception()
        return make_done, (("result", obj.result()) if error is None else ("exception", error))
    if name in ("ThreadPoolExecutor", "ProcessPoolExecutor"):
        if not (obj._shutdown if name == "ThreadPoolExecutor" else obj._shutdown_thread):
            raise pickle.PicklingError("a pool that takes work; shut it down in the cell")
        return make_shut_down, (type(obj), obj._max_workers)
    return NotImplemented


def _reduce_bar(obj: Any) -> Any:
    # Asked of every object: two look-ups, and no walk over the classes. A module may be half imported.
    if issubclass(type(obj), getattr(sys.modules.get("tqdm.utils"), "DisableOnWriteError", ())):
        return make_bar_stream, (obj._wrapped,)
    if not issubclass(type(obj), getattr(sys.modules.get("tqdm.std"), "tqdm", ())):
        return NotImplemented
    # What prints its states refers to the bar itself by a weak reference.
    state = {name: value for name, value in vars(obj).items() if name != "sp"}
    if state.get("disable") and isinstance(state.get("iterable"), Iterator):
        state["iterable"] = iter(())  # the bar has used it up, and it may be a generator
    return make_bar, (type(obj),), state, None, None, set_bar_state


def make_bar(kind: Any) -> Any:
    """Return a progress bar without its state; one of widgets, which live in one notebook only, becomes one of text."""
    tqdm: Any = importlib.import_module("tqdm.std").tqdm
    return tqdm.__new__(tqdm if _is_of_widgets(kind) else kind)


def set_bar_state(bar: Any, state: dict[str, Any]) -> None:
    """Complete a progress bar."""
    vars(bar).update(state)
    if "fp" in state:  # a bar that is disabled has none
        bar.sp = bar.status_printer(bar.fp)


def _is_of_widgets(kind: type) -> bool:
    notebook = sys.modules.get("tqdm.notebook")
    return notebook is not None and issubclass(kind, notebook.tqdm_notebook)
