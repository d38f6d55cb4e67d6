"""Large files in read-only mounts: not copied again, and never what somebody else has written into them."""

from __future__ import annotations

import hashlib
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import modal
import pytest
from local_api import Local, StartLocal
from test_sdk_volumes import named, put, read
from test_volume_oddities import where

from zenml_modal_nb.emulator.state.assembled import LEAST, Assembled
from zenml_modal_nb.emulator.state.blocks import BLOCK_SIZE, Blocks
from zenml_modal_nb.emulator.state.trees import File

numbers = count()
LARGE = os.urandom(BLOCK_SIZE + 1000)
POISON = (
    "import os, sys; p = sys.argv[1]; os.chmod(p, 0o644); open(p, 'r+b').write(b'poison'); print('written')"
)


@pytest.fixture
def volume(local: Local) -> modal.Volume:
    """A volume with a large file and a small one."""
    volume = named(local, f"read-only-{next(numbers)}")
    put(volume, {"/values/large": LARGE, "/values/small": b"small", "/other": b"x"})
    return volume


def shown(local: Local, volume: modal.Volume, *command: str) -> modal.Sandbox:
    """A sandbox that sees the volume's values read-only, as a run's inputs are."""
    part = volume.with_mount_options(read_only=True, sub_path="/values")
    return local.create(*(command or ("sleep", "60")), volumes={"/data": part})


def test_a_large_file_is_shown_to_all_read_only_mounts_without_another_copy(
    local: Local, volume: modal.Volume
) -> None:
    first, second = shown(local, volume), shown(local, volume)
    writable = local.create("sleep", "60", volumes={"/data": volume})
    large, again = where(first) / "large", where(second) / "large"
    assert large != again
    assert large.read_bytes() == LARGE
    assert large.samefile(again)
    assert stat.S_IMODE(large.stat().st_mode) == 0o444
    assert not large.samefile(where(writable) / "values" / "large")
    assert not (where(first) / "small").samefile(where(second) / "small")
    assert first.exec("ls", "/data").stdout.read() == "large\nsmall\n"


def test_what_somebody_writes_into_a_read_only_file_reaches_no_later_mount(
    local: Local, volume: modal.Volume
) -> None:
    first = shown(local, volume)
    writing = first.exec("python", "-c", POISON, "/data/large")
    assert writing.stdout.read() == "written\n", writing.stderr.read()
    later = shown(local, volume)
    assert (where(later) / "large").read_bytes() == LARGE
    assert not (where(first) / "large").samefile(where(later) / "large")
    first.reload_volumes()  # a reload gives the writer the true content back, too
    assert (where(first) / "large").read_bytes() == LARGE
    assert read(volume, "values/large") == LARGE


def test_removing_or_replacing_a_read_only_file_is_that_mounts_own_affair(
    local: Local, volume: modal.Volume
) -> None:
    first = shown(local, volume)
    assert first.exec("sh", "-c", "rm -f /data/large && echo other > /data/large").wait() == 0
    assert (where(shown(local, volume)) / "large").read_bytes() == LARGE


def test_a_read_only_mount_shows_another_content_after_a_reload(local: Local, volume: modal.Volume) -> None:
    sandbox = shown(local, volume)
    other = LARGE[::-1]
    put(volume, {"/values/large": other}, force=True)
    assert (where(sandbox) / "large").read_bytes() == LARGE
    sandbox.reload_volumes()
    assert (where(sandbox) / "large").read_bytes() == other


def test_mounts_made_at_once_while_the_volume_changes_are_each_whole(
    local: Local, volume: modal.Volume
) -> None:
    contents = [os.urandom(BLOCK_SIZE + number) for number in range(4)]
    digests = {hashlib.sha256(content).hexdigest() for content in (LARGE, *contents)}
    program = "import hashlib; print(hashlib.sha256(open('/data/large', 'rb').read()).hexdigest())"

    def change() -> str:
        for content in contents:
            put(volume, {"/values/large": content}, force=True)
        return ""

    def look(_: int) -> str:
        sandbox = shown(local, volume, "python", "-c", program)
        text: str = sandbox.stdout.read().strip()
        return text or sandbox.stderr.read()

    with ThreadPoolExecutor(8) as pool:
        changing = pool.submit(change)
        seen = set(pool.map(look, range(12)))
        changing.result()
    assert seen <= digests


def test_what_was_put_together_is_not_kept_over_a_restart(start_local: StartLocal) -> None:
    first = start_local()
    volume = named(first, "kept")
    put(volume, {"/values/large": LARGE})
    shown(first, volume, "true").wait()
    assert [path.stat().st_size for path in (first.state_dir / "assembled").iterdir()] == [len(LARGE)]
    first.close()
    second = start_local(state_dir=first.state_dir)
    assert list((second.state_dir / "assembled").iterdir()) == []
    again = named(second, "kept")
    assert (where(shown(second, again)) / "large").read_bytes() == LARGE


def test_what_no_mount_shows_is_kept_while_there_is_room(tmp_path: Path) -> None:
    blocks = Blocks(tmp_path / "blocks")
    store = Assembled(tmp_path / "assembled", blocks, room=3 * LEAST)
    store.sweep()
    (tmp_path / "source").write_bytes(LARGE[:LEAST])
    with (tmp_path / "source").open("rb") as source:
        size, digests = blocks.add(source.fileno())
    directory = os.open(tmp_path, os.O_RDONLY)
    for number in range(6):  # six files, as each has a time of its own
        store.show(File(size, 0o644, number, digests), f"mounted-{number}", directory)
        store.forget_idle()
        if number not in (0, 5):
            (tmp_path / f"mounted-{number}").unlink()
    os.close(directory)
    kept = sorted(path.stat().st_mtime for path in (tmp_path / "assembled").iterdir())
    assert kept == [0, 2, 3, 4, 5]  # the first and the last are mounted; of the others the oldest is gone
