"""Plain pipelines of ZenML's own Modal step operator, unmodified, on a team's stack."""

from __future__ import annotations

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


def test_a_pipeline_of_a_script_runs_one_step_in_a_sandbox_of_the_size_it_asks_for(member: Member) -> None:
    before = len(member.launched())
    done = member.script("plain", PIPELINE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the total is 6" in done.stdout
    assert "{'load': 'completed', 'train': 'completed', 'show': 'completed'}" in done.stdout
    (sandbox,) = member.launched()[before:]
    assert (sandbox.gpu, sandbox.cores, sandbox.memory_mib) == ("A100:2", 4.0, 32000)
    assert (sandbox.regions, sandbox.cloud, sandbox.timeout) == (("us-east",), "aws", 600)
    assert (sandbox.end, sandbox.code) == ("EXITED", 0)
