"""A state directory: one server's files, one server at a time."""

from __future__ import annotations

import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from zenml_modal_nb.emulator import record
from zenml_modal_nb.emulator.record import LifecycleError, ServerRecord

if TYPE_CHECKING:
    from filelock import FileLock

STATE_DIR_VARIABLE = "ZENML_MODAL_NB_STATE_DIR"
HANDOVER_SECONDS = 30.0  # longer than a server takes to end its sandboxes, see `daemon.CLOSE_SECONDS`
MAX_LOG_BYTES = 1024 * 1024


class HeldError(LifecycleError):
    """Another server has the state directory; `holder` is its record, None if it left none."""

    def __init__(self, message: str, holder: ServerRecord | None) -> None:
        super().__init__(message)
        self.holder = holder


@dataclass(frozen=True)
class StateDirectory:
    """Where one server keeps its files; made by the command line and `running()`, read by the lifecycle.

    `path` is absolute. The server holds `server.lock` as long as it lives: if that is free, whatever
    `server.json` says is out of date, even if its process number is in use again. Raises LifecycleError where
    there is no POSIX.
    """

    path: Path

    def __post_init__(self) -> None:
        if (
            os.name != "posix"
        ):  # process groups, file modes and flock are what keeps sandboxes apart and ends them
            raise LifecycleError("The local Modal API needs Linux, macOS or the Windows Subsystem for Linux.")

    @property
    def record_path(self) -> Path:
        """The file with the running server's address and token, mode 0600."""
        return self.path / "server.json"

    @property
    def log_path(self) -> Path:
        """What the server's process prints."""
        return self.path / "server.log"

    @property
    def lock_path(self) -> Path:
        """Held by the server's process as long as it lives."""
        return self.path / "server.lock"

    def find(self) -> ServerRecord | None:
        """The server that runs here and answers, or None."""
        found = record.read(self.record_path)
        return found if found and found.answers() else None

    def prepare(self) -> None:
        """Make the directory, private to its user.

        A directory that exists is taken only if it is private already, or empty, or at our own default place, e.g.
        made anew by a server whose directory was removed: tightening, say, /tmp would lock others out. Raises
        LifecycleError.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            state = self.path.stat()
            if state.st_uid != os.getuid():
                raise LifecycleError(
                    f"The state directory {self.path} belongs to another user; choose your own."
                )
            if stat.S_IMODE(state.st_mode) & 0o077:
                if self.path != _own_place() and any(self.path.iterdir()):
                    raise LifecycleError(
                        f"The state directory {self.path} is open to others: choose another, or chmod 700 it."
                    )
                self.path.chmod(0o700)
        except OSError as error:
            raise LifecycleError(
                f"The state directory {self.path} cannot be used: {error.strerror}."
            ) from error

    def claim(self) -> FileLock:
        """Become the one server of this directory; waits for one that is just ending.

        Raises HeldError as soon as the present holder proves to be alive and well, else after
        `HANDOVER_SECONDS`.
        """
        from filelock import FileLock, Timeout

        lock = FileLock(self.lock_path, mode=0o600)
        deadline = time.monotonic() + HANDOVER_SECONDS
        patience = 0.0
        while True:
            try:
                lock.acquire(timeout=patience)
                return lock
            except Timeout:
                patience = 0.2
                if holder := self.find():
                    raise HeldError(f"A local Modal API already runs at {holder.url}.", holder) from None
                if time.monotonic() > deadline:
                    holder = record.read(self.record_path)
                    process = f"process {holder.pid}" if holder else "a process"
                    raise HeldError(
                        f"{self.path} is held by {process} that does not answer; end it.", holder
                    ) from None

    def open_log(self) -> int:
        """A descriptor to append to the log; an old log of more than `MAX_LOG_BYTES` is set aside first."""
        if self.log_path.exists() and self.log_path.stat().st_size > MAX_LOG_BYTES:
            self.log_path.replace(self.log_path.with_suffix(".log.1"))
        return os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def default_path() -> Path:
    """`ZENML_MODAL_NB_STATE_DIR` if set, else where the operating system keeps a user's state."""
    if named := os.environ.get(STATE_DIR_VARIABLE):
        return Path(named)
    return _own_place()


def _own_place() -> Path:
    from platformdirs import user_state_dir

    return Path(user_state_dir("zenml-modal-nb", appauthor=False)) / "emulator"
