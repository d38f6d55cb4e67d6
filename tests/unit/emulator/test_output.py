"""A stream read backwards has the same lines as read forwards."""

from __future__ import annotations

import asyncio
import random
import resource
from pathlib import Path

import pytest

from zenml_modal_nb.emulator.state.output import BLOCK, Output, Reading, RecentBytes


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


async def test_a_stream_that_is_in_its_file_already_stays_as_it_is(tmp_path: Path) -> None:
    """Its record may not fit on the disk when the stream does: then all of it is put away once more."""
    output = Output(RecentBytes(5))
    output.append(b"0123456789")
    output.end()
    for _ in range(2):
        assert await asyncio.wait_for(output.move(tmp_path / "stream"), 10) == 5
    assert (tmp_path / "stream").read_bytes() == b"56789"
    assert [data async for _, data in output.chunks(5, Reading())] == [b"56789"]


async def test_a_stream_that_does_not_fit_into_a_file_leaves_none_and_stays_readable(tmp_path: Path) -> None:
    output = Output(RecentBytes(100_000))
    output.append(b"content" * 10_000)
    output.end()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            await output.move(tmp_path / "stream")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (tmp_path / "stream").exists()
    await output.move(tmp_path / "stream")
    assert (tmp_path / "stream").read_bytes() == b"content" * 10_000
