"""What a running server says about itself, in a file that only its user can read."""

from __future__ import annotations

import json
import os
import socket
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CONNECT_SECONDS = 1.0
MAX_RECORD_BYTES = 65536


class LifecycleError(Exception):
    """A server cannot be started, found or ended; the message says what to do."""


@dataclass(frozen=True)
class ServerRecord:
    """One running server; written by its own process (`daemon`), read by whoever wants to talk to it.

    `started` is ISO 8601, UTC. `python` is the interpreter sandboxes run with, `python_chosen` whether the
    user named it rather than the interpreter that started the server. `active` counts running sandboxes, at
    most a second old. `images` is as in `settings.ServerSettings`.
    """

    url: str
    token_id: str
    token_secret: str = field(repr=False)
    pid: int
    started: str
    version: str
    python: str
    python_chosen: bool
    active: int
    images: str = "host"

    def serves(self, python: str, *, chosen: bool) -> bool:
        """Whether a caller who wants sandboxes to run with `python` should use this server."""
        same_python = self.python == python or (self.python_chosen and not chosen)
        return self.version == package_version() and same_python

    def answers(self) -> bool:
        """Whether the process lives and its port accepts connections."""
        try:
            os.kill(self.pid, 0)
        except (
            ProcessLookupError,
            PermissionError,
        ):  # the latter: the number is another user's process by now
            return False
        address = urlsplit(self.url)
        try:
            socket.create_connection((address.hostname, address.port or 0), CONNECT_SECONDS).close()
        except OSError:
            return False
        return True


def package_version() -> str:
    """The version of the package this module is part of.

    Not `from zenml_modal_nb import __version__`: the package's front door leads to the magics, and the
    emulator imports nothing of the other rooms.
    """
    package = sys.modules[__name__.partition(".")[0]]
    version: str = package.__version__
    return version


def read(path: Path) -> ServerRecord | None:
    """The record in `path`; None if there is none, it is damaged, or others could have written it."""
    try:
        with path.open("rb") as file:
            state = os.fstat(file.fileno())
            if state.st_uid != os.getuid() or state.st_mode & 0o077:
                return None
            fields: Any = json.loads(file.read(MAX_RECORD_BYTES))
    except (OSError, ValueError):  # whatever the reason, nobody can use it
        return None
    return _parse(fields)


def write(path: Path, record: ServerRecord) -> None:
    """Put `record` in `path`, whole or not at all, with mode 0600."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(record), file, indent=1)
    fresh.replace(path)


def _parse(fields: Any) -> ServerRecord | None:
    wanted = {"pid": int, "active": int, "python_chosen": bool} | dict.fromkeys(
        ("url", "token_id", "token_secret", "started", "version", "python"), str
    )
    if not isinstance(fields, dict) or any(
        type(fields.get(name)) is not kind for name, kind in wanted.items()
    ):
        return None
    record = ServerRecord(**{name: fields[name] for name in wanted}, images=str(fields.get("images", "host")))
    try:
        address = urlsplit(record.url)
        loopback = address.scheme == "http" and address.hostname in ("127.0.0.1", "::1") and address.port
    except ValueError:  # e.g. http://127.0.0.1:port
        return None
    # A number outside this range would mean a process group, or no process at all, to kill().
    return record if loopback and 1 < record.pid < 2**31 else None
