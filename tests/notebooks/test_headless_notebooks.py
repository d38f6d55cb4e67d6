"""Notebooks run by nobody: nbclient, nbconvert and papermill, with exit codes and saved outputs as they should be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from frontend import Home

QUICKSTART = Path(__file__).parents[2] / "notebooks" / "quickstart.ipynb"

LOAD = "%load_ext zenml_modal_nb"
TRAIN = """%%modal_step --name train --gpu T4
for epoch in range(3):
    print('epoch', epoch)
model = {'loss': 0.5}
model"""
USE = "assert model == {'loss': 0.5}\nprint('used here')"
FAIL = "%%modal_step\nprint('before the failure')\nraise ValueError('no data')"
TYPO = "%%modal_step --gpu A1000\nprint('never')"

EXECUTE = {
    "nbconvert": (
        "-m",
        "nbconvert",
        "--to",
        "notebook",
        "--execute",
        "given.ipynb",
        "--output",
        "done.ipynb",
    ),
    "papermill": ("-m", "papermill", "given.ipynb", "done.ipynb"),
}


def execute(
    home: Home, tmp_path: Path, with_tool: str, *cells: str
) -> tuple[subprocess.CompletedProcess[str], list[nbformat.NotebookNode]]:
    """Run a notebook of these cells, and return the process and the cells as they were saved."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, tmp_path / "given.ipynb")
    done = subprocess.run(
        [sys.executable, *EXECUTE[with_tool]],
        cwd=tmp_path,
        env=home.environment,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    saved = tmp_path / "done.ipynb"
    if not saved.exists():
        return done, []
    # papermill puts a cell with its own message before one that failed
    return done, [each for each in nbformat.read(saved, 4).cells if each.get("source") in cells]


@pytest.mark.slow  # the quickstart, below, proves it fast
@pytest.mark.parametrize("tool", EXECUTE)
def test_a_notebook_that_succeeds_exits_zero_and_saves_header_log_and_result(
    home: Home, tmp_path: Path, tool: str
) -> None:
    done, cells = execute(home, tmp_path, tool, LOAD, TRAIN, USE)
    assert done.returncode == 0, done.stderr
    outputs = cells[1].outputs
    (panel,) = [each for each in outputs if "sandbox" in each.get("data", {}).get("text/plain", "")]
    assert panel.data["text/plain"].startswith("train\n")
    assert "done in" in panel.data["text/plain"]
    assert "done in" in panel.data["text/html"]
    log = "".join(each.text for each in outputs if each.output_type == "stream")
    assert log == "epoch 0\nepoch 1\nepoch 2\n"
    (result,) = [each for each in outputs if each.output_type == "execute_result"]
    assert result.data["text/plain"] == "{'loss': 0.5}"
    assert cells[2].outputs[0].text == "used here\n"


# That nbconvert fails too is proven fast by a mistyped option, below.
@pytest.mark.parametrize("tool", [pytest.param("nbconvert", marks=pytest.mark.slow), "papermill"])
def test_a_notebook_whose_cell_fails_exits_non_zero_and_shows_the_users_error(
    home: Home, tmp_path: Path, tool: str
) -> None:
    done, cells = execute(home, tmp_path, tool, LOAD, FAIL)
    assert done.returncode != 0
    assert "ValueError" in done.stderr
    assert "no data" in done.stderr
    assert "cell_run.py" not in done.stderr
    if cells:  # nbconvert saves nothing of a notebook that failed
        (error,) = [each for each in cells[1].outputs if each.output_type == "error"]
        assert (error.ename, error.evalue) == ("ValueError", "no data")


def test_a_mistyped_option_fails_a_headless_run_too(home: Home, tmp_path: Path) -> None:
    done, _ = execute(home, tmp_path, "nbconvert", LOAD, TYPO)
    assert done.returncode != 0
    assert "Did you mean 'A100'?" in done.stderr


def test_the_quickstart_runs_from_beginning_to_end(home: Home, tmp_path: Path) -> None:
    cells = [each.source for each in nbformat.read(QUICKSTART, 4).cells if each.cell_type == "code"]
    done, saved = execute(home, tmp_path, "nbconvert", *cells)
    assert done.returncode == 0, done.stderr
    texts = ["".join(_text(each) for each in cell.outputs) for cell in saved]
    (train,) = [text for cell, text in zip(saved, texts, strict=True) if "%%modal_step" in cell.source]
    assert "C=10" in train
    assert "done in" in train
    (record,) = [text for text in texts if "sandbox_id" in text]
    assert "completed" in record
    assert "estimated_cost_usd" in record
    assert float(texts[-1]) > 0.9  # the model that ZenML has stored scores as the trained one


def _text(output: nbformat.NotebookNode) -> str:
    return output.get("text") or output.get("data", {}).get("text/plain", "")
