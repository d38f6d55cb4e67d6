"""Whole notebooks on real data: every cell but the imports in a sandbox, and all is as if it had run here."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path

import nbformat
import pytest
from frontend import Home, Kernel
from sides import NAMESPACE, Side, differences, shown

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
OPENING = 6  # cells


@pytest.fixture(scope="module")
def kernels(home: Home) -> Iterator[tuple[Kernel, Kernel]]:
    """One kernel without the extension and one with it."""
    with ExitStack() as stack:
        here, there = (
            stack.enter_context(closing(Kernel(home, f"whole-{name}"))) for name in ("here", "there")
        )
        there.run("%load_ext zenml_modal_nb\n%config ModalStep.on = 'local'")
        Side(here, "../whole-here")
        Side(there, "../whole-there")
        yield here, there


def code_of(name: str) -> list[str]:
    return [cell.source for cell in nbformat.read(NOTEBOOKS / name, 4).cells if cell.cell_type == "code"]


def only_imports(cell: str) -> bool:
    return all(isinstance(each, ast.Import | ast.ImportFrom) for each in ast.parse(cell).body)


def compared(kernels: tuple[Kernel, Kernel], cells: list[str]) -> None:
    """Run the cells in both kernels, and compare what each shows and what the notebook holds after it."""
    here, there = kernels
    for kernel in kernels:
        kernel.ask("[get_ipython().reset()]")
    steps = 0
    for number, cell in enumerate(cells):
        if only_imports(cell):
            here.run(cell)
            there.run(cell)
            continue
        sent = here.send(f"#\n{cell}"), here.question(NAMESPACE)
        reply = there.run(f"%%modal_step\n{cell}")
        steps += 1
        after = there.ask(NAMESPACE)
        plain = here.finish(sent[0])
        assert plain.ok, plain.content
        found = differences(asdict(shown(reply)), asdict(shown(plain)), "shown")
        found += differences(after, here.answer(sent[1]), "after")
        assert not found, "\n".join([f"cell {number}:", cell, *found])
    assert steps >= len(cells) - 1


@pytest.mark.parametrize("name", [pytest.param("tumours.ipynb", marks=pytest.mark.slow), "quarters.ipynb"])
def test_a_notebooks_opening_ends_in_the_same_state(kernels: tuple[Kernel, Kernel], name: str) -> None:
    compared(kernels, code_of(name)[:OPENING])


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["tumours.ipynb", "quarters.ipynb"])
def test_a_whole_notebook_ends_in_the_same_state(kernels: tuple[Kernel, Kernel], name: str) -> None:
    cells = code_of(name)
    assert len(cells) > 20
    compared(kernels, cells)
