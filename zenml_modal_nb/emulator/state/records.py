"""Small facts that must outlive the server's process, one file each."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Records:
    """JSON objects by key, in files that only the user can read.

    A kernel keeps identifiers of apps and images for hours; a server that ended when idle and was started
    again still has to know them.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def write(self, key: str, value: dict[str, Any]) -> None:
        """Keep `value` under `key`, replacing what was there; a reader never sees half of it."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._directory / f".{secrets.token_hex(6)}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(value, file)
        draft.rename(self._directory / f"{key}.json")

    def read(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every (key, value); what a server was writing when it was killed is removed."""
        if self._directory.is_dir():
            for draft in self._directory.glob(".*"):
                draft.unlink()
            for path in sorted(self._directory.glob("*.json")):
                yield path.stem, json.loads(path.read_text(encoding="utf-8"))

    def remove(self, key: str) -> None:
        """Forget `key`, if it is there."""
        (self._directory / f"{key}.json").unlink(missing_ok=True)
