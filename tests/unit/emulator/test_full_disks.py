"""What cannot be written leaves nothing behind: a disk that is full does not get fuller."""

from __future__ import annotations

import hashlib
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from zenml_modal_nb.emulator.state.blobs import Blobs
from zenml_modal_nb.emulator.state.blocks import Blocks
from zenml_modal_nb.emulator.state.mounts import Mounts
from zenml_modal_nb.emulator.state.records import Records
from zenml_modal_nb.emulator.state.trees import File

CONTENT = b"content" * 10_000


@contextmanager
def full() -> Iterator[None]:
    """As on a disk that gets full: of every file only the beginning can be written."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(CONTENT) // 2, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def fill(buffer: memoryview) -> int:
    buffer[:] = CONTENT
    return len(buffer)


def block(directory: Path, source: Path) -> object:
    with source.open("rb") as file:
        return Blocks(directory).add(file.fileno())


def received(directory: Path, source: Path) -> object:
    return Blocks(directory).receive(hashlib.sha256(CONTENT).hexdigest(), len(CONTENT), fill)


def blob(directory: Path, source: Path) -> object:
    return Blobs(directory).receive("bl-" + "a" * 22, len(CONTENT), fill)


def kept_blob(directory: Path, source: Path) -> object:
    return Blobs(directory).keep(CONTENT)


def added_file(directory: Path, source: Path) -> object:
    records = Records(source.parent / "records")
    return Mounts(records, directory).put(hashlib.sha256(CONTENT).hexdigest(), CONTENT)


def record(directory: Path, source: Path) -> object:
    return Records(directory).write("key", {"content": CONTENT.decode()})


@pytest.mark.parametrize("write", [block, received, blob, kept_blob, added_file, record])
def test_what_does_not_fit_is_an_error_and_leaves_nothing(
    tmp_path: Path, write: Callable[[Path, Path], object]
) -> None:
    source, directory = tmp_path / "source", tmp_path / "directory"
    source.write_bytes(CONTENT)
    with full(), pytest.raises(OSError, match="File too large"):
        write(directory, source)
    assert [path for path in directory.rglob("*") if path.is_file()] == []


def test_a_file_that_does_not_fit_into_a_mount_leaves_nothing(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(CONTENT)
    blocks = Blocks(tmp_path / "blocks")
    with source.open("rb") as file:
        size, digests = blocks.add(file.fileno())
    with full(), pytest.raises(OSError, match="File too large"):
        blocks.restore(File(size, 0o600, 0, digests), tmp_path / "f")
    assert list((tmp_path / "blocks" / "drafts").iterdir()) == []
    assert not (tmp_path / "f").exists()
