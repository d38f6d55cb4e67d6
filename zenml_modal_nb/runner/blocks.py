"""The layout of a values file: a head that tells the sizes of its blocks, and the blocks, aligned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

MAGIC = b"ZMNB1\n"
ALIGNMENT = 64  # bytes; what numpy and Arrow like best


class DamagedValuesError(ValueError):
    """A values file is cut short or is none."""


def head(sizes: list[int]) -> bytes:
    """Return the head of a file with blocks of these sizes."""
    return MAGIC + b"".join(number.to_bytes(8, "big") for number in [len(sizes), *sizes])


def head_size(view: memoryview) -> int:
    """Return the size of the head that a file in memory begins with."""
    return len(MAGIC) + 8 + 8 * int.from_bytes(view[len(MAGIC) : len(MAGIC) + 8], "big")


def read_sizes(file: BinaryIO, available: int) -> list[int]:
    """Read the head of a file of `available` bytes; raises DamagedValuesError."""
    start = file.read(len(MAGIC) + 8)
    if len(start) != len(MAGIC) + 8 or not start.startswith(MAGIC):
        raise DamagedValuesError("not a values file")
    number = int.from_bytes(start[len(MAGIC) :], "big")
    if not 0 < number <= available // 8:
        raise DamagedValuesError("a values file with an impossible number of blocks")
    table = file.read(8 * number)
    sizes = [int.from_bytes(table[at : at + 8], "big") for at in range(0, len(table), 8)]
    if len(sizes) != number or list(extents(sizes))[-1][1] != available:
        raise DamagedValuesError("a values file whose size is not what its head says")
    return sizes


def extents(sizes: list[int]) -> Iterator[tuple[int, int]]:
    """Say where each block begins and ends in the file."""
    position = len(MAGIC) + 8 + 8 * len(sizes)
    for size in sizes:
        start = aligned(position)
        position = start + size
        yield start, position


def aligned(position: int) -> int:
    """Return the next position at which a block may begin."""
    return -(-position // ALIGNMENT) * ALIGNMENT


def padding(position: int) -> bytes:
    """Return the bytes up to the next position at which a block may begin."""
    return bytes(aligned(position) - position)
