"""Commands and files inside a running sandbox, through the real SDK."""

from __future__ import annotations

from pathlib import Path

import modal
import modal.exception
import pytest
from local_api import Local, StartLocal
from modal.stream_type import StreamType


@pytest.fixture(scope="module", params=["V1", "V2"])
def sandbox(request: pytest.FixtureRequest, local: Local) -> modal.Sandbox:
    return local.create(
        "sleep", "300", env={"OUTER": "1"}, **({"gpu": "T4"} if request.param == "V1" else {})
    )


def test_a_command_has_its_own_streams_and_exit_code(sandbox: modal.Sandbox) -> None:
    process = sandbox.exec("sh", "-c", "echo out; echo err >&2; cat; exit 3")
    process.stdin.write("typed")
    process.stdin.write_eof()
    process.stdin.drain()
    assert (process.stdout.read(), process.stderr.read(), process.wait()) == ("out\ntyped", "err\n", 3)


def test_a_command_inherits_the_environment_and_adds_to_it(sandbox: modal.Sandbox) -> None:
    process = sandbox.exec(
        "sh", "-c", 'echo "$OUTER $INNER $(pwd)"', env={"INNER": "2"}, workdir="/some/where"
    )
    line = process.stdout.read().split()
    assert line[:2] == ["1", "2"]
    assert line[2].endswith("/some/where")


def test_a_signalled_command_says_so(sandbox: modal.Sandbox) -> None:
    assert sandbox.exec("sh", "-c", "kill -KILL $$").wait() == 128 + 9


def test_a_command_is_ended_at_its_timeout(sandbox: modal.Sandbox) -> None:
    process = sandbox.exec("sh", "-c", "echo $$; exec sleep 67", timeout=1)
    # The SDK has a deadline of its own and says -1 when that is noticed first; the server kills the command at its.
    assert process.wait() in (-1, 137)
    assert sandbox.exec("sh", "-c", f"kill -0 {process.stdout.read().strip()} 2>&1").wait() != 0


def test_output_that_nobody_wants_is_dropped(sandbox: modal.Sandbox) -> None:
    process = sandbox.exec("sh", "-c", "yes | head -c 1000000", stdout=StreamType.DEVNULL)
    assert process.wait() == 0


def test_files_are_written_read_listed_and_removed(sandbox: modal.Sandbox, tmp_path: Path) -> None:
    files = sandbox.filesystem
    target = tmp_path / "new" / "data.bin"
    content = bytes(range(256)) * 20_000
    files.write_bytes(content, str(target))
    assert target.read_bytes() == content
    assert files.read_bytes(str(target)) == content
    files.write_text("short", str(target))
    assert files.read_text(str(target)) == "short"
    files.make_directory(str(tmp_path / "new" / "a" / "b"))
    (tmp_path / "new" / "link").symlink_to("data.bin")
    listed = {entry.name: entry.type.value for entry in files.list_files(str(tmp_path / "new"))}
    assert listed == {"a": "directory", "data.bin": "file", "link": "symlink"}
    facts = files.stat(str(target))
    assert (facts.size, facts.permissions, facts.path) == (5, "rw-r--r--", str(target))
    assert files.stat(str(tmp_path / "new" / "link")).symlink_target == "data.bin"
    files.remove(str(tmp_path / "new"), recursive=True)
    assert not (tmp_path / "new").exists()


def test_local_files_are_copied_in_and_out(sandbox: modal.Sandbox, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"z" * 5_000_000)
    sandbox.filesystem.copy_from_local(tmp_path / "source", str(tmp_path / "inside"))
    sandbox.filesystem.copy_to_local(str(tmp_path / "inside"), tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"z" * 5_000_000


def test_file_errors_are_those_of_the_sdk(sandbox: modal.Sandbox, tmp_path: Path) -> None:
    files = sandbox.filesystem
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "inner").write_text("x")
    with pytest.raises(modal.exception.SandboxFilesystemNotFoundError):
        files.read_bytes(str(tmp_path / "missing"))
    with pytest.raises(modal.exception.SandboxFilesystemIsADirectoryError):
        files.read_bytes(str(tmp_path))
    with pytest.raises(modal.exception.SandboxFilesystemIsADirectoryError):
        files.write_bytes(b"x", str(tmp_path))
    with pytest.raises(modal.exception.SandboxFilesystemNotADirectoryError):
        files.write_bytes(b"x", str(tmp_path / "file" / "below"))
    with pytest.raises(modal.exception.SandboxFilesystemNotADirectoryError):
        files.list_files(str(tmp_path / "file"))
    with pytest.raises(modal.exception.SandboxFilesystemDirectoryNotEmptyError):
        files.remove(str(tmp_path / "full"))
    with pytest.raises(modal.exception.SandboxFilesystemPathAlreadyExistsError):
        files.make_directory(str(tmp_path / "full"), create_parents=False)
    with pytest.raises(modal.exception.SandboxFilesystemNotFoundError):
        files.stat(str(tmp_path / "missing"))
    with pytest.raises(modal.exception.SandboxFilesystemError):
        files.read_bytes("/null\0character")


def test_files_of_a_sandbox_that_has_ended_are_gone(local: Local, backend: dict[str, str]) -> None:
    ended = local.create("true", **backend)
    ended.wait()
    with pytest.raises(modal.exception.NotFoundError, match="unavailable"):
        ended.filesystem.read_bytes("/etc/hostname")


def test_a_disk_that_is_full_is_reported(sandbox: modal.Sandbox) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(modal.exception.SandboxFilesystemError, match="No space left"):
        sandbox.filesystem.write_bytes(b"x", "/dev/full")


def test_small_reads_deliver_the_whole_file(start_local: StartLocal, tmp_path: Path) -> None:
    small = start_local(read_size=100)
    (tmp_path / "file").write_bytes(b"0123456789" * 1000)
    assert small.create("sleep", "60").filesystem.read_bytes(str(tmp_path / "file")) == b"0123456789" * 1000


def test_many_file_operations_do_not_pile_up(local: Local, tmp_path: Path) -> None:
    busy = local.create("sleep", "60")
    (tmp_path / "file").write_text("x")
    for _ in range(100):
        busy.filesystem.read_bytes(str(tmp_path / "file"))
    state = local.server._sandboxes.get(busy.object_id)
    assert len(state._jobs) <= 65
