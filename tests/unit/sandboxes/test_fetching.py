"""Files come back whole, or are named with the reason; a sandbox cannot choose where they are written."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import modal
import pytest

from zenml_modal_nb.events import Event, File, Transfer
from zenml_modal_nb.runner.frames import Frame
from zenml_modal_nb.sandboxes.fetching import Fetched, fetch, refusal

LISTED = {"directory": "/there", "unlisted": False, "written": [{"path": "left", "size": 3}], "more": 2}


def entry(path: str, content: bytes, **other: Any) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    return {"path": path, "size": len(content), "sha256": digest, "runs": False, **other}


class Sandbox:
    """The filesystem API of a sandbox whose files are given, each as what comes at the first, second, … try."""

    def __init__(self, files: Mapping[str, list[bytes | Exception]], entries: list[dict[str, Any]]) -> None:
        self._files = {path: iter(contents) for path, contents in files.items()}
        self.manifest = json.dumps({"files": entries, "lost": {}, "unmatched": ["*.none"]}).encode()
        self.filesystem = SimpleNamespace(
            read_bytes=SimpleNamespace(aio=self._read), copy_to_local=SimpleNamespace(aio=self._copy)
        )

    @property
    def frame(self) -> Frame:
        digest = hashlib.sha256(self.manifest).hexdigest()
        fields = {"file": "out/files.json", "size": len(self.manifest), "sha256": digest}
        return Frame("files", 0, 0, {**LISTED, **fields})

    async def _read(self, path: str) -> bytes:
        assert path == "/run/out/files.json"
        return self.manifest

    async def _copy(self, remote: str, local: Path) -> None:
        content = next(self._files[remote])
        if isinstance(content, Exception):
            raise content
        local.parent.mkdir(parents=True, exist_ok=True)
        local.write_bytes(content)


def fetched(sandbox: Sandbox, into: Path, *wanted: str) -> Fetched:
    return asyncio.run(fetch(sandbox, "/run", sandbox.frame, wanted, into, lambda event: None))


def test_a_file_takes_the_place_of_an_older_one_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").write_text("older")
    sandbox = Sandbox({"/there/out/a": [b"new"]}, [entry("out/a", b"new", runs=True)])
    found = fetched(sandbox, tmp_path, "out/*")
    assert (found.lost, found.files.fetched) == ({}, (File("out/a", 3),))
    assert (found.files.written, found.files.more, found.files.unmatched) == (
        (File("left", 3),),
        2,
        ("*.none",),
    )
    assert (tmp_path / "out" / "a").read_bytes() == b"new"
    assert os.access(tmp_path / "out" / "a", os.X_OK)
    assert os.listdir(tmp_path / "out") == ["a"]


def test_a_damaged_file_is_read_again(tmp_path: Path) -> None:
    broken = modal.exception.SandboxFilesystemError("the connection broke")
    sandbox = Sandbox({"/there/a": [b"dam", broken, b"a"]}, [entry("a", b"a")])
    assert fetched(sandbox, tmp_path, "a").files.fetched == (File("a", 1),)
    assert (tmp_path / "a").read_bytes() == b"a"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"other", "did not arrive whole"),
        (modal.exception.SandboxFilesystemError("no right"), "cannot be read there: no right"),
        (modal.exception.SandboxFilesystemNotFoundError("gone"), "removed after the cell had ended"),
        (modal.exception.SandboxFilesystemFileTooLargeError("6 GB"), "write it to a volume"),
        (OSError(28, "No space left on device"), "cannot be written here: No space left on device"),
    ],
)
def test_what_does_not_arrive_is_named_and_loses_nothing_else(
    tmp_path: Path, content: bytes | Exception, reason: str
) -> None:
    (tmp_path / "bad").write_text("older")
    sandbox = Sandbox(
        {"/there/bad": [content] * 4, "/there/good": [b"good"]},
        [entry("bad", b"bad"), entry("good", b"good")],
    )
    found = fetched(sandbox, tmp_path, "*")
    assert found.files.fetched == (File("good", 4),)
    assert reason in found.lost["bad"]
    assert (tmp_path / "bad").read_text() == "older"
    assert sorted(os.listdir(tmp_path)) == ["bad", "good"]


def test_a_file_in_the_way_of_a_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    found = fetched(Sandbox({"/there/out/a": [b"x"]}, [entry("out/a", b"x")]), tmp_path, "out/*")
    assert "cannot be written here" in found.lost["out/a"]
    assert (tmp_path / "out").read_text() == "a file"


@pytest.mark.parametrize("damage", [{"size": "3"}, {"sha256": None}, {"path": 7}])
def test_a_damaged_list_is_told(tmp_path: Path, damage: dict[str, Any]) -> None:
    found = fetched(Sandbox({}, [{**entry("a", b"abc"), **damage}]), tmp_path, "a")
    assert "the list of them could not be read" in found.lost["files of --fetch"]
    assert os.listdir(tmp_path) == []


def test_large_files_are_told_before_the_first_of_them_is_there(tmp_path: Path) -> None:
    content = bytes(40_000_000)
    sandbox = Sandbox({"/there/large": [content]}, [entry("large", content)])
    told: list[Event] = []
    asyncio.run(fetch(sandbox, "/run", sandbox.frame, ("large",), tmp_path, told.append))
    assert told[0] == Transfer("collecting", 0, 40_000_000)


def test_a_cell_that_asked_for_nothing_brings_nothing(tmp_path: Path) -> None:
    sandbox = Sandbox({}, [])
    assert asyncio.run(fetch(sandbox, "/run", None, (), tmp_path, print)) == Fetched()
    listed = asyncio.run(fetch(sandbox, "/run", Frame("files", 0, 0, LISTED), (), tmp_path, print))
    assert (listed.files.written, listed.files.fetched, listed.lost) == ((File("left", 3),), (), {})


@pytest.mark.parametrize(
    "path",
    ["../x", "/x", "a/../../x", "a/./x", "a//x", "", ".", "..", "a/", "x\0", "x\n", "\x1b[2J", "odd-\udcff"],
)
def test_a_hostile_name_is_refused(tmp_path: Path, path: str) -> None:
    assert "leads out" in (refusal(path, [".", "**", "*"], tmp_path) or "")


def test_what_nobody_asked_for_and_what_a_link_leads_out_with_are_refused(tmp_path: Path) -> None:
    into = tmp_path / "work"
    into.mkdir()
    (into / "link").symlink_to(tmp_path)
    (into / "inner").mkdir()
    (into / "inside").symlink_to(into / "inner")
    assert refusal("out/a", ["out/*"], into) is None
    assert refusal("out/Screenshot 9.00\u202fPM.png", ["out/*"], into) is None
    assert refusal("inside/a", ["inside/*"], into) is None
    assert refusal(".bashrc", ["*"], into) == "nobody has asked for it"
    assert "link that leads out" in (refusal("link/a", ["link/*"], into) or "")
    assert refusal("inner", ["inner"], into) == "there is a directory of that name here"
