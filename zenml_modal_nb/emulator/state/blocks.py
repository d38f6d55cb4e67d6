"""Contents by digest: the 8 MiB blocks of all volumes, each stored once."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import BinaryIO

from zenml_modal_nb.emulator.state.refusals import InvalidArgumentError, NotFoundError
from zenml_modal_nb.emulator.state.trees import File

BLOCK_SIZE = 8 * 1024 * 1024  # bytes; modal/_utils/blob_utils.py
PIECE = 256 * 1024  # bytes received, hashed and written at a time: they stay in the processor's cache
WORKERS = os.cpu_count() or 1  # blocks that are hashed at once
CLAIM_SECONDS = 600.0  # for which a block stays that somebody counts on, though no volume has it yet
CLAIMS_SWEPT = 10_000  # claims, at least, before those that are over are looked for


class Blocks:
    """Files named by the SHA-256 of what they hold; every method may be called from any thread.

    Who finds a block here, or puts it here, commits it to a volume only later: until then it is claimed.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._claims: dict[str, float] = {}
        self._sweep_at = CLAIMS_SWEPT
        self._lock = threading.Lock()
        self._held = threading.local()
        self._turns = threading.BoundedSemaphore(WORKERS)  # more at once would only take turns more often
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        (directory / "drafts").mkdir(exist_ok=True)

    def path(self, digest: str) -> Path:
        """Where the block lies, or would; InvalidArgumentError for anything but a digest."""
        if not re.fullmatch(r"[0-9a-f]{64}", digest):
            raise InvalidArgumentError("A block is named by its SHA-256 digest.")
        return self._directory / digest[:2] / digest

    def has(self, digest: str) -> bool:
        """Whether the block is here."""
        return self.path(digest).is_file()

    def claim(self, digests: Iterable[str]) -> None:
        """Keep these blocks for a while, whether or not they are here yet."""
        now = time.monotonic()
        with self._lock:
            self._claims.update(dict.fromkeys(digests, now))
            if len(self._claims) > self._sweep_at:
                self._claims = {key: at for key, at in self._claims.items() if now - at < CLAIM_SECONDS}
                self._sweep_at = max(CLAIMS_SWEPT, 2 * len(self._claims))

    def receive(self, digest: str, size: int, read: Callable[[memoryview], int]) -> None:
        """Take `size` bytes from `read`, which fills a buffer; InvalidArgumentError if they are others."""
        if size > BLOCK_SIZE:
            raise InvalidArgumentError(f"A block has at most {BLOCK_SIZE} bytes, not {size}.")
        hasher = hashlib.sha256()
        buffer = memoryview(bytearray(min(PIECE, max(size, 1))))
        draft = self._draft()
        try:
            with draft.open("wb") as file:
                remaining = size
                while remaining:
                    count = read(buffer[:remaining])
                    if not count:
                        raise InvalidArgumentError("The block is shorter than announced.")
                    with self._turns:
                        hasher.update(buffer[:count])
                        file.write(buffer[:count])
                    remaining -= count
            if hasher.hexdigest() != digest:
                raise InvalidArgumentError("The block does not match its SHA-256 digest.")
            self.claim([digest])
            self._adopt(draft, digest)
        finally:
            draft.unlink(missing_ok=True)

    def add(self, descriptor: int) -> tuple[int, tuple[str, ...]]:
        """Store an open file's content, as it is now; returns its size and the digests of its blocks."""
        offsets = range(0, os.fstat(descriptor).st_size, BLOCK_SIZE)
        store = partial(self._add_block, descriptor)
        if len(offsets) > 1:
            # Reading, hashing and writing let go of the interpreter: several at once use several processors.
            with ThreadPoolExecutor(min(WORKERS, len(offsets))) as pool:
                stored = list(pool.map(store, offsets))
        else:
            stored = list(map(store, offsets))
        return sum(size for size, _ in stored), tuple(digest for size, digest in stored if size)

    def _add_block(self, descriptor: int, offset: int) -> tuple[int, str]:
        data = self._read(descriptor, offset)
        kept = data[: len(bytes(data).rstrip(b"\0"))] if data and not data[-1] else data
        digest = hashlib.sha256(kept).hexdigest()
        self.claim([digest])
        if not self.has(digest):
            draft = self._draft()
            try:
                draft.write_bytes(kept)
                self._adopt(draft, digest)
            finally:
                draft.unlink(missing_ok=True)  # a disk that is full must not get fuller
        return len(data), digest

    def _read(self, descriptor: int, offset: int) -> memoryview:
        """A block of an open file, until this thread reads the next: new memory for each takes as long again."""
        if not hasattr(os, "preadv"):
            return memoryview(os.pread(descriptor, BLOCK_SIZE, offset))
        if not hasattr(self._held, "buffer"):
            self._held.buffer = bytearray(BLOCK_SIZE)
        return memoryview(self._held.buffer)[: os.preadv(descriptor, [self._held.buffer], offset)]

    def restore(self, file: File, target: Path | str, directory: int | None = None) -> None:
        """Write a file's content to `target`, which appears whole or not at all; raises NotFoundError.

        With the descriptor of a directory it is a name in there.
        """
        draft = self._draft()  # not beside it: there it could be committed
        try:
            with draft.open("wb", buffering=0) as written:
                for number, digest in enumerate(file.blocks):
                    written.seek(number * BLOCK_SIZE)
                    with self.open(digest) as block:
                        _copy(block, written)
                written.truncate(file.size)
            draft.chmod(file.mode & 0o777)
            os.utime(draft, (file.modified, file.modified))
            os.replace(draft, target, dst_dir_fd=directory)
        finally:
            draft.unlink(missing_ok=True)

    def open(self, digest: str) -> BinaryIO:
        """The block for reading; raises NotFoundError."""
        try:
            return self.path(digest).open("rb", buffering=0)
        except FileNotFoundError:
            raise NotFoundError(f"The block {digest} is missing.") from None

    def remove_unused(self, used: Collection[str]) -> None:
        """Remove every block but those in `used`: only while nothing is being uploaded."""
        for path in self._directory.glob("*/*"):
            if path.name not in used:
                path.unlink(missing_ok=True)

    def remove(self, digests: Iterable[str]) -> set[str]:
        """Remove these blocks, except those that are claimed, which are returned."""
        held, now = set(), time.monotonic()
        for digest in digests:
            with self._lock:  # nobody may claim it, and find it, between the question and the removal
                if now - self._claims.get(digest, -CLAIM_SECONDS) < CLAIM_SECONDS:
                    held.add(digest)
                else:
                    self.path(digest).unlink(missing_ok=True)
        return held

    def _draft(self) -> Path:
        return self._directory / "drafts" / secrets.token_hex(8)

    def _adopt(self, draft: Path, digest: str) -> None:
        target = self.path(digest)
        target.parent.mkdir(exist_ok=True)
        draft.replace(target)


def _copy(source: BinaryIO, target: BinaryIO) -> None:
    if hasattr(os, "copy_file_range"):  # in the kernel, on some file systems without copying at all
        while os.copy_file_range(source.fileno(), target.fileno(), BLOCK_SIZE):
            pass
        return
    while data := memoryview(source.read(PIECE)):
        while data:  # where a disk gets full, not all is written at once
            data = data[target.write(data) :]
