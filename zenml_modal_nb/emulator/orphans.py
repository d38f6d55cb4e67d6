"""Processes whose parents have ended: the server takes them as its own children, and waits for them when they end.

Without that they become children of the system's first process, and zombies of it where it waits for nobody, as in
many containers. Linux only; elsewhere every call here does nothing, and the first process waits for them.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress

import psutil

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
RETRY_SECONDS = 0.002
END_SECONDS = 2.0  # how long killed processes may take to be gone

_awaited: set[int] = set()  # what asyncio waits for: whose exit codes are wanted
_launches = 0  # processes that may exist and are not yet in `_awaited`
_adopting = False


def adopt() -> None:
    """Take the orphans of all that this process starts from now on, until it ends.

    For a server's own process only: an exit code is lost to whoever waits in it for a child in another session, unless
    that is started in `launching`.
    """
    global _adopting
    if sys.platform == "linux":
        _adopting = ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


@contextmanager
def launching() -> Iterator[None]:
    """Start a process whose exit code is wanted inside of this, and say its number by `expect` before its end."""
    global _launches
    _launches += 1
    try:
        yield
    finally:
        _launches -= 1


def expect(pid: int) -> None:
    """Leave this process to whoever waits for it."""
    _awaited.add(pid)


def ended(pid: int) -> None:
    """It has been waited for; its number may be given to another."""
    _awaited.discard(pid)


def collect() -> None:
    """Wait for the orphans that have ended."""
    if not _adopting or not _some_child_has_ended():
        return
    for child in _foreign_children():
        with suppress(psutil.Error, ProcessLookupError):
            if child.status() == psutil.STATUS_ZOMBIE and not _is_wanted(child.pid):
                _wait_for(child.pid)


def collect_these(pids: Collection[int], deadline: float) -> None:
    """Wait for those of these killed processes that are orphans, until `deadline` (monotonic)."""
    left = set(pids) if _adopting else set()
    while left := {pid for pid in left if pid not in _awaited and not _is_gone(pid)}:
        if time.monotonic() > deadline:
            return
        time.sleep(RETRY_SECONDS)


def end() -> None:
    """Kill what is left of sandboxes and of what they started: this process ends, too."""
    if not _adopting:
        return
    deadline = time.monotonic() + END_SECONDS
    while (left := list(_foreign_children())) and time.monotonic() < deadline:
        for child in left:
            with suppress(psutil.Error):
                child.kill()
            _wait_for(child.pid)
        # Once more: those that they had started are our children now.
        time.sleep(RETRY_SECONDS)


def _foreign_children() -> Iterator[psutil.Process]:
    for child in psutil.Process().children():
        with suppress(ProcessLookupError):
            if os.getsid(child.pid) != os.getsid(0):
                yield child


def _some_child_has_ended() -> bool:
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:  # there is none
        return False


def _is_wanted(pid: int) -> bool:
    session = os.getsid(pid)
    # What the server starts for itself, e.g. uv, is in its own session; what it starts for others leads one.
    return session == os.getsid(0) or (session == pid and (pid in _awaited or _launches > 0))


def _is_gone(pid: int) -> bool:
    """Whether an ended process has been waited for, now or before, or is not ours to wait for."""
    try:
        return not _is_wanted(pid) and _wait_for(pid)
    except ProcessLookupError:
        return True


def _wait_for(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG) != (0, 0)
    except ChildProcessError:
        return True
