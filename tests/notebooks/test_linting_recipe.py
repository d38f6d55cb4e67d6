"""The README's recipe for linting: the code of a `%%modal_step` cell is code to linter, formatter and type checker."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
import pytest

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
CHECK, FORMAT, PYRIGHT = re.findall(r"^nbqa .*$", README, re.M)
(BUILTINS,) = re.findall(r"`(builtins = .*?)` in `ruff.toml`", README)
(PYFLAKES,) = re.findall(r"`(PYFLAKES_BUILTINS=\S+) jupyter lab`", README)
BINDS = '%%modal_step --gpu A100 --gpu-count 2 --env "P={a}"\nmodel = train( 0.1 )\nmissing_there'
CELLS = (
    "%load_ext zenml_modal_nb",
    "def train(rate):\n    return rate",
    BINDS,
    "%modal_pick --gpu T4",
    "print(model, missing_here)",
)
# In no lock, but installed by the tests that run them: pyright fetches itself from npm, and a language server that
# JupyterLab finds beside it is started with it, so the browser tests would test another JupyterLab.
TOOLS = ("nbqa==1.9.1", "pyright==1.1.414", "python-lsp-server==1.15.0", "pyflakes")


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tools' commands, in an environment of their own."""
    environment = tmp_path_factory.mktemp("tools")
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, environment], check=True)
    python = environment / "bin" / "python"
    subprocess.run([uv, "pip", "install", "--quiet", "--python", python, *TOOLS], check=True)
    return environment / "bin"


def test_ruff_knows_what_a_cell_binds_and_finds_what_it_lacks(tmp_path: Path) -> None:
    told = run(CHECK, tmp_path).stdout
    assert "Undefined name `missing_there`" in told
    assert "Undefined name `missing_here`" in told
    assert "`model`" not in told
    assert "`train`" not in told


@pytest.mark.slow
def test_ruff_formats_a_cell_and_leaves_its_line(tmp_path: Path) -> None:
    run(FORMAT, tmp_path)
    cells = [each.source for each in nbformat.read(tmp_path / "notebook.ipynb", as_version=4).cells]
    assert cells[2] == BINDS.replace("train( 0.1 )", "train(0.1)")
    assert cells[3] == CELLS[3]


@pytest.mark.slow
def test_ruff_by_itself_can_be_told_what_a_cell_binds(tmp_path: Path) -> None:
    alone = "ruff check notebook.ipynb"
    (tmp_path / "ruff.toml").write_text("")
    assert "Undefined name `model`" in run(alone, tmp_path).stdout
    (tmp_path / "ruff.toml").write_text(f"{BUILTINS}\n")
    told = run(alone, tmp_path).stdout
    assert "`model`" not in told
    assert "Undefined name `missing_here`" in told


@pytest.mark.slow
def test_pyright_knows_what_a_cell_binds_and_finds_what_it_lacks(tmp_path: Path, tools: Path) -> None:
    told = run(PYRIGHT, tmp_path, tools).stdout
    assert '"missing_there" is not defined' in told
    assert '"missing_here" is not defined' in told
    assert '"model"' not in told
    assert '"train"' not in told
    without_recipe = run("nbqa pyright notebook.ipynb", tmp_path, tools).stdout
    assert '"model" is not defined' in without_recipe


@pytest.mark.slow
def test_the_language_server_can_be_told_what_a_cell_binds(tools: Path) -> None:
    name, _, value = PYFLAKES.partition("=")
    assert undefined(tools, {}) == {"get_ipython", "model", "missing_here"}
    assert undefined(tools, {name: value}) == {"missing_here"}


def undefined(tools: Path, variables: Mapping[str, str]) -> set[str]:
    """The names that python-lsp-server reports as undefined in the notebook, sent as jupyterlab-lsp sends it."""
    line, _, body = BINDS.removeprefix("%%modal_step").partition("\n")
    line = line.replace('"', '\\"')
    text = "\n\n\n".join(
        [
            'get_ipython().run_line_magic("load_ext", " zenml_modal_nb")',
            CELLS[1],
            f'get_ipython().run_cell_magic("modal_step", "{line}", """{body}""")',
            'get_ipython().run_line_magic("modal_pick", " --gpu T4")',
            CELLS[4],
        ]
    )
    with subprocess.Popen(
        [tools / "pylsp"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **variables}
    ) as server:
        document = {"uri": "file:///notebook.py", "languageId": "python", "version": 1, "text": text}
        nobody = {"processId": None, "rootUri": None, "capabilities": {}}
        tell(server, "initialize", nobody, id=1)
        hear(server, lambda message: message.get("id") == 1)
        tell(server, "initialized", {})
        tell(server, "textDocument/didOpen", {"textDocument": document})
        told = hear(server, lambda message: message.get("method") == "textDocument/publishDiagnostics")
        tell(server, "shutdown", None, id=2)
        tell(server, "exit", None)
    messages = [each["message"] for each in told["params"]["diagnostics"]]
    return {each.split("'")[1] for each in messages if each.startswith("undefined name")}


def tell(server: subprocess.Popen[bytes], method: str, params: Any, **more: int) -> None:
    body = json.dumps({"jsonrpc": "2.0", "method": method, "params": params, **more}).encode()
    assert server.stdin is not None
    server.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
    server.stdin.flush()


def hear(server: subprocess.Popen[bytes], wanted: Any) -> dict[str, Any]:
    assert server.stdout is not None
    while True:
        size = 0
        while (header := server.stdout.readline().strip()) or not size:
            assert header, "the server has ended"
            if header.lower().startswith(b"content-length:"):
                size = int(header.split(b":")[1])
        message: dict[str, Any] = json.loads(server.stdout.read(size))
        if wanted(message):
            return message


def run(recipe: str, directory: Path, tools: Path | None = None) -> subprocess.CompletedProcess[str]:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(each) for each in CELLS])
    nbformat.write(notebook, directory / "notebook.ipynb")
    path = f"{tools or Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        recipe,
        shell=True,
        cwd=directory,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
