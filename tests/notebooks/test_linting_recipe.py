"""The README's recipe for linting: the code of a `%%modal_step` cell is code to the linter and the formatter."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
CHECK, FORMAT, _ = re.findall(r"^nbqa .*$", README, re.M)
CELLS = (
    "%load_ext zenml_modal_nb",
    "def train(rate):\n    return rate",
    '%%modal_step --gpu A100 --gpu-count 2 --env "P={a}"\nmodel = train( 0.1 )\nmissing_there',
    "%modal_pick --gpu T4",
    "print(model, missing_here)",
)


def test_ruff_knows_what_a_cell_binds_and_finds_what_it_lacks(tmp_path: Path) -> None:
    told = run(CHECK, tmp_path).stdout
    assert "Undefined name `missing_there`" in told
    assert "Undefined name `missing_here`" in told
    assert "`model`" not in told
    assert "`train`" not in told


def test_ruff_formats_a_cell_and_leaves_its_line(tmp_path: Path) -> None:
    run(FORMAT, tmp_path)
    cells = [each.source for each in nbformat.read(tmp_path / "notebook.ipynb", as_version=4).cells]
    assert cells[2] == CELLS[2].replace("train( 0.1 )", "train(0.1)")
    assert cells[3] == CELLS[3]


def run(recipe: str, directory: Path) -> subprocess.CompletedProcess[str]:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(each) for each in CELLS])
    nbformat.write(notebook, directory / "notebook.ipynb")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        recipe,
        shell=True,
        cwd=directory,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
