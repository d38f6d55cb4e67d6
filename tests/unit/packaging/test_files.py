"""What --file names is found, packed and unpacked as it is here, or refused by name."""

from __future__ import annotations

import io
import os
import socket
import tarfile
from pathlib import Path

import pytest

from zenml_modal_nb.errors import InvalidRequestError
from zenml_modal_nb.packaging.files import find
from zenml_modal_nb.runner.files import unpack


@pytest.fixture
def here(tmp_path: Path) -> Path:
    base = tmp_path / "notebook"
    base.mkdir()
    return base


def written(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def sent(base: Path, *wanted: str) -> list[str]:
    return [entry.inside for entry in find(wanted, base).entries]


def unpacked(base: Path, target: Path, *wanted: str) -> Path:
    target.mkdir()
    archive = find(wanted, base).archive()
    assert len(archive.content) == archive.size
    path = target.parent / "files.tar"
    path.write_bytes(archive.content)
    unpack(path, target)
    return target


def test_a_file_keeps_its_path_and_a_folder_everything_below_it(here: Path) -> None:
    for name in ("a.csv", "data/b.csv", "data/.hidden", "data/deep/c", "other"):
        written(here / name)
    (here / "data" / "empty").mkdir()
    assert sent(here, "a.csv", "data/", "./a.csv") == [
        "a.csv",
        "data/.hidden",
        "data/b.csv",
        "data/deep/c",
        "data/empty",
    ]
    assert sent(here, ".") == sorted([*sent(here, "a.csv", "data"), "other"])


def test_a_pattern_is_a_shells_and_a_file_of_that_very_name_comes_first(here: Path) -> None:
    for name in ("a1.csv", "a2.csv", ".a3.csv", "deep/er/a4.csv", "a[1].csv"):
        written(here / name)
    assert sent(here, "a*.csv") == ["a1.csv", "a2.csv", "a[1].csv"]
    assert sent(here, "**/a4.csv") == ["deep/er/a4.csv"]
    assert sent(here, "a[1].csv") == ["a[1].csv"]


def test_what_lies_outside_gets_its_own_name_alone(here: Path, tmp_path: Path) -> None:
    written(tmp_path / "x.csv")
    written(tmp_path / "folder" / "y")
    written(here / "z")
    assert sent(here, "../x.csv", str(tmp_path / "folder"), str(here / "z")) == ["folder/y", "x.csv", "z"]


def test_links_are_followed(here: Path, tmp_path: Path) -> None:
    written(tmp_path / "store" / "weights", "w")
    (here / "models").mkdir()
    (here / "models" / "file").symlink_to(tmp_path / "store" / "weights")
    (here / "models" / "folder").symlink_to(tmp_path / "store")
    assert sent(here, "models") == ["models/file", "models/folder/weights"]


def test_what_arrives_is_what_was_sent(here: Path, tmp_path: Path) -> None:
    written(here / "tool.sh", "#!/bin/sh").chmod(0o755)
    written(here / "ž dir" / ("long" * 50), "long")
    written(here / os.fsdecode(b"bytes-\xff"), "no text")
    written(here / "read-only", "r").chmod(0o444)
    (here / "big").write_bytes(bytes(range(256)) * 10_000)
    os.utime(here / "big", (1_700_000_000, 1_700_000_000))
    (here / "empty").mkdir()
    there = unpacked(here, tmp_path / "there", ".")
    for path in here.rglob("*"):
        twin = there / path.relative_to(here)
        assert twin.is_dir() == path.is_dir()
        if path.is_file():
            assert twin.read_bytes() == path.read_bytes()
            assert os.access(twin, os.X_OK) == bool(path.stat().st_mode & 0o100)
    assert (there / "big").stat().st_mtime == 1_700_000_000


def test_the_archive_is_the_same_as_long_as_the_files_are(here: Path) -> None:
    written(here / "b")
    written(here / "a" / "c")
    first = find(["b", "a"], here).archive().content
    assert find(["a", "b"], here).archive().content == first
    written(here / "b", "y")
    assert find(["a", "b"], here).archive().content != first


def refusal(base: Path, *wanted: str) -> str:
    with pytest.raises(InvalidRequestError) as caught:
        find(wanted, base)
    assert "Nothing was created" in str(caught.value)
    return str(caught.value)


def test_what_is_missing_is_refused_with_what_was_meant(here: Path) -> None:
    written(here / "data" / "table.csv")
    assert "Did you mean 'data/table.csv'?" in refusal(here, "data/tabel.csv")
    assert "no such file" in refusal(here, "nowhere/at/all")
    assert "'*.parquet' matches nothing" in refusal(here, "*.parquet")


def test_what_cannot_be_sent_is_refused_by_name(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "d").mkdir()
    (here / "d" / "loop").symlink_to(here / "d")
    assert f"'{here}/d/loop' cannot be sent: it is a link to a folder that it lies in" in refusal(here, "d")
    os.mkfifo(here / "pipe")
    assert "it is a named pipe" in refusal(here, "pipe")
    (here / "broken").symlink_to("nothing")
    assert "it is a link to nothing" in refusal(here, "broken")
    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.chdir(here)  # the address of a socket may be 107 bytes long
        listening.bind("socket")
        assert "it is a socket" in refusal(here, "s*")


def test_two_things_with_one_path_are_refused(here: Path, tmp_path: Path) -> None:
    written(here / "x")
    written(tmp_path / "x")
    assert "would both be x" in refusal(here, "x", "../x")
    written(tmp_path / "other" / "x" / "y")
    assert "a folder of the same name" in refusal(here, "x", "../other/x")
    (here / "link").symlink_to("x")
    assert sent(here, "x", "x", "./link") == ["link", "x"]


def test_a_file_that_changes_while_it_is_packed_is_refused(here: Path) -> None:
    for text in ("shorter than before"[:3], "longer than before"):
        written(here / "log", "before")
        shipment = find(["log"], here)
        written(here / "log", text)
        with pytest.raises(InvalidRequestError, match=r"log.*while it is read|changed while it was read"):
            shipment.archive()


@pytest.mark.parametrize("name", ["../out", "/out", "a/../../out", "link/out"])
def test_an_archive_cannot_lead_out_of_the_directory(tmp_path: Path, name: str) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "link").symlink_to(tmp_path)
    with tarfile.open(tmp_path / "hostile.tar", "w") as archive:
        member = tarfile.TarInfo(name)
        member.size = 1
        archive.addfile(member, io.BytesIO(b"x"))
    with pytest.raises(ValueError, match="leads out"):
        unpack(tmp_path / "hostile.tar", target)
    assert not (tmp_path / "out").exists()


def test_an_archive_with_links_is_refused_and_a_link_in_the_way_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (tmp_path / "outside").write_text("kept")
    (target / "file").symlink_to(tmp_path / "outside")
    with tarfile.open(tmp_path / "files.tar", "w") as archive:
        member = tarfile.TarInfo("file")
        member.size = 1
        archive.addfile(member, io.BytesIO(b"x"))
        link = tarfile.TarInfo("out")
        link.type, link.linkname = tarfile.SYMTYPE, "/"
        archive.addfile(link)
    with pytest.raises(ValueError, match="neither a file nor a directory"):
        unpack(tmp_path / "files.tar", target)
    assert (target / "file").read_text() == "x"
    assert (tmp_path / "outside").read_text() == "kept"
