"""Ordinary steps of scripts on a team's stack, run connected by operators of our flavor: no Docker, no registry."""

from __future__ import annotations

import ast
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from launches import NOTE_BUILDS
from members import Member
from team import IMAGE

CONNECTED = f"""
NOTE_BUILDS = {NOTE_BUILDS!r}
"""
CONNECTED += """
import os
import sys
from typing import Annotated

from zenml import get_step_context, log_metadata, pipeline, step
from zenml.client import Client
from zenml.config import DockerSettings, ResourceSettings
from zenml_modal_nb.pipelines.flavor import ModalNotebookSettings

SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"

@step
def load() -> Annotated[list, "numbers"]:
    return [1, 2, 3]

@step(step_operator="own", environment={"COLOR": "red"}, settings={
    "step_operator": ModalNotebookSettings(gpu="A100", region="us-east", timeout=600),
    "resources": ResourceSettings(gpu_count=2, cpu_count=4, memory="32GiB"),
    "docker": DockerSettings(parent_image=f"python:{SERIES}-slim", requirements=["six"], apt_packages=["ffmpeg"],
                             environment={"SHAPE": "square"}, runtime_environment={"SHAPE": "round"}),
})
def train(numbers: list) -> Annotated[int, "total"]:
    log_metadata({"step": get_step_context().step_run.name})
    print(f"in the sandbox {numbers} {os.environ['COLOR']} {os.environ['SHAPE']}")
    return sum(numbers)

@step(step_operator="apart", settings={"resources": ResourceSettings(memory="32GB")})
def double(total: int) -> Annotated[int, "doubled"]:
    return total * 2

@step
def show(doubled: int) -> None:
    print("the end is", doubled)

@pipeline(enable_cache=False, name="a mixed pipeline")
def mixed():
    show(double(train(load())))

@step(step_operator="own", settings={
    "step_operator:own": ModalNotebookSettings(cloud="aws"), "resources": ResourceSettings(memory="32GB"),
})
def breaks() -> None:
    raise KeyError("missing")

@step(step_operator="own", settings={"step_operator": {"timeout": 1}})
def lasts() -> None:
    import time
    time.sleep(60)

@step(step_operator="own", settings={"step_operator": {"region": "us-nowhere"}})
def nowhere() -> None: ...

@step(step_operator="own", settings={"docker": DockerSettings(install_stack_requirements=False)})
def lacking() -> None: ...

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
    exec(NOTE_BUILDS)
    try:
        run = mixed()
        step = run.steps["train"]
        logs = Client().get_run_step(step.id).log_collection
        (log,) = [each for each in logs if each.source == "step"]
        lines = [entry.message for entry in Client().active_stack.log_store.fetch(log, limit=100).items]
        told = {
            "recorded": dict(step.run_metadata),
            "steps": {name: each.status.value for name, each in run.steps.items()},
            "logged": [line for line in lines if line.startswith("in the sandbox")],
            "metadata": step.run_metadata["step"],
            "ends": {each.name: ends(each) for each in (breaks, lasts, nowhere, lacking)},
            "built": built,
        }
        print("FACTS", repr(told))
    finally:
        Client().activate_stack("team")
"""


MEETING = """
import socket

def meet():  # returns when all three are there, each in its own sandbox
    with socket.create_connection(("127.0.0.1", PORT)) as connection:
        connection.recv(1)
"""
SUMS = """
from meeting import meet
from zenml import step

@step(step_operator="own")
def total(numbers: list) -> int:
    meet()
    return sum(numbers)
"""
DYNAMIC = """
from zenml import pipeline, step
from zenml.client import Client
from meeting import meet
from sums import total

@step(step_operator="apart")
def double(n: int) -> int:
    meet()
    return n * 2

@pipeline(enable_cache=False, dynamic=True)
def parallel():
    futures = [double.submit(2), double.submit(3), total.submit([4, 5])]
    found.extend(each.load() for each in futures)

if __name__ == "__main__":
    found = []
    Client().activate_stack("STACK")
    try:
        parallel()
    finally:
        Client().activate_stack("team")
    run = Client().get_pipeline("parallel").last_run
    print("FACTS", repr([found, sorted(each.status.value for each in run.steps.values())]))
"""


@contextmanager
def meeting(count: int) -> Iterator[int]:
    """A port at which so many processes wait for each other."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        ThreadPoolExecutor(1) as pool,
        ExitStack() as open_,
    ):

        def wait_for_all() -> None:
            there = [server.accept()[0] for _ in range(count)]
            for each in there:
                open_.enter_context(each).sendall(b"!")

        pool.submit(wait_for_all)
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)  # if not all have come


def facts_of(printed: str) -> Any:
    (line,) = [line for line in printed.splitlines() if line.startswith("FACTS ")]
    return ast.literal_eval(line.removeprefix("FACTS "))


UNNAMED = f"""
from zenml import pipeline, step
from zenml.client import Client
from zenml.config import DockerSettings
from zenml.enums import StackComponentType as Kind

@step(step_operator=True, settings={{"step_operator": {{"gpu": "L4", "timeout": 300}}}})
def answer(of: str) -> str:
    return "answer of " + of

