"""Cells that seed a generator before anything else."""

from __future__ import annotations

import ast

import pytest

from zenml_modal_nb.cells.seeding import seeded

MODULES = {"np": "numpy", "random": "random"}
VALUES = {"SEED": 3, "NONE": None}


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ("random.seed(0)", {"random"}),
        (
            "'A docstring.'\nimport numpy.random as r\nS = 4\nr.seed(S)\nrandom.seed(SEED)",
            {"numpy.random", "random"},
        ),
        ("from torch import manual_seed\nmanual_seed(1)", {"torch"}),
        ("import torch\ntorch.manual_seed(SEED)", {"torch"}),
        ("x = random.random()\nrandom.seed(0)", set()),  # drawn before
        ("random.seed()", set()),  # from the machine
        ("random.seed(None)", set()),
        ("random.seed(NONE)", set()),
        ("SEED = None\nrandom.seed(SEED)", set()),
        ("random.seed(time())", set()),
        ("if SEED:\n    random.seed(0)", set()),
        ("other.seed(0)", set()),
    ],
)
def test_a_seed_at_the_start_is_found(cell: str, found: set[str]) -> None:
    assert seeded(ast.parse(cell), MODULES, VALUES) == found
