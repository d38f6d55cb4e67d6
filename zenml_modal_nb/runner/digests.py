"""What tells whether a large content is the one that was meant: the SHA-256 of its blocks, taken side by side.

The names of blocks in a volume leave out the zeros at a block's end, as Modal's own do: a content is told by its size
and by the names of its blocks.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

BLOCK = 8 << 20  # bytes; Modal's own block of volumes of version 2, so a block is one file of one block there

Piece = bytes | bytearray | memoryview


def of_blocks(pieces: Iterable[Piece]) -> list[str]:
    """Return the name of each block of the pieces' joined bytes, which are not copied; see `of_block`."""
    return side_by_side(of_block, list(split(pieces)))


def of_content(pieces: Iterable[Piece]) -> str:
    """Return the digest of a content: its own SHA-256, of more than one block the SHA-256 of theirs."""
    return joined(side_by_side(of_parts, list(split(pieces))))


class Seen:
    """Remembers the blocks of large pieces while a cell is packaged: memory that is met twice is hashed once."""

    def __init__(self) -> None:
        self._found: dict[tuple[int, int], tuple[Piece, list[str]]] = {}

    def of_blocks(self, pieces: Sequence[Piece]) -> list[str]:
        """Return what `of_blocks` does."""
        piece = pieces[0]
        if len(pieces) != 1 or not isinstance(piece, memoryview):
            return self.name(pieces)
        # A buffer's owner is one array: a view of its memory is another one. The piece keeps it alive, and the ID its.
        key = id(piece.obj), piece.nbytes
        if key not in self._found:
            self._found[key] = piece, self.name(pieces)
        return self._found[key][1]

    def name(self, pieces: Sequence[Piece]) -> list[str]:
        """Compute what `of_blocks` returns."""
        return of_blocks(pieces)

    def of_content(self, pieces: Iterable[Piece]) -> str:
        """Return a digest that tells contents apart; another one than the function's."""
        digest = hashlib.sha256()
        for piece in pieces:
            if memoryview(piece).nbytes < BLOCK:
                digest.update(piece)
            else:
                digest.update(f"{memoryview(piece).nbytes} {' '.join(self.of_blocks([piece]))}".encode())
        return digest.hexdigest()


def joined(blocks: Sequence[str]) -> str:
    """Return the digest of the content whose blocks have these SHA-256."""
    return blocks[0] if len(blocks) == 1 else hashlib.sha256("".join(blocks).encode()).hexdigest()


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


def of_block(block: Sequence[Piece]) -> str:
    """Return the name of a block in a volume: the SHA-256 of its joined parts without the zeros at their end."""
    return of_parts(stripped(block))


def of_parts(parts: Sequence[Piece]) -> str:
    """Return the SHA-256, in hexadecimal, of some joined parts."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part)
    return found.hexdigest()


def stripped(block: Sequence[Piece]) -> list[memoryview]:
    """Return a block's parts without the zeros at their end, of which nothing is copied."""
    parts = [memoryview(part).cast("B") for part in block]
    while parts:
        end = _end(parts[-1])
        if end:
            return [*parts[:-1], parts[-1][:end]]
        parts.pop()
    return []


def side_by_side(
    digest: Callable[[Sequence[memoryview]], str], blocks: Sequence[list[memoryview]]
) -> list[str]:
    """Digest in several threads: hashing leaves Python to the others."""
    if len(blocks) < 2:
        return list(map(digest, blocks))
    with ThreadPoolExecutor(min(len(blocks), os.cpu_count() or 1)) as threads:
        return list(threads.map(digest, blocks))


def _end(part: memoryview) -> int:
    end, step = part.nbytes, 64
    while end and not part[end - 1]:
        begin = max(0, end - step)
        end = begin + len(bytes(part[begin:end]).rstrip(b"\0"))
        step = min(2 * step, 1 << 20)
    return end