@pipeline(settings={{"docker": DockerSettings(parent_image="{IMAGE}", skip_build=True)}})
def unnamed(of: str):
    answer(of)

if __name__ == "__main__":
    client, found = Client(), []
    parts = {{Kind.ORCHESTRATOR: "default", Kind.ARTIFACT_STORE: "s3", Kind.CONTAINER_REGISTRY: "registry",
             Kind.IMAGE_BUILDER: "builder"}}
    try:
        for operator in ("modal", "own", "apart"):
            client.create_stack("only_" + operator, {{**parts, Kind.STEP_OPERATOR: operator}})
            client.activate_stack("only_" + operator)
            for step in [unnamed(of=operator).steps["answer"] for _ in range(2)]:
                found.append((step.status.value, step.output.load()))
    finally:
        client.activate_stack("team")
    print("FACTS", repr(found))
"""


@pytest.mark.slow
def test_a_step_names_no_operator_where_the_stack_has_one_and_is_cached_the_second_time(
    member: Member,
) -> None:
    before = time.time()
    done = member.script("unnamed", UNNAMED)
    assert done.returncode == 0, done.stdout + done.stderr
    assert facts_of(done.stdout) == [
        (status, f"answer of {operator}")
        for operator in ("modal", "own", "apart")
        for status in ("completed", "cached")
    ]
    launched = member.launched(before)
    assert [(each.gpu, each.timeout, each.environment) for each in launched] == [
        ("L4:1", 300, "local"), ("L4:1", 300, "local"), ("L4:1", 300, "main"),
    ]  # fmt: skip
    assert [each.command[1] for each in launched] == ["-m", "-m", "-u"]


@pytest.mark.slow
@pytest.mark.parametrize("stack", ["light", "mixed"])
def test_steps_of_a_dynamic_pipeline_run_at_the_same_time(member: Member, stack: str) -> None:
    before = time.time()
    with meeting(3) as port:
        meet = MEETING.replace("PORT", str(port))
        done = member.script(f"dynamic_{stack}", DYNAMIC.replace("STACK", stack), sums=SUMS, meeting=meet)
    assert done.returncode == 0, done.stdout + done.stderr
    assert facts_of(done.stdout) == [[4, 6, 9], ["completed"] * 3]
    launched = member.launched(before)
    assert sorted(each.command[1] for each in launched) == ["-m", "-u", "-u"]
    assert max(each.began for each in launched) < min(each.ended for each in launched)


@pytest.mark.slow
def test_steps_that_run_here_connected_and_detached_pass_artifacts_and_tell_how_they_end(
    member: Member,
) -> None:
    before = time.time()
    done = member.script("connected", CONNECTED)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the end is 12" in done.stdout
    facts = facts_of(done.stdout)
    assert facts["steps"] == dict.fromkeys(["load", "train", "double", "show"], "completed")
    assert facts["logged"] == ["in the sandbox [1, 2, 3] red round"]
    assert facts["metadata"] == "train"
    recorded = facts["recorded"]
    assert (recorded["gpu"], recorded["cpu"], recorded["memory_mib"]) == ("A100:2", 4.0, 32768)
    assert (recorded["region"], recorded["timeout_seconds"], recorded["billed"]) == ("us-east", 600, False)
    assert recorded["sandbox_id"].startswith("sb-")
    assert recorded["hourly_rate_usd"] > 0
    (said,) = [line for line in (done.stdout + done.stderr).splitlines() if "2 × A100" in line]
    assert "train" in said
    assert "this machine (local Modal API), not billed" in said
    assert f"would cost ${recorded['hourly_rate_usd']:,.2f}/h on Modal" in said
    assert facts["ends"]["breaks"].startswith("KeyError: ")
    assert "The step did not end within its timeout" in facts["ends"]["lasts"]
    assert "Unknown region 'us-nowhere'" in facts["ends"]["nowhere"]
    assert "DockerSettings.install_stack_requirements=False does not hold" in facts["ends"]["lacking"]
    assert f"FROM python:{sys.version_info.major}.{sys.version_info.minor}-slim" in facts["built"]
    assert any("apt-get install" in each and "ffmpeg" in each for each in facts["built"])
    train, double, breaks, *_ = member.launched(before)
    assert {train.app, double.app} == {"zenml-modal-nb-a-mixed-pipeline"}
    assert (train.gpu, train.cores, train.memory_mib, train.timeout) == ("A100:2", 4.0, 32768, 600)
    assert (train.regions, train.cloud, train.environment) == (("us-east",), "gcp", "local")
    assert {"six", "zenml"} <= set(train.packages)
    assert "zenml-modal-nb" not in train.packages  # its source comes along
    assert "zenml.entrypoints.entrypoint" in train.command
    assert (double.gpu, double.environment, double.command[1:3]) == (None, "main", ("-u", "-c"))
    assert (double.memory_mib, breaks.memory_mib) == (32000, 32000)  # decimal, as ZenML sends it
    assert breaks.cloud == "aws"  # the step's own setting, not the component's
    assert all("ZENML_STORE" not in each.record for each in (train, double))
