"""What cannot be kept in a volume, and what is in the way there, harms nothing else."""

from __future__ import annotations

import os
import shutil
from itertools import count
from pathlib import Path

import modal
import modal.exception
import pytest
from local_api import Local
from test_sdk_volumes import named, put, read

from zenml_modal_nb.emulator.filesystem import TOOL
from zenml_modal_nb.emulator.mount_paths import VARIABLE
from zenml_modal_nb.emulator.state.blocks import BLOCK_SIZE, Blocks
from zenml_modal_nb.emulator.state.trees import File

numbers = count()


@pytest.fixture
def volume(local: Local) -> modal.Volume:
    """An empty volume."""
    return named(local, f"odd-{next(numbers)}")


def where(sandbox: modal.Sandbox, path: str = "/data") -> Path:
    """The directory that a mount path leads to."""
    program = f"import json, os; print(json.loads(os.environ['{VARIABLE}'])['/' + '{path[1:]}'], end='')"
    return Path(sandbox.exec("python", "-c", program).stdout.read())


def test_a_name_that_is_not_utf8_is_left_out_and_the_rest_is_committed(
    local: Local, volume: modal.Volume, caplog: pytest.LogCaptureFixture
) -> None:
    program = r"[open(b'/data/' + n, 'wb').write(b'x') for n in (b'bad\xff', b'good')]"
    local.create("python", "-c", program, volumes={"/data": volume}).wait()
    assert [entry.path for entry in volume.listdir("/")] == ["good"]
    assert "bad\\udcff" in caplog.text


def test_a_name_that_no_file_system_has_room_for_is_refused(local: Local, volume: modal.Volume) -> None:
    put(volume, {"/" + "n" * 255: b"fits"})
    for path in ("/" + "n" * 256, "/" + "é" * 128, "/d" * 1100):
        with pytest.raises(modal.exception.InvalidError, match="cannot hold"):
            put(volume, {path: b"x"})
    sandbox = local.create("sh", "-c", "cat /data/n*", volumes={"/data": volume})
    assert sandbox.stdout.read() == "fits"


def test_a_mount_path_that_cannot_be_made_is_refused(local: Local, volume: modal.Volume) -> None:
    with pytest.raises(modal.exception.InvalidError, match="cannot be mounted at"):
        local.create("true", volumes={"/" + "n" * 300: volume})


def test_a_file_being_written_through_the_api_is_not_committed_before_it_is_complete(
    local: Local, volume: modal.Volume
) -> None:
    sandbox = local.create("sleep", "60", volumes={"/data": volume})
    writing = sandbox.exec(TOOL, '{"WriteFile": {"path": "/data/f"}}')  # as the SDK's write_bytes does
    writing.stdin.write("first half, ")
    writing.stdin.drain()
    sandbox.exec("sh", "-c", "echo x > /data/other").wait()
    volume.commit()
    assert [entry.path for entry in volume.listdir("/")] == ["other"]
    writing.stdin.write("second half")
    writing.stdin.write_eof()
    writing.stdin.drain()
    assert writing.wait() == 0
    volume.commit()
    assert read(volume, "f") == b"first half, second half"


def test_a_directory_that_cannot_be_read_keeps_nothing_else_from_being_committed(
    local: Local, volume: modal.Volume
) -> None:
    other = named(local, f"odd-{next(numbers)}")
    # A path too long to be opened whole, which not even root can read.
    deep = "import os\nfor n in range(20):\n os.mkdir('d' * 250); os.chdir('d' * 250)"
    sandbox = local.create(
        "sh", "-c", "echo 1 > /data/f; echo 1 > /other/f; cat; echo 2 > /data/f; echo 2 > /other/f",
        volumes={"/data": volume, "/other": other},
    )  # fmt: skip
    assert sandbox.exec("python", "-c", deep, workdir="/data").wait() == 0
    volume.commit()
    assert read(volume, "f") == b"1\n"
    sandbox.stdin.write_eof()
    sandbox.stdin.drain()
    sandbox.wait()
    assert read(volume, "f") == read(other, "f") == b"2\n"


def test_links_in_a_mount_lead_nowhere(local: Local, volume: modal.Volume, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_text("the machine's")
    (tmp_path / "gone").write_text("the machine's")
    put(volume, {"/gone": b"x", "/d/gone": b"x", "/d/f": b"1"})
    sandbox = local.create("sleep", "60", volumes={"/data": volume})
    here = where(sandbox)
    linking = "import os, shutil, sys; shutil.rmtree(sys.argv[1]); os.symlink(sys.argv[2], sys.argv[1])"
    assert sandbox.exec("python", "-c", linking, str(here / "d"), str(tmp_path / "d")).wait() == 0
    volume.commit()
    assert [entry.path for entry in volume.listdir("/", recursive=True)] == ["gone"]
    put(volume, {"/d/f": b"2"}, force=True)
    sandbox.reload_volumes()
    assert (tmp_path / "d" / "f").read_text() == "the machine's"
    assert sandbox.exec("cat", "/data/d/f").stdout.read() == "2"
    # The same with the mount's directory itself: nothing of the machine's is committed, changed or removed.
    assert sandbox.exec("python", "-c", linking, str(here), str(tmp_path)).wait() == 0
    with pytest.raises(modal.exception.ConflictError, match="is a link"):
        sandbox.reload_volumes()
    sandbox.terminate(wait=True)
    assert (tmp_path / "d" / "f").read_text() == (tmp_path / "gone").read_text() == "the machine's"
    assert read(volume, "d/f") == b"2"


@pytest.fixture
def held(tmp_path: Path) -> Blocks:
    """A store of blocks."""
    return Blocks(tmp_path / "blocks")


def test_a_block_that_was_found_or_made_is_not_removed_before_it_can_be_committed(
    held: Blocks, tmp_path: Path
) -> None:
    (tmp_path / "f").write_bytes(os.urandom(BLOCK_SIZE + 1))
    with (tmp_path / "f").open("rb") as source:
        size, digests = held.add(source.fileno())
    assert held.remove(digests) == set(digests)
    held.restore(File(size, 0o644, 0, digests), tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == (tmp_path / "f").read_bytes()
    later = Blocks(tmp_path / "blocks")  # where nobody claims them
    assert later.remove(digests) == set()
    assert not any(map(later.has, digests))


def test_a_commit_that_comes_after_a_sandboxs_last_one_takes_nothing_away(
    local: Local, volume: modal.Volume
) -> None:
    program = "echo x > /data/kept; echo written; sleep 60"
    sandbox = local.create("sh", "-c", program, volumes={"/data": volume})
    assert next(iter(sandbox.stdout)) == "written\n"
    volume.commit()
    # As at its end, with a commit that waits for its turn until the directory is gone.
    (mounted,) = local.server._sandboxes._sandboxes[sandbox.object_id].volumes
    local.loop.run(mounted.close())
    shutil.rmtree(mounted.directory)
    volume.commit()
    assert [entry.path for entry in volume.listdir("/")] == ["kept"]
    sandbox.terminate()
