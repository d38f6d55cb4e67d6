"""Memory for large contents: what is read from a file or a network goes straight into it."""

from __future__ import annotations

import mmap
from contextlib import suppress

# Bytes from which memory comes from the kernel as it is wanted: a bytearray is filled with zeros first, by one thread,
# which takes as long as reading a file into it does.
_LARGE = 4 << 20

Memory = bytearray | mmap.mmap


def fresh(size: int) -> Memory:
    """Return writable memory of `size` bytes, all zero, freed with the last reference to it; raises MemoryError."""
    if size < _LARGE or not hasattr(mmap, "MAP_PRIVATE"):
        return bytearray(size)
    try:
        # Private: a forked process must not write into this one's.
        memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except (OSError, OverflowError) as error:
        raise MemoryError(f"{size} bytes of memory cannot be had: {error}") from error
    if hasattr(mmap, "MADV_HUGEPAGE"):
        # A fault for 2 MiB, not for 4 KiB, takes a fifth of the time.
        with suppress(OSError):  # a kernel without them
            memory.madvise(mmap.MADV_HUGEPAGE)
    return memory
