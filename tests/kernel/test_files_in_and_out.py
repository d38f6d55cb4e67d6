"""Files go in and come back, volumes are mounted, and what the cell wrote is told."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from frontend import Home, Kernel

BACKENDS = pytest.mark.parametrize("gpu", ["", "--gpu T4"], ids=["V2", "V1"])

METADATA = """
from zenml.client import Client
(step_run,) = Client().get_pipeline_run(_modal_run.id).steps.values()
metadata = dict(step_run.run_metadata)
"""


@pytest.fixture
def work(home: Home) -> Path:
    """The directory that the kernel runs in."""
    return home.path / "work"


@BACKENDS
def test_a_file_and_a_folder_are_there_under_their_own_paths(kernel: Kernel, work: Path, gpu: str) -> None:
    (work / "table.csv").write_text("a,b\n1,2\n")
    (work / "images" / "empty").mkdir(parents=True, exist_ok=True)
    (work / "images" / ".hidden").write_bytes(b"\xff")
    tool = work / "images" / "tool.sh"
    tool.write_text("#!/bin/sh\necho ran\n")
    tool.chmod(0o755)
    reply = kernel.run(
        f"%%modal_step {gpu} --file table.csv --file images\n"
        "import os, subprocess\n"
        "text = open('table.csv').read()\n"
        "inside = sorted(os.listdir('images'))\n"
        "said = subprocess.run(['images/tool.sh'], capture_output=True, text=True).stdout\n"
        "modified = int(os.path.getmtime('table.csv'))"
    )
    assert kernel.ask("[text, inside, said, modified]") == [
        "a,b\n1,2\n",
        [".hidden", "empty", "tool.sh"],
        "ran\n",
        int((work / "table.csv").stat().st_mtime),
    ]
    assert "files left" not in reply.panel
    metadata = kernel.ask("metadata", given=METADATA)
    assert metadata["files_sent"] == ["images/.hidden", "images/empty", "images/tool.sh", "table.csv"]
    assert metadata["files_sent_bytes"] == 8 + 1 + 19


def test_patterns_paths_from_elsewhere_and_large_files_are_sent_too(
    kernel: Kernel, work: Path, tmp_path: Path
) -> None:
    (work / "parts").mkdir()
    for number in range(3):
        (work / "parts" / f"{number}.txt").write_text(str(number))
    content = os.urandom(9 << 20)  # more than goes through standard input
    (tmp_path / "elsewhere.bin").write_bytes(content)
    kernel.run(
        f"%%modal_step --file 'parts/[01].txt' --file {tmp_path}/elsewhere.bin\n"
        "import hashlib, os\n"
        "parts = sorted(os.listdir('parts'))\n"
        "digest = hashlib.sha256(open('elsewhere.bin', 'rb').read()).hexdigest()"
    )
    assert kernel.ask("[parts, digest]") == [["0.txt", "1.txt"], hashlib.sha256(content).hexdigest()]


@BACKENDS
def test_what_is_fetched_is_here_and_what_else_was_written_is_told(
    kernel: Kernel, work: Path, gpu: str
) -> None:
    (work / "sent.txt").write_text("sent")
    (work / "fetched").mkdir(exist_ok=True)
    (work / "fetched" / "model.bin").write_text("older")
    reply = kernel.run(
        f"%%modal_step {gpu} --file sent.txt --fetch 'fetched/*.bin' --fetch run.sh --fetch '*.nothing'\n"
        "import os, pathlib\n"
        "os.mkdir('fetched')\n"
        "pathlib.Path('fetched/model.bin').write_bytes(bytes(range(256)) * 40_000)\n"
        "pathlib.Path('fetched/log <b>.txt').write_text('x' * 2048)\n"
        "pathlib.Path('run.sh').write_text('true')\n"
        "os.chmod('run.sh', 0o755)\n"
        "pathlib.Path('.cache').mkdir(exist_ok=True)\n"
        "pathlib.Path('.cache/of-a-library').write_text('')\n"
    )
    assert (work / "fetched" / "model.bin").read_bytes() == bytes(range(256)) * 40_000
    assert os.access(work / "run.sh", os.X_OK)
    assert sorted(each.name for each in (work / "fetched").iterdir()) == ["model.bin"]
    assert "files fetched: fetched/model.bin (9.766 MiB), run.sh (4 bytes)" in reply.panel
    assert "--fetch *.nothing matched nothing" in reply.panel
    assert "files left in the sandbox: fetched/log <b>.txt (2 KiB) (--fetch brings files back)" in reply.panel
    html = reply.panels[-1]["data"]["text/html"]
    assert "log &lt;b&gt;.txt" in html
    assert "<b>.txt" not in html
    metadata = kernel.ask("metadata", given=METADATA)
    assert metadata["fetch"] == ["fetched/*.bin", "run.sh", "*.nothing"]
    assert metadata["files_fetched"] == ["fetched/model.bin", "run.sh"]
    (work / "run.sh").unlink()


def test_a_failing_cells_files_come_back_and_are_told(kernel: Kernel, work: Path) -> None:
    reply = kernel.attempt(
        "%%modal_step --fetch checkpoint.txt\n"
        "open('checkpoint.txt', 'w').write('step 7')\n"
        "open('left.txt', 'w').write('x')\n"
        "raise RuntimeError('enough')"
    )
    assert reply.ename == "RuntimeError"
    assert (work / "checkpoint.txt").read_text() == "step 7"
    assert "files fetched: checkpoint.txt (6 bytes)" in reply.panel
    assert "files left in the sandbox: left.txt (1 byte)" in reply.panel


def test_nothing_is_written_outside_the_working_directory(kernel: Kernel, work: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (work / "link").symlink_to(outside)
    (work / "final").symlink_to(outside / "final")
    reply = kernel.attempt(
        "%%modal_step --fetch 'link/*' --fetch final --fetch 'by?link'\n"
        "import os\n"
        "os.mkdir('link')\n"
        "open('link/escaped', 'w').write('x')\n"
        "open('final', 'w').write('y')\n"
        "os.symlink('final', 'by-link')\n"
    )
    assert reply.ename == "ResultError"
    assert (
        "link/escaped: its directory here is a link that leads out of the working directory" in reply.evalue
    )
    assert list(outside.iterdir()) == []
    # What was a link here is a file now; what it led to was not written.
    assert [(work / name).read_text() for name in ("final", "by-link")] == ["y", "y"]
    assert not (work / "final").is_symlink()
    for name in ("link", "final", "by-link"):
        (work / name).unlink()


def test_many_written_files_are_told_in_part_and_none_where_there_are_none(kernel: Kernel) -> None:
    reply = kernel.run(
        "%%modal_step\n"
        "import os\n"
        "long = '🦄' * 60\n"
        "os.mkdir(long)\n"
        "for number in range(30):\n"
        "    open(f'{long}/{number:02}{long}', 'w').close()"
    )
    assert reply.panel.count("(0 bytes)") == 10  # more do not fit into a frame
    assert " and 20 more (--fetch brings files back)" in reply.panel
    assert "files" not in kernel.run("%%modal_step\nnothing_written = 1").panel


@BACKENDS
def test_what_is_written_to_a_volume_is_there_for_the_next_cell(kernel: Kernel, gpu: str) -> None:
    name = f"kept-{'v1' if gpu else 'v2'}"
    options = f"%%modal_step {gpu} --volume {name}:/data --volume {name}-2:/root/below"
    kernel.run("data_path = '/data/sub/first.txt'")
    reply = kernel.run(
        f"{options}\n"
        "import os, pathlib\n"
        "os.makedirs('/data/sub', exist_ok=True)\n"
        "with open('/data/sub/first.txt', 'w') as file:\n"
        "    file.write('one')\n"
        "del file\n"
        "pathlib.Path('below/second.txt').write_text('two')\n"
        "!cp /data/sub/first.txt /data/third.txt\n"
    )
    assert "files left" not in reply.panel
    kernel.run(
        f"{options}\n"
        "import os, pathlib, subprocess\n"
        "found = sorted(str(path) for path in pathlib.Path('/data').rglob('*.txt'))\n"
        "scanned = sorted((each.path, each.is_dir(), os.stat(each).st_size > 3) for each in os.scandir('/data'))\n"
        "texts = [open(data_path).read(), pathlib.Path('/root/below/second.txt').read_text(),\n"
        "         subprocess.run(['cat', '/data/third.txt'], capture_output=True, text=True).stdout]\n"
        "try:\n"
        "    open('/data/absent')\n"
        "except FileNotFoundError as error:\n"
        "    told = str(error)\n"
    )
    assert kernel.ask("[found, scanned, texts, told]") == [
        ["/data/sub/first.txt", "/data/third.txt"],
        [["/data/sub", True, True], ["/data/third.txt", False, False]],
        ["one", "two", "one"],
        "[Errno 2] No such file or directory: '/data/absent'",
    ]
    assert kernel.ask("metadata['volumes']", given=METADATA) == [f"{name}:/data", f"{name}-2:/root/below"]


def test_a_file_or_variable_that_is_here_and_was_not_sent_is_advised(kernel: Kernel, work: Path) -> None:
    (work / "forgotten.csv").write_text("a\n1\n")
    (work / "data dir").mkdir()
    kernel.run("import os\nos.environ['FORGOTTEN_KEY'] = 'value'")
    unsent = "exists here but was not sent: add --file"
    for cell, told in (
        ("import pandas\npandas.read_csv('forgotten.csv')", f"`forgotten.csv` {unsent} forgotten.csv"),
        ("import os\nos.listdir('data dir')", f"`data dir` {unsent} 'data dir'"),
        ("open('data dir/x', 'w')", f"folder `data dir` {unsent} 'data dir', or create it in the cell"),
        (
            "import os\nos.environ['FORGOTTEN_KEY']",
            "`FORGOTTEN_KEY` is set here but was not sent: add --env FORGOTTEN_KEY",
        ),
        (
            "try:\n    open('forgotten.csv')\nexcept OSError as error:\n    raise RuntimeError('no data') from error",
            f"`forgotten.csv` {unsent} forgotten.csv",
        ),
    ):
        reply = kernel.attempt(f"%%modal_step\n{cell}")
        assert not reply.ok
        assert told in reply.traceback.splitlines()[-1], cell


def test_what_nobody_could_have_meant_is_not_advised(kernel: Kernel, work: Path) -> None:
    (work / "forgotten.csv").write_text("a\n1\n")
    (work / "ffmpeg").mkdir(exist_ok=True)
    kernel.run("import os\nos.environ['FORGOTTEN_KEY'] = 'value'")
    for cell in (
        "open('nowhere.csv')",
        "import subprocess\nsubprocess.run(['ffmpeg'], env={'PATH': ''})",
        "{}['FORGOTTEN_KEY']",
        "import os\nos.environ['KEY_OF_NOBODY']",
        "import os\ndel os.environ['FORGOTTEN_KEY']",
        "try:\n    open('forgotten.csv')\nexcept OSError:\n    1 / 0",
        "raise FileNotFoundError('forgotten.csv')",
        "open('../nowhere.csv')",
        "import os\nos.chdir(os.path.dirname(os.getcwd()))\nopen('emulator')",
        "import os\nos.chdir('/')\nopen('nowhere.csv')",
    ):
        reply = kernel.attempt(f"%%modal_step\n{cell}")
        assert not reply.ok
        assert "not sent" not in reply.traceback, cell
    reply = kernel.attempt(
        "%%modal_step --file forgotten.csv --env FORGOTTEN_KEY\n"
        "import os\nos.remove('forgotten.csv')\nopen('forgotten.csv')"
    )
    assert "not sent" not in reply.traceback


def test_a_dry_run_shows_files_with_their_sizes_and_volumes(kernel: Kernel, work: Path) -> None:
    (work / "shown.bin").write_bytes(bytes(3 << 20))
    (plan,) = kernel.run(
        "%%modal_step --dry-run --file shown.bin --fetch '*.pt' --volume kept:/data\n1"
    ).results
    rows = {line.partition("  ")[0]: line.partition("  ")[2].strip() for line in plan.splitlines()}
    assert rows["files in"] == "shown.bin (3 MiB)"
    assert rows["files out"] == "*.pt"
    assert rows["volumes"] == "kept at /data"
    assert rows["size"].startswith("3.")
