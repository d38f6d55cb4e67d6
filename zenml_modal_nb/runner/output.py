"""Descriptors 1 and 2 of the sandbox's process and of every process it starts."""

from __future__ import annotations

import fcntl
import io
import os
import selectors
import sys
import termios
import threading
import time
from pathlib import Path
from typing import Any, Literal

from zenml_modal_nb.runner.segments import LogCopy
from zenml_modal_nb.runner.stream import Stream

StreamName = Literal["stdout", "stderr"]

_READ_SIZE = 256 * 1024  # bytes
_PIPE_SIZE = 1024 * 1024  # bytes; Linux's limit for ordinary users
_BATCH_SIZE = 32 * 1024  # bytes
_BATCH_AFTER = 0.003  # seconds
_FLUSH_EVERY = 0.05  # seconds; Jupyter too shows what `print(".", end="")` prints


class _Channel:
    """One descriptor: a pipe in its place, its stream, and where the stream goes."""

    def __init__(self, number: int, name: StreamName, directory: Path, nonce: str, position: int) -> None:
        self._target = os.dup(number)
        self._log: LogCopy | None = LogCopy(directory, name)
        self._readable = True
        self.name = name
        self.source, sink = os.pipe()
        _enlarge(self.source)
        os.set_blocking(self.source, False)
        os.dup2(sink, number)
        os.close(sink)
        # The hello frame was the first of standard output.
        self.stream = Stream(self._write, nonce, position=position, sequence=1 if position else 0)

    def pump(self) -> int:
        """Take what the pipe has, up to one read's size, and return that; the caller holds the stream's lock."""
        try:
            data = os.read(self.source, _READ_SIZE)
        except BlockingIOError:  # another thread has just emptied it
            return 0
        self.stream.feed(data, time.monotonic())
        return len(data)

    def drain(self) -> None:
        """Take what is in the pipe at this moment; a child that goes on writing does not hold this up."""
        left = int.from_bytes(fcntl.ioctl(self.source, termios.FIONREAD, bytes(4)), sys.byteorder)
        while left > 0:
            data = os.read(self.source, min(left, _READ_SIZE))
            left -= len(data)
            self.stream.feed(data, time.monotonic())

    def _write(self, data: bytes) -> None:
        if self._log is not None:
            try:
                self._log.write(data)
            except (
                OSError
            ):  # e.g. the disk is full: the cell goes on, and what is read live is still complete
                self._log = None
        view = memoryview(data)
        while view and self._readable:
            try:
                view = view[os.write(self._target, view) :]
            except OSError:  # nobody reads this end any more; the cell goes on, and the log copy has it all
                self._readable = False


class Output:
    """The owner of both descriptors; made once by `program`, used by whatever sends a frame."""

    def __init__(self, directory: Path, nonce: str, position: int) -> None:
        self._process = os.getpid()
        self._channels: dict[StreamName, _Channel] = {}
        for text in (sys.stdout, sys.stderr):
            text.flush()
        self._channels["stdout"] = _Channel(1, "stdout", directory, nonce, position)
        self._channels["stderr"] = _Channel(2, "stderr", directory, nonce, 0)
        self._flushing = threading.Lock()
        self._texts = (_text(1), _text(2))
        sys.stdout, sys.stderr = self._texts
        # Libraries go back to these, e.g. after a redirection.
        vars(sys).update(__stdout__=self._texts[0], __stderr__=self._texts[1])
        threading.Thread(target=self._run, name="zenml_modal_nb output", daemon=True).start()
        threading.Thread(target=self._flush_always, name="zenml_modal_nb flush", daemon=True).start()
        os.register_at_fork(
            before=self._hold, after_in_parent=self._flushing.release, after_in_child=self._flushing.release
        )

    @property
    def here(self) -> bool:
        """Whether this process owns the descriptors: a fork of it must send no frames."""
        return os.getpid() == self._process

    def emit(
        self, kind: str, fields: dict[str, Any], name: StreamName = "stdout", *, last: bool = False
    ) -> None:
        """Send a frame after everything printed so far; raises `frames.FrameTooLongError`."""
        self.flush()
        channel = self._channels[name]
        with channel.stream.lock:
            channel.drain()
            channel.stream.frame(kind, fields, time.monotonic(), last=last)

    def emit_beside(self, kind: str, fields: dict[str, Any]) -> None:
        """Send a frame on standard output from beside the cell; nothing is flushed, which a fork could not bear."""
        stream = self._channels["stdout"].stream
        with stream.lock:
            stream.frame(kind, fields, time.monotonic())

    def position(self, name: StreamName) -> int:
        """Return how many bytes the stream has had so far."""
        stream = self._channels[name].stream
        with stream.lock:
            return stream.position

    def emit_within(self, seconds: float, kind: str, fields: dict[str, Any]) -> None:
        """Send the last frame of standard output, unless the stream is stuck for that long."""
        stream = self._channels["stdout"].stream
        if stream.lock.acquire(timeout=seconds):
            try:
                stream.frame(kind, fields, time.monotonic(), last=True)
            finally:
                stream.lock.release()

    def flush(self) -> None:
        """Flush what Python holds back, that of a file put in place of `sys.stdout` included."""
        for text in {*self._texts, sys.stdout, sys.stderr}:
            try:
                text.flush()
            except (
                AttributeError,
                ValueError,
                OSError,
            ):  # None, closed, or no file at all: the user's own doing
                continue

    def flush_c(self) -> None:
        """Flush what C code holds back, e.g. of `printf`; the C library does so only at an orderly exit."""
        # Whatever loads C code that prints has loaded ctypes too (numpy does); to load it here takes 10 ms.
        ctypes = sys.modules.get("ctypes")
        if ctypes is not None:
            ctypes.CDLL(None).fflush(None)

    def _run(self) -> None:
        selector = selectors.DefaultSelector()
        for channel in self._channels.values():
            selector.register(channel.source, selectors.EVENT_READ, channel)
        never = threading.Event()
        while True:
            dues = [due for channel in self._channels.values() if (due := channel.stream.due()) is not None]
            timeout = max(0.0, min(dues) - time.monotonic()) if dues else None
            taken = 0
            for key, _ in selector.select(timeout):
                with key.data.stream.lock:
                    taken += key.data.pump()
            for channel in self._channels.values():
                with channel.stream.lock:
                    channel.stream.tick(time.monotonic())
            if 0 < taken < _BATCH_SIZE:
                # Many short lines: to wake up for each would take the interpreter from the cell each time.
                never.wait(_BATCH_AFTER)

    def _flush_always(self) -> None:
        never = threading.Event()
        while not never.wait(_FLUSH_EVERY):
            with self._flushing:
                self.flush()

    def _hold(self) -> None:
        # A fork copies locked locks and unwritten text: neither may exist at that moment.
        self._flushing.acquire()
        self.flush()


def _text(descriptor: int) -> io.TextIOWrapper:
    """Make what the cell knows as `sys.stdout` or `sys.stderr`: an ordinary file, flushed at line ends."""
    raw = io.FileIO(descriptor, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", newline="", line_buffering=True
    )


def _enlarge(pipe: int) -> None:
    try:
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
    except OSError:  # a user over the system's limit of pipe memory: the usual size works too, more slowly
        return
