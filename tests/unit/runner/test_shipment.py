"""Segments of a part that wait in a volume, on the disk that a sandbox sees."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from zenml_modal_nb.runner import digests
from zenml_modal_nb.runner.shipment import Segment, Shipment

CONTENT = os.urandom(digests.BLOCK) + os.urandom(1000) + bytes(4000)


@pytest.fixture
def segment(tmp_path: Path) -> Segment:
    """A segment of two blocks, of which the second ends with zeros that its file leaves out."""
    names = digests.of_blocks([CONTENT])
    for name, block in zip(names, digests.split([CONTENT]), strict=True):
        (tmp_path / name).write_bytes(b"".join(digests.stripped(block)))
    assert (tmp_path / names[1]).stat().st_size < 1001
    return Segment(len(CONTENT), tuple(names), tmp_path)


@pytest.mark.parametrize("begun", [False, True])
def test_a_segment_is_taken_whole_and_can_be_written_to(segment: Segment, begun: bool) -> None:
    shipment = Shipment({64: segment})
    if begun:
        shipment.begin()
    memory = shipment.take(64)
    assert bytes(memory) == CONTENT
    memory[0:3] = b"new"
    assert bytes(memory[:3]) == b"new"


@pytest.mark.parametrize("begun", [False, True])
def test_a_segment_is_put_where_it_belongs_in_a_file(segment: Segment, begun: bool, tmp_path: Path) -> None:
    path = tmp_path / "part"
    path.write_bytes(b"abc" + bytes(len(CONTENT)) + b"de")
    shipment = Shipment({3: segment})
    if begun:
        shipment.begin()
    shipment.fill(path)
    assert path.read_bytes() == b"abc" + CONTENT + b"de"


def test_what_a_segment_holds_is_compared_with_its_files(segment: Segment) -> None:
    assert segment.is_same(memoryview(CONTENT))
    assert not segment.is_same(memoryview(CONTENT + b"\0"))
    for place in (0, digests.BLOCK - 1, digests.BLOCK + 999, len(CONTENT) - 1):
        changed = bytearray(CONTENT)
        changed[place] ^= 1
        assert not segment.is_same(memoryview(changed)), place


@pytest.mark.parametrize("damage", ["gone", "other bytes", "longer", "shorter"])
def test_files_that_cannot_be_trusted_any_more_do_not_make_a_change(segment: Segment, damage: str) -> None:
    for name in segment.blocks:
        path = segment.place / name
        held = path.read_bytes()
        if damage == "gone":
            path.unlink()
        else:
            other = {"other bytes": b"?" + held[1:], "longer": held + b"?", "shorter": held[:-1]}[damage]
            path.write_bytes(other)
    assert segment.is_same(memoryview(CONTENT))
    changed = bytearray(CONTENT)
    changed[5] ^= 1
    assert not segment.is_same(memoryview(changed))
