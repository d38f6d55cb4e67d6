"""What the runner tells about the files of its working directory, and about what a failing cell lacks."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from typing import Any

import pytest
from sandboxed import Sandboxed, ran

from zenml_modal_nb.packaging.files import find
from zenml_modal_nb.runner import files


def told(sandboxed: Sandboxed) -> dict[str, Any]:
    return dict(sandboxed.stdout.first("files").fields)


def manifest(source: str, *patterns: str) -> dict[str, Any]:
    with Sandboxed(source, fetch=list(patterns)) as sandboxed:
        sandboxed.send().wait()
        fields = told(sandboxed)
        data = (sandboxed.directory / fields["file"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (fields["size"], fields["sha256"])
        assert fields["directory"] == str(sandboxed.work)
        assert sandboxed.acknowledge() == 0
        found: dict[str, Any] = json.loads(data)
        return found


def test_new_and_changed_files_are_told_and_nothing_else(tmp_path: Any) -> None:
    for name in ("same", "changed", "removed", "touched-by-reading"):
        (tmp_path / name).write_text("as sent")
    sandboxed = Sandboxed(
        "import os\n"
        "open('touched-by-reading').read()\n"
        "open('changed', 'w').write('as SENT')\n"
        "os.remove('removed')\n"
        "os.makedirs('new/deep')\n"
        "open('new/deep/file', 'w').write('12345')\n"
        "os.makedirs('.cache'); open('.cache/x', 'w').close()\n"
        "os.makedirs('__pycache__'); open('__pycache__/x.pyc', 'w').close()\n"
        "os.mkfifo('pipe'); os.symlink('same', 'link')\n"
    )
    sandboxed.parts[files.ARCHIVE] = bytes(find(["."], tmp_path).archive().content)
    with sandboxed:
        fields = told(sandboxed.finish())
    assert fields["written"] == [{"path": "changed", "size": 7}, {"path": "new/deep/file", "size": 5}]
    assert (fields["more"], fields["unlisted"]) == (0, False)


@pytest.mark.parametrize(
    "source", ["1 + 1", "raise ValueError('no')", "import os\nos.makedirs('only/folders')"]
)
def test_where_nothing_was_written_nothing_is_told(source: str) -> None:
    assert "files" not in ran(source).stdout.kinds()


def test_what_is_fetched_is_listed_with_size_and_digest() -> None:
    found = manifest(
        "import os\n"
        "os.makedirs('out/deep'); os.makedirs('.cache')\n"
        "for name in ('out/a.pt', 'out/deep/b.pt', 'out/c.txt', '.cache/d.pt', 'tool'):\n"
        "    open(name, 'w').write(name)\n"
        "os.chmod('tool', 0o700)\n"
        "os.symlink('tool', 'link'); os.symlink('nowhere', 'dangling'); os.mkfifo('pipe')\n",
        "**/*.pt", "out/deep", "tool", "l*", "pipe", "dangling", "*.none",
    )  # fmt: skip
    assert {each["path"]: each["runs"] for each in found["files"]} == {
        "out/a.pt": False,
        "out/deep/b.pt": False,
        "tool": True,
        "link": True,
    }
    first = found["files"][0]
    assert (first["size"], first["sha256"]) == (8, hashlib.sha256(b"out/a.pt").hexdigest())
    assert found["unmatched"] == ["pipe", "dangling", "*.none"]
    assert found["lost"] == {}


def test_a_name_that_is_no_text_is_told_as_lost() -> None:
    found = manifest("open(b'odd-\\xff', 'w').close()\nopen('fine', 'w').close()", "*")
    assert [each["path"] for each in found["files"]] == ["fine"]
    assert list(found["lost"]) == ["odd-?"]


def test_an_archive_that_cannot_be_unpacked_is_an_error_of_the_run() -> None:
    sandboxed = Sandboxed("never = 1")
    sandboxed.parts[files.ARCHIVE] = b"no archive"
    with sandboxed:
        sandboxed.finish()
    assert sandboxed.error["ename"] == "ReadError"
    assert "while the notebook's values were restored" in sandboxed.error["notes"][0]
    assert "files" not in sandboxed.stdout.kinds()


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        ("open('data/x.csv')", {"file": "data/x.csv"}),
        ("open(b'x.csv')", {"file": "x.csv"}),
        ("import os\nopen(os.path.abspath('x.csv'))", {"file": "x.csv"}),
        ("import os\nos.mkdir('d')\nos.chdir('d')\nopen('x.csv')", {"file": "d/x.csv"}),
        ("open('../x.csv')", {"file": "../x.csv"}),
        ("open('/no/where.csv')", {"file": "/no/where.csv"}),
        ("import os\nos.environ['NOT_SET']", {"variable": "NOT_SET"}),
        ("import os\nos.environ.pop('NOT_SET')", {"variable": "NOT_SET"}),
        ("import os\ndel os.environ['NOT_SET']", None),
        ("{}['NOT_SET']", None),
        ("raise KeyError('NOT_SET')", None),
        ("raise FileNotFoundError('x.csv')", None),
        ("import subprocess\nsubprocess.run(['no-such-program'])", None),
        ("open('.')", None),
    ],
)
def test_an_error_says_which_file_or_variable_it_lacks(source: str, missing: dict[str, str] | None) -> None:
    assert ran(source).error.get("missing") == missing


def test_mount_paths_lead_to_where_the_environment_says_the_volumes_are(tmp_path: Any) -> None:
    (tmp_path / "volume").mkdir()
    source = (
        "import glob, os, pathlib, shutil, subprocess, multiprocessing\n"
        "os.makedirs('/data/sub')\n"
        "with open('/data/sub/a', 'w') as file:\n    print(file.write('a'), file.name)\n"
        "shutil.copy('/data/sub/a', '/data/b'); os.rename('/data/b', '/data/c')\n"
        "print(pathlib.Path('/data/c').read_text(), os.path.exists(b'/data/c'), os.path.isdir('/data/'))\n"
        "print(sorted(glob.glob('/data/**', recursive=True)), [each for each in os.walk('/data')])\n"
        "print(subprocess.run('cat /data/c; ls -d /database', shell=True, capture_output=True, text=True).stdout)\n"
        "print(subprocess.run(['pwd'], cwd='/data/sub', capture_output=True, text=True).stdout.endswith('/sub\\n'))\n"
        "def read(path):\n    return open(path).read()\n"
        "with multiprocessing.get_context('spawn').Pool(1) as pool:\n    print(pool.map(read, ['/data/c']))\n"
        "try:\n    os.replace('/data/none', '/data/d')\n"
        "except FileNotFoundError as error:\n    print(error.filename, error.filename2)\n"
        "print(os.path.exists('/database'), os.stat in os.supports_follow_symlinks, 'ZMNB_VOLUMES' in os.environ)\n"
        "class Holder:\n    open = open\nprint(Holder().open('/data/c').read())\n"
        "import sqlite3\nsqlite3.connect('/data/base.db').execute('create table t (x)')\n"
        "import pickle\n"
        "kept = [open, os.open, os.stat, sqlite3.connect]\n"
        "print([one is other for one, other in zip(pickle.loads(pickle.dumps(kept)), kept)])\n"
    )
    environment = {"ZMNB_VOLUMES": json.dumps([str(tmp_path / "volume")])}
    sandboxed = ran(source, volumes=["/data"], environment=environment, outputs=["kept"])
    assert sandboxed.values()["values"]["kept"] == [open, os.open, os.stat, sqlite3.connect]
    assert sandboxed.stdout.text.shown.splitlines() == [
        "1 " + str(tmp_path / "volume" / "sub" / "a"),
        "a True True",
        "['/data/', '/data/c', '/data/sub', '/data/sub/a'] "
        "[('/data', ['sub'], ['c']), ('/data/sub', [], ['a'])]",
        "a",
        "True",
        "['a']",
        "/data/none /data/d",
        "False True False",
        "a",
        "[True, True, True, True]",
    ], sandboxed.stderr.text.shown
    assert sorted(os.listdir(tmp_path / "volume")) == ["base.db", "c", "sub"]


@pytest.mark.parametrize(
    ("source", "explained"),
    [
        ("raise RuntimeError('Parent directory /data does not exist.')", True),
        ("raise RuntimeError('/database is empty')", False),
        ("open('/data/absent')", False),
        ("1 / 0", False),
    ],
)
def test_a_library_that_does_not_find_a_volume_is_explained(
    tmp_path: Any, source: str, explained: bool
) -> None:
    environment = {"ZMNB_VOLUMES": json.dumps([str(tmp_path)])}
    notes = ran(source, volumes=["/data"], environment=environment).error.get("notes", [])
    assert any("the volume of /data" in note for note in notes) is explained
    assert not ran(source, volumes=["/data"], environment={"ZMNB_VOLUMES": '["/data"]'}).error.get("notes")


def test_where_the_volumes_are_at_their_paths_nothing_is_changed() -> None:
    source = "import os, builtins\n(type(os.stat).__name__, type(open).__name__)"
    environment = {"ZMNB_VOLUMES": '["/data"]'}
    values = ran(source, volumes=["/data"], environment=environment).values()
    assert values["last"] == ("builtin_function_or_method", "builtin_function_or_method")
