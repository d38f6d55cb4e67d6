"""Plain pipelines of ZenML's own Modal step operator, unmodified, on a team's stack."""

from __future__ import annotations

import time

import pytest
from members import Member
from team import IMAGE

PIPELINE = f"""
import sys
from typing import Annotated

from zenml import pipeline, step
from zenml.config import DockerSettings, ResourceSettings
from zenml.integrations.modal.flavors import ModalStepOperatorSettings

@step
def load() -> Annotated[list, "numbers"]:
    return [1, 2, 3]

@step(step_operator="modal", settings={{
    "step_operator": ModalStepOperatorSettings(gpu="A100", region="us-east", cloud="aws", timeout=600),
    "resources": ResourceSettings(gpu_count=2, cpu_count=4, memory="32GB"),
}})
def train(numbers: list) -> Annotated[int, "total"]:
    print("in the sandbox", numbers)
    return sum(numbers)

@step
def show(total: int) -> None:
    print("the total is", total)

@pipeline(enable_cache=False, settings={{"docker": DockerSettings(parent_image="{IMAGE}", skip_build=True)}})
def plain():
    show(train(load()))

if __name__ == "__main__":
    run = plain()
    print({{name: each.status.value for name, each in run.steps.items()}})
"""


@pytest.mark.slow
def test_a_pipeline_of_a_script_runs_one_step_in_a_sandbox_of_the_size_it_asks_for(member: Member) -> None:
    before = time.time()
    done = member.script("plain", PIPELINE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the total is 6" in done.stdout
    assert "{'load': 'completed', 'train': 'completed', 'show': 'completed'}" in done.stdout
    (sandbox,) = member.launched(before)
    assert (sandbox.gpu, sandbox.cores, sandbox.memory_mib) == ("A100:2", 4.0, 32000)
    assert (sandbox.regions, sandbox.cloud, sandbox.timeout) == (("us-east",), "aws", 600)
    assert (sandbox.end, sandbox.code) == ("EXITED", 0)


SEVERAL = f"""
from typing import Annotated

from zenml import pipeline, step
from zenml.config import DockerSettings

@step(step_operator="modal_dev")
def usual() -> Annotated[int, "number"]:
    return 1

@step(step_operator="modal_dev", settings={{
    # The plain key would be the first operator's.
    # A workspace, which ZenML documents, is no setting of its own flavor's: it is not looked at.
    "step_operator:modal_dev": {{
        "gpu": "L4", "timeout": 300, "modal_environment": "local", "workspace": "elsewhere",
    }},
}})
def overriding(number: int) -> Annotated[int, "next"]:
    return number + 1

@step(step_operator="modal")
def breaks(next: int) -> None:
    raise KeyError("missing")

@pipeline(enable_cache=False, execution_mode="fail_fast",
          settings={{"docker": DockerSettings(parent_image="{IMAGE}", skip_build=True)}})
def several():
    breaks(overriding(usual()))

if __name__ == "__main__":
    try:
        several()
    except KeyError as error:
        print("RAISED", repr(error))
"""


@pytest.mark.slow
def test_several_operators_are_one_for_each_environment_and_a_steps_settings_go_before_theirs(
    member: Member,
) -> None:
    before = time.time()
    done = member.script("several", SEVERAL)
    assert "RAISED KeyError" in done.stdout, done.stdout + done.stderr
    usual, overriding, breaks = member.launched(before)
    assert (usual.gpu, usual.environment, usual.timeout) == ("T4:1", "main", 86400)
    assert (overriding.gpu, overriding.environment, overriding.timeout) == ("L4:1", "local", 300)
    assert (breaks.gpu, breaks.environment, breaks.code) == (None, "local", 1)
