"""Ordinary steps of scripts on a team's stack, run connected by operators of our flavor: no Docker, no registry."""

from __future__ import annotations

import ast
from typing import Any

import pytest
from members import Member

CONNECTED = """
import os
import sys
from typing import Annotated

from zenml import get_step_context, log_metadata, pipeline, step
from zenml.client import Client
from zenml.config import DockerSettings, ResourceSettings
from zenml_modal_nb.pipelines.flavor import ModalNotebookSettings

@step
def load() -> Annotated[list, "numbers"]:
    return [1, 2, 3]

@step(step_operator="own", environment={"COLOR": "red"}, settings={
    "step_operator": ModalNotebookSettings(gpu="A100", region="us-east", timeout=600),
    "resources": ResourceSettings(gpu_count=2, cpu_count=4, memory="32GiB"),
    "docker": DockerSettings(requirements=["six"], apt_packages=["ffmpeg"], environment={"SHAPE": "round"}),
})
def train(numbers: list) -> Annotated[int, "total"]:
    log_metadata({"step": get_step_context().step_run.name})
    print(f"in the sandbox {numbers} {os.environ['COLOR']} {os.environ['SHAPE']}")
    return sum(numbers)

@step(step_operator="apart")
def double(total: int) -> Annotated[int, "doubled"]:
    return total * 2

@step
def show(doubled: int) -> None:
    print("the end is", doubled)

@pipeline(enable_cache=False)
def mixed():
    show(double(train(load())))

@step(step_operator="own")
def breaks() -> None:
    raise KeyError("missing")

@step(step_operator="own", settings={"step_operator": {"timeout": 1}})
def lasts() -> None:
    import time
    time.sleep(60)

@step(step_operator="own", settings={"step_operator": {"region": "us-nowhere"}})
def nowhere() -> None: ...

def ends(called):
    @pipeline(enable_cache=False, name="p_" + called.name, execution_mode="fail_fast")
    def one():
        called()
    try:
        return one().status.value
    except Exception as error:
        return f"{type(error).__name__}: {error}"

if __name__ == "__main__":
    Client().activate_stack("light")
    try:
        run = mixed()
        step = run.steps["train"]
        logs = Client().get_run_step(step.id).log_collection
        (log,) = [each for each in logs if each.source == "step"]
        lines = [entry.message for entry in Client().active_stack.log_store.fetch(log, limit=100).items]
        told = {
            "steps": {name: each.status.value for name, each in run.steps.items()},
            "logged": [line for line in lines if line.startswith("in the sandbox")],
            "metadata": step.run_metadata["step"],
            "ends": {each.name: ends(each) for each in (breaks, lasts, nowhere)},
        }
        print("FACTS", repr(told))
    finally:
        Client().activate_stack("team")
"""


DYNAMIC = """
from zenml import pipeline, step
from zenml.client import Client

@step(step_operator="apart")
def double(n: int) -> int:
    return n * 2

@step(step_operator="own")
def total(numbers: list) -> int:
    return sum(numbers)

@pipeline(enable_cache=False, dynamic=True)
def parallel():
    futures = [double.submit(2), double.submit(3), total.submit([4, 5])]
    found.extend(each.load() for each in futures)

if __name__ == "__main__":
    found = []
    Client().activate_stack("light")
    try:
        parallel()
    finally:
        Client().activate_stack("team")
    print("FACTS", repr(found))
"""


def facts_of(printed: str) -> Any:
    (line,) = [line for line in printed.splitlines() if line.startswith("FACTS ")]
    return ast.literal_eval(line.removeprefix("FACTS "))


@pytest.mark.slow
def test_steps_of_a_dynamic_pipeline_run_at_the_same_time(member: Member) -> None:
    before = len(member.launched())
    done = member.script("dynamic", DYNAMIC)
    assert done.returncode == 0, done.stdout + done.stderr
    assert facts_of(done.stdout) == [4, 6, 9]
    first, second, third = member.launched()[before:]
    assert {first.command[1], second.command[1], third.command[1]} == {"-u", "-m"}


@pytest.mark.slow
def test_steps_that_run_here_connected_and_detached_pass_artifacts_and_tell_how_they_end(
    member: Member,
) -> None:
    before = len(member.launched())
    done = member.script("connected", CONNECTED)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the end is 12" in done.stdout
    facts = facts_of(done.stdout)
    assert facts["steps"] == dict.fromkeys(["load", "train", "double", "show"], "completed")
    assert facts["logged"] == ["in the sandbox [1, 2, 3] red round"]
    assert facts["metadata"] == "train"
    assert facts["ends"]["breaks"].startswith("KeyError: ")
    assert "The step did not end within its timeout" in facts["ends"]["lasts"]
    assert "Unknown region 'us-nowhere'" in facts["ends"]["nowhere"]
    train, double, *_ = member.launched()[before:]
    assert (train.gpu, train.cores, train.memory_mib, train.timeout) == ("A100:2", 4.0, 32768, 600)
    assert (train.regions, train.cloud, train.environment) == (("us-east",), "gcp", "local")
    assert "zenml.entrypoints.entrypoint" in train.command
    assert (double.gpu, double.environment, double.command[1:3]) == (None, "main", ("-u", "-c"))
    assert all("ZENML_STORE" not in each.record for each in (train, double))
