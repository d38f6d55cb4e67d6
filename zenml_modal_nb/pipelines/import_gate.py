"""Imports of zenml on the main thread wait for the warm-up's, whichever cell or module they stand in.

Two threads that import one package at the same time see its circular imports half made, and the kernel would have to
be restarted: `%load_ext zenml_modal_nb` and `from zenml.client import Client` may stand in one cell.
"""

from __future__ import annotations

import builtins
import dis
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

_IMPORT_NAME, _EXTENDED_ARG = dis.opmap["IMPORT_NAME"], dis.opmap["EXTENDED_ARG"]


class ImportGate:
    """Stands in front of `import` while a warm-up runs; made and opened by it."""

    def __init__(self, wait: Callable[[], None]) -> None:
        self._wait = wait  # returns when the warm-up has ended
        self._import: Callable[..., Any] = builtins.__import__
        self._open = False
        # Here, before the importing thread holds a module's lock: a finder would be asked too late, and not at all
        # for what is imported already while the warm-up still opens the store.
        builtins.__import__ = self

    @property
    def __call__(self) -> Callable[..., Any]:
        """What an `import` is about to call.

        A function of ours in that place would be a frame below everything that is imported: in the user's
        tracebacks, and as the place that a module's warnings name. This one has returned by then.
        """
        if self._open:
            return self._import
        name = _imported_by(sys._getframe(1))
        if name is None:  # a call of `__import__`: its arguments are not told before it is made
            return self._called
        self._hold(name)
        return self._import

    def _called(self, name: str, *arguments: Any, **named: Any) -> Any:
        self._hold(name)
        return self._import(name, *arguments, **named)

    def _hold(self, name: str) -> None:
        # Cells run on the main thread; a thread of zenml's own must not wait for whom it works for.
        if name.partition(".")[0] == "zenml" and threading.current_thread() is threading.main_thread():
            self._wait()

    def open(self) -> None:
        """Let everything through, and get out of the way unless somebody stands in front of us by now."""
        self._open = True
        if builtins.__import__ is self:
            builtins.__import__ = self._import


def _imported_by(frame: FrameType) -> str | None:
    """Return the module that a frame's `import` statement names, None if it is not at one."""
    code, at = frame.f_code.co_code, frame.f_lasti
    if at < 0 or code[at] != _IMPORT_NAME:
        return None
    index, shift = code[at + 1], 8
    while at >= 2 and code[at - 2] == _EXTENDED_ARG:  # an index over 255: its higher bytes stand before
        at -= 2
        index |= code[at + 1] << shift
        shift += 8
    names = frame.f_code.co_names
    return names[index] if index < len(names) else None
