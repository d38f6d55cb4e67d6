"""What tells whether a large content is the one that was meant: the SHA-256 of its blocks, taken side by side."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

BLOCK = 8 << 20  # bytes; Modal's own block of volumes of version 2, so a block is one file of one block there

Piece = bytes | bytearray | memoryview


def of_blocks(pieces: Iterable[Piece]) -> list[str]:
    """Return the SHA-256, in hexadecimal, of each block of the pieces' joined bytes, which are not copied.

    Several threads share the work: hashing leaves Python to the others.
    """
    blocks = list(split(pieces))
    if len(blocks) < 2:
        return list(map(_digest, blocks))
    with ThreadPoolExecutor(min(len(blocks), os.cpu_count() or 1)) as threads:
        return list(threads.map(_digest, blocks))


def of_content(pieces: Iterable[Piece]) -> str:
    """Return the digest of a content: its own SHA-256, of more than one block the SHA-256 of theirs."""
    found = of_blocks(pieces)
    return joined(found) if found else hashlib.sha256().hexdigest()


class Seen:
    """Remembers the blocks of large pieces while a cell is packaged: memory that is met twice is hashed once."""

    def __init__(self) -> None:
        self._found: dict[tuple[int, int], tuple[Piece, list[str]]] = {}

    def of_blocks(self, pieces: Sequence[Piece]) -> list[str]:
        """Return what `of_blocks` does."""
        piece = pieces[0]
        if len(pieces) != 1 or not isinstance(piece, memoryview):
            return of_blocks(pieces)
        # A buffer's owner is one array: a view of its memory is another one. The piece keeps it alive, and the ID its.
        key = id(piece.obj), piece.nbytes
        if key not in self._found:
            self._found[key] = piece, of_blocks(pieces)
        return self._found[key][1]

    def of_content(self, pieces: Iterable[Piece]) -> str:
        """Return a digest that tells contents apart; another one than the function's."""
        digest = hashlib.sha256()
        for piece in pieces:
            if memoryview(piece).nbytes < BLOCK:
                digest.update(piece)
            else:
                digest.update("".join(self.of_blocks([piece])).encode())
        return digest.hexdigest()


def joined(blocks: Sequence[str]) -> str:
    """Return the digest of the content that has these blocks."""
    if len(blocks) == 1:
        return blocks[0]
    return hashlib.sha256("".join(blocks).encode()).hexdigest()


def split(pieces: Iterable[Piece]) -> Iterator[list[memoryview]]:
    """Cut the pieces' joined bytes into blocks, each as parts of the pieces."""
    block: list[memoryview] = []
    room = BLOCK
    for piece in pieces:
        rest = memoryview(piece).cast("B")
        while rest.nbytes:
            part, rest = rest[:room], rest[room:]
            block.append(part)
            room -= part.nbytes
            if not room:
                yield block
                block, room = [], BLOCK
    if block:
        yield block


def _digest(block: Sequence[memoryview]) -> str:
    found = hashlib.sha256()
    for part in block:
        found.update(part)
    return found.hexdigest()
