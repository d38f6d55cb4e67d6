"""Starting, finding and ending a server's process; nothing here runs inside it.

Imported by every `start`, mostly to find a server that runs already, so the imports that cost time (psutil,
filelock, the server itself) happen where they are needed.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zenml_modal_nb.emulator.directory import HeldError, StateDirectory
from zenml_modal_nb.emulator.options import ServeOptions
from zenml_modal_nb.emulator.record import LifecycleError, ServerRecord, package_version

if TYPE_CHECKING:
    import subprocess

    import psutil

READY = b"ready\n"
START_SECONDS = 60.0  # a server's imports on a cold disk, plus a predecessor that is just ending
END_SECONDS = 25.0  # a little more than `daemon.CLOSE_SECONDS`


@dataclass(frozen=True)
class Running:
    """Where `start` leads: a server, `fresh` if started now, and a `notice` the user should read."""

    record: ServerRecord
    fresh: bool
    notice: str | None = None


def start(options: ServeOptions) -> Running:
    """The user's server: the one that runs, or a new one, detached from this process.

    Two calls at once lead to one server. A server of another version of this package, or whose sandboxes run
    with another interpreter, is replaced if no sandbox of its own runs. Raises LifecycleError, also when that one
    does not end.
    """
    found = options.directory.find()
    if found and _fits(found, options):
        return _joined(found, options)
    options.directory.prepare()

    from filelock import FileLock

    with FileLock(options.directory.path / "start.lock", mode=0o600):
        notice = None
        if found := options.directory.find():
            if _fits(found, options):
                return _joined(found, options)
            difference = _difference(found, options)
            if not _retire(found, options.directory):
                return Running(found, False, f"{difference}; it is used, since sandboxes run in it.")
            notice = f"{difference}; it was replaced."
        process = launch(options)
        import threading

        # Reaps the server should it end before we do; the thread keeps nobody waiting.
        threading.Thread(target=process.wait, daemon=True).start()
        if not (found := options.directory.find()):
            raise LifecycleError(
                f"The local Modal API ended right after its start; see {options.directory.log_path}."
            )
        return Running(found, found.pid == process.pid, notice)


def stop(directory: StateDirectory) -> ServerRecord | None:
    """End the server of `directory` with its sandboxes and return what it was; None if there was none."""
    if not directory.lock_path.exists():
        return None
    try:
        lock = directory.claim()
    except HeldError as held:
        if held.holder is None:
            raise
        end(held.holder.pid)
        return held.holder
    with lock:
        directory.record_path.unlink(missing_ok=True)
    return None


def launch(
    options: ServeOptions, *, lifeline: bool = False, temporary: bool = False
) -> subprocess.Popen[bytes]:
    """Start a server's process in a session of its own and return when it answers.

    With `lifeline` it ends with the standard input it is given, the returned process's `stdin`; with
    `temporary` it removes its state directory at the end. The token is made by the new process and reaches
    others through its record only. Raises LifecycleError with the end of the log.
    """
    import selectors
    import subprocess

    ready, child_end = os.pipe()
    log = options.directory.open_log()
    try:
        process = subprocess.Popen(
            # -P: with the state directory as its working directory, nothing in there can pose as a module.
            [sys.executable, "-P", "-m", "zenml_modal_nb.emulator", "serve", *options.arguments()]
            + ["--ready-fd", str(child_end)]
            + (["--lifeline"] if lifeline else [])
            + (["--temporary"] if temporary else []),
            stdin=subprocess.PIPE if lifeline else subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=options.directory.path,
            start_new_session=True,
            pass_fds=(child_end,),
        )
    finally:
        os.close(log)
        os.close(child_end)
    with open(ready, "rb") as pipe, selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        in_time = bool(selector.select(START_SECONDS))
        said = pipe.read() if in_time else b""
    if said == READY:
        return process
    process.kill()
    process.communicate()
    raise LifecycleError(said.decode().strip() or _failure(options, in_time=in_time))


def end(pid: int) -> None:
    """End the server with process number `pid`, wait for it, and kill what it should leave behind."""
    import psutil

    try:
        process = psutil.Process(pid)
        family = process.children(recursive=True)
        process.terminate()
    except psutil.NoSuchProcess:
        return
    if not _wait(process, END_SECONDS):
        process.kill()
        _wait(process, END_SECONDS)
    for survivor in family:
        with suppress(psutil.NoSuchProcess):
            survivor.kill()


def _joined(found: ServerRecord, options: ServeOptions) -> Running:
    notice = (
        "The local Modal API runs already: the options given hold for a new one." if options.tuned else None
    )
    return Running(found, False, notice)


def _fits(found: ServerRecord, options: ServeOptions) -> bool:
    return found.serves(options.python, chosen=options.chosen_python is not None)


def _difference(found: ServerRecord, options: ServeOptions) -> str:
    if found.version != package_version():
        return f"The local Modal API at {found.url} is version {found.version}, not {package_version()}"
    return f"The local Modal API at {found.url} runs sandboxes with {found.python}, not with {options.python}"


def _retire(found: ServerRecord, directory: StateDirectory) -> bool:
    """Ask `found` to end and wait for it; False if it has sandboxes to look after.

    An idle server may have something to finish, e.g. the environment of its first sandbox. Raises LifecycleError when
    it neither ends nor refuses to.
    """
    import psutil

    if found.active:
        return False
    try:
        process = psutil.Process(found.pid)
        # The server decides: a sandbox may have started since it wrote its record.
        process.send_signal(signal.SIGUSR1)
    except psutil.NoSuchProcess:
        return True
    deadline = time.monotonic() + END_SECONDS
    while time.monotonic() < deadline:
        if _wait(process, 0.1):
            return True
        if (present := directory.find()) and present.active:  # how it says no
            return False
    raise LifecycleError(
        f"The local Modal API at {found.url}, process {found.pid}, does not end to make room for another. End it: "
        "zenml-modal-nb emulator stop"
    )


def _wait(process: psutil.Process, seconds: float) -> bool:
    """Wait until `process` has ended; False if it has not after `seconds`."""
    import psutil

    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            process.wait(0.05)
        except psutil.TimeoutExpired:
            # In a container whose first process reaps nothing, a zombie is as gone as it will ever be.
            with suppress(psutil.NoSuchProcess):
                if process.status() != psutil.STATUS_ZOMBIE:
                    continue
        return True
    return False


def _failure(options: ServeOptions, *, in_time: bool) -> str:
    what = "ended while it started" if in_time else f"was not ready after {START_SECONDS:.0f} s"
    tail = options.directory.log_path.read_text(encoding="utf-8", errors="replace").splitlines()[-12:]
    return "\n".join([f"The local Modal API {what}. The end of {options.directory.log_path}:", *tail])
