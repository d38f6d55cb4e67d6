"""A stream read backwards has the same lines as read forwards."""

from __future__ import annotations

import random

import pytest

from zenml_modal_nb.emulator.state.output import BLOCK, Output, RecentBytes


def forwards(pieces: list[bytes], lost: int, until: int) -> list[tuple[int, str]]:
    """The lines of these pieces, each a nanosecond later than the one before; the first `lost` bytes are gone."""
    stream = b"".join(pieces)
    ends, position = [], 0
    for piece in pieces:
        position += len(piece)
        ends.append(position)
    found, start = [], lost
    while start < len(stream):
        end = stream.find(b"\n", start) + 1 or len(stream)
        at = next(number for number, known in enumerate(ends) if known >= end)
        if at < until:
            found.append((at, stream[start:end].decode()))
        start = end
    return found


@pytest.mark.parametrize("seed", range(8))
async def test_lines_come_backwards_with_their_times(seed: int) -> None:
    dice = random.Random(seed)
    lengths = (0, 1, 3, 80, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK)
    text = b"".join(b"x" * dice.choice(lengths) + b"\n" * dice.randint(0, 2) for _ in range(12))
    cuts = sorted(dice.randrange(len(text)) for _ in range(20))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    limit = dice.choice((len(text), len(text) // 2, 10))
    kept = RecentBytes(limit)
    output = Output(kept)
    dates, position = [], 0
    for number, piece in enumerate(pieces):
        kept.append(piece)
        position += len(piece)
        dates.append((position, number))
    output.restore(dates)
    for until in (0, 7, len(pieces)):
        read = [line async for line in output.backwards(until)]
        expected = forwards(pieces, kept.start, until)
        # Of two pieces that end at one position the first is meant.
        assert [line for _, line in read] == [line for _, line in reversed(expected)]
        assert [at for at, _ in read] == [at for at, _ in reversed(expected)]
