"""Names of blocks that this kernel has named before."""

from __future__ import annotations

import hashlib
import os
import threading

import pytest

from zenml_modal_nb.packaging.recognition import Recognized
from zenml_modal_nb.runner import digests


def test_names_are_the_same_the_first_time_and_every_other() -> None:
    content = bytearray(os.urandom(2 * digests.BLOCK + 5000) + bytes(3000))
    for place in (None, 0, digests.BLOCK, len(content) - 1):
        if place is not None:
            content[place] ^= 1
        view = memoryview(content)
        for pieces in ([view], [view], [view[:100], view[100:]]):
            assert Recognized().of_blocks(pieces) == digests.of_blocks([content])


def test_contents_that_differ_in_their_last_zeros_only_are_told_apart() -> None:
    short, long = bytes(digests.BLOCK + 1), bytes(digests.BLOCK + 2)
    assert Recognized().of_blocks([memoryview(short)]) == Recognized().of_blocks([memoryview(long)])
    assert Recognized().of_content([short]) != Recognized().of_content([long])


def test_what_has_not_changed_is_not_named_again(monkeypatch: pytest.MonkeyPatch) -> None:
    content = memoryview(os.urandom(digests.BLOCK + 5000))
    names = Recognized().of_blocks([content])
    taken: list[int] = []
    known = hashlib.sha256

    def sha256(*data: bytes) -> object:
        taken.append(len(data))
        return known(*data)

    monkeypatch.setattr(hashlib, "sha256", sha256)
    assert Recognized().of_blocks([content]) == names
    assert taken == []
    digests.of_blocks([content])
    assert len(taken) == 2


def test_what_changes_while_it_is_named_is_never_taken_for_something_else_later() -> None:
    content = bytearray(os.urandom(digests.BLOCK))
    over = threading.Event()

    def flip() -> None:
        while not over.wait(0.001):
            content[0] ^= 1

    thread = threading.Thread(target=flip)
    thread.start()
    held = []
    try:
        for place in range(1, 21):
            content[place] ^= 1
            Recognized().of_blocks([memoryview(content)])
            held.append(bytes(content))
    finally:
        over.set()
        thread.join()
    for before in held:
        for first in (before[0], before[0] ^ 1):
            now = bytes((first,)) + before[1:]
            assert Recognized().of_blocks([memoryview(now)]) == digests.of_blocks([now])
