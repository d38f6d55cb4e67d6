"""What a commit reads of a mount's directory, whatever is made of that directory meanwhile."""

from __future__ import annotations

import ctypes
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from zenml_modal_nb.emulator.state.blocks import Blocks
from zenml_modal_nb.emulator.state.checkouts import Checkout
from zenml_modal_nb.emulator.state.refusals import ConflictError

NOBODY = 65534


class Disturbed(Blocks):
    """A store where something happens just before it reads the first file."""

    def __init__(self, directory: Path, happens: Callable[[], object]) -> None:
        super().__init__(directory)
        self._happens: list[Callable[[], object]] = [happens]

    def add(self, descriptor: int) -> tuple[int, tuple[str, ...]]:
        while self._happens:
            self._happens.pop()()
        return super().add(descriptor)


@pytest.mark.parametrize("first", ["d/a", "z"])
def test_a_directory_that_becomes_a_link_during_a_commit_leads_nowhere(tmp_path: Path, first: str) -> None:
    mount, outside = tmp_path / "mount", tmp_path / "outside"
    outside.mkdir()
    (outside / "f").write_text("the machine's")

    def swap() -> None:
        (mount / "d").rename(tmp_path / "before")
        (mount / "d").symlink_to(outside)

    blocks = Disturbed(tmp_path / "blocks", swap)
    checkout = Checkout(mount, blocks, None)
    checkout.lay_out({}, set())
    (mount / "d").mkdir()
    (mount / "d" / "f").write_text("own")
    (mount / first).write_text("first")
    written = checkout.look().written
    assert first in written
    for name in written:
        with blocks.open(written[name].blocks[0]) as block:
            assert block.read() in (b"own", b"first")


def test_a_mount_below_a_link_is_no_mount_any_more(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path / "a" / "mount", Blocks(tmp_path / "blocks"), None)
    checkout.lay_out({}, set())
    (tmp_path / "a").rename(tmp_path / "b")
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b" / "mount" / "f").touch()
    with pytest.raises(ConflictError, match="is a link, or below one"):
        checkout.look()
    with pytest.raises(ConflictError, match="is a link, or below one"):
        checkout.lay_out({}, {"made"})
    assert not (tmp_path / "b" / "mount" / "made").exists()


def test_a_mount_that_was_removed_whole_was_emptied_and_is_laid_out_again(tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    checkout = Checkout(mount, Blocks(tmp_path / "blocks"), None)
    checkout.lay_out({}, set())
    (mount / "f").write_text("f")
    written = checkout.look()
    checkout.settle(written)
    shutil.rmtree(mount)
    emptied = checkout.look()
    assert emptied.removed == {"f"}
    checkout.settle(emptied)
    checkout.lay_out(written.written, {"d"})
    assert (mount / "f").read_text() == "f"
    assert (mount / "d").is_dir()


@contextmanager
def ordinary() -> Iterator[Path]:
    """A directory of a user without root's rights, and those rights; only files are asked for, by this thread."""
    with tempfile.TemporaryDirectory() as name:
        if os.geteuid():
            yield Path(name)
            return
        os.chown(name, NOBODY, NOBODY)
        libc = ctypes.CDLL(None)
        libc.setfsuid(NOBODY)
        try:
            yield Path(name)
        finally:
            libc.setfsuid(0)


@pytest.mark.skipif(
    sys.platform != "linux" and not os.geteuid(), reason="root's rights are Linux's to lay down"
)
@pytest.mark.parametrize("mode", [0o400, 0o100, 0o000])
def test_a_directory_that_is_closed_to_its_user_keeps_nothing_else_back(
    mode: int, caplog: pytest.LogCaptureFixture
) -> None:
    with ordinary() as directory, caplog.at_level(logging.WARNING):
        mount = directory / "mount"
        checkout = Checkout(mount, Blocks(directory / "blocks"), None)
        checkout.lay_out({}, set())
        (mount / "closed").mkdir()
        (mount / "closed" / "inner").write_text("inner")
        checkout.settle(checkout.look())
        (mount / "other").write_text("other")
        (mount / "closed").chmod(mode)
        changes = checkout.look()
        (mount / "closed").chmod(0o700)
    assert set(changes.written) == {"other"}
    assert not changes.removed
    assert "closed" in caplog.text
