"""`zenml-modal-nb demo`: what a newcomer sees, from a home that has nothing yet."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from frontend import Home, LocalModal
from terminal import Terminal

from zenml_modal_nb.notebooks import demo
from zenml_modal_nb.notebooks.execution import execute

CELL = "%%modal_step --name train\nprint('epoch 1')\nmodel = 1"


def _notebook(*cells: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])


@pytest.mark.slow  # the quickstart in test_headless_notebooks and the tests below prove its parts fast
def test_the_demo_runs_in_a_fresh_home_and_leaves_a_notebook_and_a_page(tmp_path: Path) -> None:
    home = Home(tmp_path)
    try:
        done = home.python("-m", "zenml_modal_nb.cli", "demo", timeout=170)
    finally:
        home.python("-m", "zenml_modal_nb.emulator", "stop")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "done in" in done.stdout
    assert "not billed" in done.stdout
    assert "zenml-modal-nb emulator stop" in done.stdout.splitlines()[-1]
    written = tmp_path / "zenml-modal-nb-demo"
    cells = nbformat.read(written / "quickstart.ipynb", as_version=4).cells
    assert not [out for cell in cells for out in cell.get("outputs", ()) if out.output_type == "error"]
    assert "done in" in (written / "quickstart.html").read_text("utf-8")
    code = sum(cell.cell_type == "code" for cell in cells)
    told = re.findall(r"^── cell (\d+) of (\d+) · \d+ s ──", done.stdout, re.MULTILINE)
    assert told == [(str(number), str(code)) for number in range(1, code + 1)]
    pages = re.findall(r"^(?:The executed notebook|The same as a page): +(.*)$", done.stdout, re.MULTILINE)
    assert [(tmp_path / page).resolve() for page in pages] == [
        (written / "quickstart.ipynb").resolve(),
        (written / "quickstart.html").resolve(),
    ]


# Run in the user's home, as `demo` is: what `execute` starts is a kernel of the process's own environment.
EXECUTE = """
import sys, nbformat
from pathlib import Path
from zenml_modal_nb.notebooks.execution import execute
notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in sys.argv[1:]])
execute(notebook, directory=Path("."), echo=lambda text: print(text, end="", flush=True))
"""


@pytest.mark.slow
def test_the_console_shows_the_end_of_a_run_once_below_its_log(home: Home) -> None:
    done = home.python("-c", EXECUTE, "%load_ext zenml_modal_nb", CELL, "print('after it')")
    assert done.returncode == 0, done.stderr
    before, log, after = done.stdout.partition("epoch 1\n")
    assert log
    assert "done in" not in before
    assert after.count("done in") == 1
    assert after.index("done in") < after.index("after it")


def test_a_display_that_never_changes_is_shown_once(tmp_path: Path) -> None:
    shown: list[str] = []
    execute(_notebook("display('only once', display_id=True);"), directory=tmp_path, echo=shown.append)
    assert shown.count("'only once'\n") == 1


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("raise LookupError('not there')", ["LookupError", "not there", "quickstart.html shows where"]),
        ("import os; os._exit(1)", ["kernel", "DeadKernelError", "shows how far it came"]),
    ],
)
def test_whatever_ends_the_demo_early_is_told_in_one_message_and_the_page_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cell: str, words: list[str]
) -> None:
    nbformat.write(_notebook("print('first')", "1", cell), tmp_path / "given.ipynb")
    monkeypatch.setattr(demo, "_quickstart", lambda: tmp_path / "given.ipynb")
    # Put before the failing cell by the demo itself, and unknown without the extension.
    monkeypatch.setattr(demo, "_DEFAULT", "on = {on!r}")
    with pytest.raises(demo.DemoError) as caught:
        demo.run_demo(tmp_path / "out", on="local", echo=lambda text: None)
    for word in words:
        assert word in str(caught.value)
    assert "first" in (tmp_path / "out" / "quickstart.html").read_text("utf-8")


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(demo.DemoError, match="--directory"):
        demo.run_demo(tmp_path / "file" / "below", on="local", echo=lambda text: None)


@pytest.mark.slow
def test_the_command_ends_with_one_and_one_line_when_the_demo_cannot_run(home: Home) -> None:
    (home.path / "in-the-way").touch()
    done = home.python("-m", "zenml_modal_nb.cli", "demo", "--directory", "in-the-way/below")
    assert done.returncode == 1
    assert done.stderr.startswith("DemoError: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_terminal_ipython_runs_a_cell_from_a_pipe(home: Home) -> None:
    """No kernel and no terminal: lines of text, and the variables of the same session; two blank lines end a cell."""
    session = f"%load_ext zenml_modal_nb\n{CELL}\n\n\nprint('found', model + 1)\nexit\n"
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--simple-prompt", "--no-banner", "--no-confirm-exit"],
        input=session,
        cwd=home.path,
        env=home.environment | {"TERM": "dumb"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "[train] this machine (local Modal API), not billed" in done.stdout
    assert "epoch 1\n" in done.stdout
    assert "done in" in done.stdout
    assert "found 2" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.slow
def test_an_interrupt_in_a_terminal_ends_the_run_and_gives_the_prompt_back(home: Home) -> None:
    arguments = ["-m", "IPython", "--simple-prompt", "--no-banner", "--no-confirm-exit"]
    # The cell goes to the magic by a call: a terminal's lines end it where a blank one is typed.
    cell = "import threading; print('begun', 6 * 7); threading.Event().wait()"
    asked = "from zenml.client import Client; r = Client().get_pipeline_run(_modal_run.id); "
    asked += "print('recorded', r.status.value, *[s.status.value for s in r.steps.values()])"
    with Terminal(arguments, home.environment, home.path) as terminal:
        terminal.answer("In [1]", "%load_ext zenml_modal_nb")
        terminal.answer("In [2]", f"get_ipython().run_cell_magic('modal_step', '--name endless', {cell!r})")
        terminal.interrupt("begun 42")
        terminal.answer("In [3]", "print('said', _modal_run.status)")
        terminal.answer("In [4]", asked)
        terminal.answer("In [5]", "exit")
        assert terminal.wait() == 0
    assert "KeyboardInterrupt: the run was stopped and its sandbox is terminated" in terminal.text
    assert "said stopped by the user" in terminal.text
    assert "recorded stopped stopped" in terminal.text
    assert LocalModal(home).sandboxes() == []
