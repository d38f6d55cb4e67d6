"""The runner travels into images that hold nothing of ours and of which nothing is known."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import zenml_modal_nb.runner
from zenml_modal_nb.runner.bootstrap import BOOTSTRAP

OURS = "zenml_modal_nb.runner"
PROVIDED = {"cloudpickle"}  # travels with it


def imported(text: str) -> set[str]:
    """The modules that a text imports, wherever it does."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide what is imported"
            found |= (
                {node.module or ""}
                if node.module != "zenml_modal_nb"
                else {f"zenml_modal_nb.{alias.name}" for alias in node.names}
            )
    return found


def is_there(module: str) -> bool:
    return (
        module.partition(".")[0] in sys.stdlib_module_names | PROVIDED
        or module == OURS
        or module.startswith(f"{OURS}.")
    )


def test_the_runner_imports_the_standard_library_cloudpickle_and_itself_only() -> None:
    files = sorted(Path(zenml_modal_nb.runner.__file__ or "").parent.rglob("*.py"))
    texts = {file.name: file.read_text("utf-8") for file in files} | {"the bootstrap": BOOTSTRAP}
    assert len(texts) > 20
    wrong = {
        name: sorted(each for each in imported(text) if not is_there(each)) for name, text in texts.items()
    }
    assert {name: modules for name, modules in wrong.items() if modules} == {}
