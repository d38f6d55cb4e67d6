"""`--cache`: an unchanged cell gets back what its earlier run has done, without a sandbox."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from frontend import LISTEN, Home, Kernel

STATUS = """
from zenml.client import Client
run = Client().get_pipeline_run(_modal_run.id)
(step_run,) = run.steps.values()
"""

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
def kernel(own_kernel: Kernel) -> Kernel:
    """One that no other test has set anything in: what differs from its defaults is a change."""
    return own_kernel


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


def status(kernel: Kernel) -> str:
    """Whether the last cell has run, "completed", or not, "cached"."""
    return str(kernel.ask("step_run.status.value", given=STATUS))


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
    assert status(kernel) == "completed"
    name = kernel.ask("run.name", given=STATUS)

    second_kernel.run(SETUP)
    second_kernel.ask("0", given=LISTEN)
    second = second_kernel.run(CELL)
    assert second_kernel.created() == []
    assert status(second_kernel) == "cached"
    assert second_kernel.ask(state) == expected
    assert (second.stdout, second.results) == (first.stdout, first.results) == ("printed 34\n", ["35"])
    assert [each["data"] for each in second.displays] == [each["data"] for each in first.displays]
    assert f"cached: outputs of run {name} of " in second.panel
    assert "no sandbox, $0" in second.panel
    assert "outputs: total, drawn, perhaps" in second.panel
    told = "[_modal_run.cost, _modal_run.status, _modal_run.result(), _modal_run.logs()]"
    assert second_kernel.ask(told) == [0.0, "finished", 35, "printed 34\n"]
    assert second_kernel.ask("sorted(step_run.outputs)", given=STATUS) == [
        "drawn", "history", "perhaps", "total", "whole-outcome",
    ]  # fmt: skip
    ids = "{of: str(found[0].id) for of, found in step_run.%s.items() if of in ('total', 'history')}"
    made = second_kernel.ask(ids % "outputs", given=STATUS)
    second_kernel.run("%%modal_step\nnothing_saved_again = total, history")
    assert second_kernel.ask(ids % "inputs", given=STATUS) == made


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
    """It is recorded as completed: the test before has kept the outcome of the cell without the change."""
    kernel.run(f"{SETUP}{change}")
    kernel.run(CELL)
    assert status(kernel) == "completed"
    if "warnings" in change:
        kernel.run(
            "warnings.filters[:] = [f for f in warnings.filters if f[:3:2] != ('error', ResourceWarning)]"
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    "line", ["", "--no-cache", "--cache --pip humanize", "--cache --name other", "--cache --env MODE=fast"]
)
def test_without_the_option_or_with_another_image_the_cell_runs(kernel: Kernel, line: str) -> None:
    kernel.run("%%modal_step --cache\noptions_seen = 1")
    kernel.run(f"%%modal_step {line}\noptions_seen = 1")
    assert status(kernel) == "completed"


@pytest.mark.slow
def test_a_default_holds(kernel: Kernel) -> None:
    kernel.run("%config ModalStep.cache = True")
    try:
        kernel.run("%%modal_step\nby_default = [1]")
        kernel.run("%%modal_step\nby_default = [1]")
        assert status(kernel) == "cached"
    finally:
        kernel.run("%config ModalStep.cache = False")


def test_a_secret_variables_value_counts_and_is_recorded_nowhere(kernel: Kernel) -> None:
    cell = "%%modal_step --cache --env CACHE_TOKEN\nimport os\nlength = len(os.environ['CACHE_TOKEN'])"
    found = []
    for token in ("hunter22", "hunter22", "another1"):
        kernel.run(f"%env CACHE_TOKEN={token}")
        kernel.run(cell)
        found.append(status(kernel))
    assert found == ["completed", "cached", "completed"]
    assert (
        kernel.ask("'another1' in step_run.model_dump_json() or 'hunter22' in run.model_dump_json()", STATUS)
        is False
    )


def test_an_edited_local_module_is_a_change(kernel: Kernel) -> None:
    found = []
    for body in ("return 1", "return 1", "return 22"):
        kernel.run(
            f"open('cached_features.py', 'w').write('def feature():\\n    {body}\\n')\n"
            "import importlib, cached_features\nimportlib.reload(cached_features);"
        )
        kernel.run("%%modal_step --cache\nfeature = cached_features.feature()")
        found.append((status(kernel), kernel.ask("feature")))
    assert found == [("completed", 1), ("cached", 1), ("completed", 22)]


def test_a_cell_that_seeds_itself_does_not_depend_on_the_state_before(
    kernel: Kernel, second_kernel: Kernel
) -> None:
    cell = "%%modal_step --cache\nimport random\nrandom.seed(5)\nfirst_draw = random.random()"
    kernel.run("import random\nrandom.seed(1)")
    kernel.run(cell)
    expected = kernel.ask("[first_draw, random.random()]")
    second_kernel.run("import random\nrandom.seed(2)")
    second_kernel.run(cell)
    assert status(second_kernel) == "cached"
    assert second_kernel.ask("[first_draw, random.random()]") == expected


def test_a_cell_that_draws_draws_anew(kernel: Kernel) -> None:
    kernel.run("import random\nrandom.seed(11)")
    draws = []
    for _ in range(2):
        kernel.run("%%modal_step --cache\none_draw = random.random()")
        draws.append((status(kernel), kernel.ask("one_draw")))
    assert [each[0] for each in draws] == ["completed", "completed"]
    assert draws[0] != draws[1]


@pytest.mark.slow
def test_a_failed_cell_is_run_again(kernel: Kernel) -> None:
    cell = "%%modal_step --cache\nprint('tries')\nraise LookupError('nothing there')"
    for _ in range(2):
        assert kernel.attempt(cell).ename == "LookupError"
        assert status(kernel) == "failed"


def test_an_outcome_that_is_gone_is_made_again(kernel: Kernel) -> None:
    cell = "%%modal_step --cache --name lost_one\nlost_value = [3]"
    kernel.run(cell)
    kernel.run("import shutil\nshutil.rmtree(Client().get_artifact_version('lost_one-outcome').uri)")
    kernel.run("del lost_value")
    kernel.run(cell)
    assert status(kernel) == "completed"
    assert kernel.ask("lost_value") == [3]


def test_a_sent_file_counts_by_what_is_in_it(kernel: Kernel) -> None:
    kernel.run("import pathlib, os\nsource = pathlib.Path('source.txt')")
    found = []
    for written, text in ((1, "one"), (2, "one"), (3, "two")):
        kernel.run(f"cached_size = source.write_text('{text}')\nos.utime(source, ({written}, {written}))")
        kernel.run("%%modal_step --cache --file source.txt\nread_there = open('source.txt').read()")
        found.append([status(kernel), kernel.ask("read_there")])
    assert found == [["completed", "one"], ["cached", "one"], ["completed", "two"]]
