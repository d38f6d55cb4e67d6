"""A terminal that a user types into: what a program asks is read, and answered when it is asked."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

PATIENCE = 60.0  # seconds without any output after which a test gives up
# A terminal of its own, not only as descriptors: `getpass` opens /dev/tty.
_OWN_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A Python program in a terminal of its own; used as a context."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], directory: Path) -> None:
        self._end, theirs = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _OWN_TERMINAL, sys.executable, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**environment, "TERM": "dumb", "COLUMNS": "300"},
            cwd=directory,
            start_new_session=True,
        )
        os.close(theirs)
        self.text = ""  # all that it has shown

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._end)

    def answer(self, question: str, words: str) -> None:
        """Type a line once `question` is shown."""
        self._wait_for(question)
        os.write(self._end, f"{words}\n".encode())

    def interrupt(self, text: str) -> None:
        """Press Ctrl-C once `text` is shown."""
        self._wait_for(text)
        os.write(self._end, b"\x03")

    def _wait_for(self, text: str) -> None:
        while text not in self.text:
            assert self._read(), f"ended without {text!r}: {self.text}"

    def wait(self) -> int:
        """Read to the end; returns the exit code."""
        while self._read():
            pass
        return self._process.wait(PATIENCE)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._end], [], [], PATIENCE)
        assert ready, f"nothing came for {PATIENCE} s; last: {self.text[-2000:]}"
        try:
            piece = os.read(self._end, 65536)
        except OSError:  # Linux's way of telling that nobody has the other end any more
            return False
        self.text += _COLOUR.sub("", piece.decode("utf-8", "replace"))
        return bool(piece)
