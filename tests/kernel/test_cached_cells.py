"""`--cache`: an unchanged cell gets back what its earlier run has done, without a sandbox."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from frontend import Home, Kernel

STATUS = """
from zenml.client import Client
run = Client().get_pipeline_run(_modal_run.id)
(step_run,) = run.steps.values()
"""
CACHED = "step_run.status.value"

SETUP = """
import random
from dataclasses import dataclass

FACTOR, OFFSET, names = 3, 4, {"ada", "grace", "edsger"}

def scale(x):
    return offset(x * FACTOR)

def offset(x):
    return x + OFFSET

@dataclass
class Point:
    x: int

history, alias, gone, flag = [1], None, "here", True
alias = history
random.seed(7)
"""
CELL = """%%modal_step --cache --name whole
total = scale(10)
history.append(total)
if flag:
    perhaps = Point(len(names))
del gone
drawn = random.random()
print("printed", total)
display({"shown": total})
total + 1"""


@pytest.fixture(scope="module")
def second_kernel(home: Home) -> Iterator[Kernel]:
    """Another kernel of the same user, warm."""
    kernel = Kernel(home, "second")
    try:
        kernel.run("%load_ext zenml_modal_nb")
        kernel.run("from zenml.client import Client")
        yield kernel
    finally:
        kernel.close()


def test_another_kernel_ends_in_the_same_state_without_a_sandbox(
    kernel: Kernel, second_kernel: Kernel
) -> None:
    state = (
        "[total, history, alias is history, perhaps.x, type(perhaps) is Point, "
        "'gone' in dir(), drawn, random.random()]"
    )
    kernel.run(SETUP)
    first = kernel.run(CELL)
    expected = kernel.ask(state)
    assert kernel.ask(CACHED, given=STATUS) == "completed"
    name = kernel.ask("run.name", given=STATUS)

    second_kernel.run(SETUP)
    second = second_kernel.run(CELL)
    assert second_kernel.ask(CACHED, given=STATUS) == "cached"
    assert second_kernel.ask(state) == expected
    assert (second.stdout, second.results) == (first.stdout, first.results) == ("printed 34\n", ["35"])
    assert [each["data"] for each in second.displays] == [each["data"] for each in first.displays]
    assert f"cached: outputs of run {name} of " in second.panel
    assert "no sandbox, $0" in second.panel
    assert "outputs: total, drawn, perhaps" in second.panel
    assert second_kernel.ask("[_modal_run.cost, _modal_run.status, _modal_run.result()]") == [
        0.0,
        "finished",
        35,
    ]
    assert second_kernel.ask("sorted(step_run.outputs)", given=STATUS) == [
        "drawn", "history", "perhaps", "total", "whole-outcome",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        "def offset(x):\n    return x + OFFSET + 1",
        "OFFSET = 5",
        "flag = 1.5",
        "random.seed(8)",
        "import warnings\nwarnings.simplefilter('error', ResourceWarning)",
    ],
    ids=["a helper's helper", "a helper's value", "an input", "a seed", "what is an error"],
)
def test_whatever_changes_is_a_change(kernel: Kernel, change: str) -> None:
    kernel.run(SETUP)
    kernel.run(CELL)
    kernel.run(SETUP)
    kernel.run(CELL)
    assert kernel.ask(CACHED, given=STATUS) == "cached"
    kernel.run(SETUP)
    kernel.run(change)
    kernel.run(CELL)
    assert kernel.ask(CACHED, given=STATUS) == "completed"
