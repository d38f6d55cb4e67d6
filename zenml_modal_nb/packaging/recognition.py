"""Blocks of large values that this kernel has named before, recognised without computing their names again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

from zenml_modal_nb.runner import digests

_MOST = 1 << 20  # blocks whose names are remembered: 8 TiB, or 200 MB of names

_EDGE = 32  # bytes at either end of a block

_names: dict[bytes, str] = {}  # by BLAKE3, for the kernel's life
_edges: set[bytes] = set()  # of the blocks that have a name: one with others is new


class Recognized(digests.Seen):
    """Names blocks as `digests.Seen` does; an unchanged array in a third of the time.

    A name is a SHA-256, as Modal wants it. BLAKE3 is as safe and several times as fast, so it tells whether the name of
    these very bytes is known already.
    """

    def name(self, pieces: Sequence[digests.Piece]) -> list[str]:
        """Return the name of each block."""
        tell = _blake3()
        if tell is None:
            return super().name(pieces)
        if len(_names) > _MOST:
            _names.clear()
            _edges.clear()
        return digests.side_by_side(lambda block: _name(block, tell), list(digests.split(pieces)))


def _name(block: Sequence[memoryview], tell: Callable[[Sequence[memoryview]], bytes]) -> str:
    edges = bytes(block[0][:_EDGE]) + bytes(block[-1][-_EDGE:])
    name = _names.get(tell(block)) if edges in _edges else None
    if name is None:
        # Both of the same bytes, whatever writes to the array meanwhile: a name remembered for others would put their
        # block in this one's place, today or in an hour.
        held = [memoryview(b"".join(block))]
        name = _names[tell(held)] = digests.of_block(held)
        _edges.add(edges)
    return name


@cache
def _blake3() -> Callable[[Sequence[memoryview]], bytes] | None:
    try:
        from blake3 import blake3
    except ImportError:  # a platform that it is not built for, e.g. a processor without its instructions
        return None

    def tell(block: Sequence[memoryview]) -> bytes:
        found = blake3()
        for part in block:
            found.update(part)
        return found.digest()

    return tell
