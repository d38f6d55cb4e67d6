"""What the README shows works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

from frontend import Home, Kernel

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
LOAD, CELL, RECORD, LOG, DEFINITION, PIPELINE, SETTINGS, TESTS = re.findall(
    r"^```python\n(.*?)^```", README, re.M | re.S
)

GIVEN = """
class Model:
    def score(self, X, y):
        return 1.0
def train(X, y):
    print("trained")
    return Model()
X = y = X_test = y_test = [1, 2]
"""


def test_the_cell_runs_and_its_record_and_log_are_found(new_kernel: Kernel) -> None:
    new_kernel.run(LOAD)
    new_kernel.run(GIVEN)
    assert new_kernel.run(CELL).results == ["1.0"]
    (metadata,) = new_kernel.run(RECORD).results
    assert "sb-" in metadata
    assert "trained\n" in new_kernel.run(LOG).stdout


STEPS = """
from typing import Annotated
from zenml import step

@step
def load() -> tuple[Annotated[list, "X"], Annotated[list, "y"]]:
    return [1, 2], [3, 4]

def fit(X, y, epochs):
    return sum(X + y) * epochs

@step
def evaluate(model: int) -> None:
    print("evaluated", model)
"""


def test_a_defined_step_runs_in_a_pipeline_between_others(new_kernel: Kernel) -> None:
    new_kernel.run(LOAD)
    new_kernel.run(STEPS)
    assert "train(X, y, epochs) -> model" in new_kernel.run(DEFINITION).results[0]
    try:
        assert "evaluated 30" in new_kernel.run(PIPELINE).stdout
    finally:
        new_kernel.run("Client().activate_stack('default')")


GPUS = """
from zenml import pipeline
from zenml.client import Client
from zenml.enums import StackComponentType as Type

client = Client()
client.create_stack_component("gpus", "modal_notebook", Type.STEP_OPERATOR, configuration={})
client.create_stack("on_gpus", {
    Type.ORCHESTRATOR: "default", Type.ARTIFACT_STORE: "default", Type.STEP_OPERATOR: "gpus"
})
client.activate_stack("on_gpus")

@pipeline(enable_cache=False)
def anywhere():
    train_anywhere([1, 2], [3, 3])
"""


def test_an_ordinary_step_of_a_notebook_runs_on_an_operator_of_the_users(new_kernel: Kernel) -> None:
    new_kernel.run(LOAD)
    new_kernel.run(SETTINGS)
    new_kernel.run(GPUS)
    try:
        told = new_kernel.run("result = anywhere().steps['train_anywhere'].output.load()").stdout
        assert "2 × A100 · 4 cores · 32 GiB · us-east" in told
        assert new_kernel.ask("result") == 0.5
    finally:
        new_kernel.run("client.activate_stack('default')")


def test_modal_code_can_be_tested_against_the_local_modal_api(home: Home) -> None:
    (home.path / "my_modal_script.py").write_text(
        "import modal\n"
        "app = modal.App.lookup('mine', create_if_missing=True)\n"
        "sandbox = modal.Sandbox.create('echo', 'from a sandbox', app=app)\n"
        "print(sandbox.stdout.read())\n"
    )
    done = home.python("-c", TESTS)
    assert done.returncode == 0, done.stderr
    assert "from a sandbox" in done.stdout
