"""Small facts that must outlive the server's process, one file each."""

from __future__ import annotations

import json
import logging
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

Restored = TypeVar("Restored")
DAMAGED = ".damaged"  # the ending of a file that was set aside

# Whatever a damaged file holds: no JSON, nothing but brackets, other fields, other types, a number without end.
_DAMAGE = (
    ValueError, RecursionError, TypeError, LookupError, AttributeError, OverflowError,
    IsADirectoryError, PermissionError,
)  # fmt: skip

log = logging.getLogger(__name__)


class Records:
    """JSON objects by key, in files that only the user can read.

    A kernel keeps identifiers of apps and images for hours; a server that ended when idle and was started
    again still has to know them. With `synced` a record also survives the machine: it is on the disk when `write`
    returns, which takes some milliseconds.
    """

    def __init__(self, directory: Path, *, synced: bool = True) -> None:
        self._directory = directory
        self._synced = synced

    def write(self, key: str, value: dict[str, Any]) -> None:
        """Keep `value` under `key`, replacing what was there; a reader never sees half of it."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._directory / f".{secrets.token_hex(6)}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(value, file)
                if self._synced:
                    file.flush()
                    os.fsync(descriptor)
            draft.rename(self._directory / f"{key}.json")
        except BaseException:
            draft.unlink(missing_ok=True)  # a disk that is full must not get fuller
            raise
        if self._synced:
            _sync(self._directory)

    def restore(self, make: Callable[[dict[str, Any]], Restored]) -> Iterator[tuple[str, Restored]]:
        """Every (key, what `make` makes of its value).

        What a server was writing when it was killed is removed. A record that cannot be read is set aside and
        logged: one damaged file must not keep the server from starting.
        """
        if self._directory.is_dir():
            for draft in self._directory.glob(".*"):
                draft.unlink()
            for path in sorted(self._directory.glob("*.json")):
                try:
                    restored = make(json.loads(path.read_text(encoding="utf-8")))
                except _DAMAGE as error:
                    aside = path.with_name(path.name + DAMAGED)
                    path.rename(aside)
                    log.warning("a damaged record was set aside as %s: %r", aside, error)
                    continue
                yield path.stem, restored

    @property
    def damaged(self) -> list[str]:
        """The files that were set aside, ever, and are still there: mended and given their name back, they count."""
        return sorted(str(path) for path in self._directory.glob(f"*{DAMAGED}"))

    def remove(self, key: str) -> None:
        """Forget `key`, if it is there."""
        (self._directory / f"{key}.json").unlink(missing_ok=True)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
