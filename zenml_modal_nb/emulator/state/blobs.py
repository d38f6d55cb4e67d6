"""Blobs: large contents on their way between a client and the server, by an ID of their own."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable
from pathlib import Path

from zenml_modal_nb.emulator import identifiers
from zenml_modal_nb.emulator.state.refusals import InvalidArgumentError, NotFoundError

PIECE = 1024 * 1024  # bytes read and hashed at a time


class Blobs:
    """Files named by blob IDs; every method may be called from any thread."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def sweep(self) -> None:
        """Remove what an earlier server was given: its addresses are void."""
        for path in self._directory.iterdir():
            path.unlink()

    def create(self) -> str:
        """A new ID, under which a content can be put."""
        return identifiers.random_id("bl")

    def path(self, blob_id: str) -> Path:
        """The file with the content; raises NotFoundError."""
        path = self._place(blob_id)
        if not path.is_file():
            raise NotFoundError(f"No blob has the ID {blob_id!r}.")
        return path

    def receive(self, blob_id: str, size: int, read: Callable[[memoryview], int]) -> str:
        """Take `size` bytes from `read`, which fills a buffer; returns their MD5, as an S3 store does."""
        hasher = hashlib.md5(usedforsecurity=False)
        buffer = memoryview(bytearray(min(PIECE, max(size, 1))))
        target = self._place(blob_id)
        draft = target.with_name(f".{secrets.token_hex(8)}")
        try:
            with draft.open("wb") as file:
                remaining = size
                while remaining:
                    count = read(buffer[:remaining])
                    if not count:
                        raise InvalidArgumentError("The blob is shorter than announced.")
                    hasher.update(buffer[:count])
                    file.write(buffer[:count])
                    remaining -= count
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
        return hasher.hexdigest()

    def keep(self, data: bytes) -> str:
        """Make a blob of `data`; returns its ID."""
        blob_id = self.create()
        target = self._place(blob_id)
        try:
            target.write_bytes(data)
        except OSError:
            target.unlink(missing_ok=True)
            raise
        return blob_id

    def _place(self, blob_id: str) -> Path:
        if not re.fullmatch(r"bl-[0-9A-Za-z]{22}", blob_id):
            raise InvalidArgumentError(f"{blob_id!r} is not the ID of a blob.")
        return self._directory / blob_id
