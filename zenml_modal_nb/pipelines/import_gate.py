"""Imports of zenml on the main thread wait for the warm-up's, whichever cell or module they stand in.

Two threads that import one package at the same time see its circular imports half made, and the kernel would have to
be restarted: `%load_ext zenml_modal_nb` and `from zenml.client import Client` may stand in one cell.
"""

from __future__ import annotations

import builtins
import threading
from collections.abc import Callable
from typing import Any


class ImportGate:
    """Stands in front of `import` while a warm-up runs; made and opened by it."""

    def __init__(self, wait: Callable[[], None]) -> None:
        self._wait = wait  # returns when the warm-up has ended
        self._import = builtins.__import__
        self._open = False
        # Here, before the importing thread holds a module's lock: a finder would be asked too late.
        builtins.__import__ = self._gated

    def _gated(
        self,
        name: str,
        globals: Any = None,  # noqa: A002 - the names are those of `__import__`
        locals: Any = None,  # noqa: A002
        fromlist: Any = (),
        level: int = 0,
    ) -> Any:
        ours = not self._open and level == 0 and name.partition(".")[0] == "zenml"
        # Cells run on the main thread; a thread of zenml's own must not wait for whom it works for.
        if ours and threading.current_thread() is threading.main_thread():
            self._wait()
        return self._import(name, globals, locals, fromlist, level)

    def open(self) -> None:
        """Let everything through, and get out of the way unless somebody stands in front of us by now."""
        self._open = True
        if builtins.__import__ == self._gated:
            builtins.__import__ = self._import
