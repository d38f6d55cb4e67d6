"""What Modal refuses, e.g. a region that is not on the plan, reaches the user with what to change."""

from __future__ import annotations

import ast
import time
from collections.abc import Iterator

import pytest
from frontend import Kernel
from members import Member
from team import IMAGE

from zenml_modal_nb.emulator.faults import Refusal

SAID = "Region selection is not available on the workspace's plan"

STEPS = f"""
from zenml import pipeline, step
from zenml.client import Client
from zenml.config import DockerSettings

PLACED = {{"region": "us-east"}}

@step(step_operator="modal", settings={{"step_operator:modal": PLACED}})
def stock() -> None: ...

@step(step_operator="own", settings={{"step_operator:own": PLACED}})
def connected() -> None: ...

@step(step_operator="apart", settings={{"step_operator:apart": PLACED}})
def detached() -> None: ...

@step(step_operator="own", settings={{"step_operator:own": {{"workspace": "other"}}}})
def elsewhere() -> None: ...

def ends(called):
    @pipeline(enable_cache=False, name="refused_" + called.name, execution_mode="fail_fast",
              settings={{"docker": DockerSettings(parent_image="{IMAGE}", skip_build=True)}})
    def one():
        called()
    try:
        return one().status.value
    except Exception as error:
        step = Client().get_pipeline("refused_" + called.name).last_run.steps[called.name]
        info = Client().get_run_step(step.id).exception_info
        return str(error), step.status.value, info and info.message

if __name__ == "__main__":
    Client().activate_stack("team")
    told = {{"stock": ends(stock)}}
    Client().activate_stack("light")
    try:
        told |= {{each.name: ends(each) for each in (connected, detached, elsewhere)}}
    finally:
        Client().activate_stack("team")
    print("FACTS", repr(told))
"""


@pytest.fixture(scope="module")
def user(member: Member) -> Iterator[Kernel]:
    kernel = Kernel(member, "refused")
    try:
        kernel.run("%load_ext zenml_modal_nb")
        kernel.run("from zenml.client import Client")
        yield kernel
    finally:
        kernel.run("Client().activate_stack('team')")
        kernel.close()


@pytest.mark.slow
@pytest.mark.parametrize("operator", ["modal", "own", "apart"])
@pytest.mark.parametrize("status", ["PERMISSION_DENIED", "FAILED_PRECONDITION"])
def test_a_cell_says_what_the_server_said_and_which_option_to_leave_out(
    user: Kernel, member: Member, operator: str, status: str
) -> None:
    user.run(f"Client().activate_stack('{'team' if operator == 'modal' else 'light'}')")
    before = time.time()
    with member.fault(Refusal(status=status, message=f"{SAID}.")):
        reply = user.attempt(
            f"%%modal_step --operator {operator} --region us-east --name placed --image {IMAGE}\none = 1"
        )
    assert f"refused the sandbox: {SAID}. Leave out --region and --cloud" in reply.evalue
    assert member.launched(before) == []
    given = "step = Client().get_pipeline_run(_modal_run.id).steps['placed']"
    recorded = "[step.status.value, Client().get_run_step(step.id).exception_info.message]"
    assert user.ask(recorded, given=given) == ["failed", reply.evalue]


@pytest.mark.slow
def test_a_step_says_what_the_server_said_and_which_setting_to_leave_out(member: Member) -> None:
    before = time.time()
    with member.fault(Refusal(message=f"{SAID}.", times=3)):
        done = member.script("refused", STEPS)
    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("FACTS ")]
    told = ast.literal_eval(line.removeprefix("FACTS "))
    assert SAID in told["stock"][0]  # ZenML's own operator, whose words are Modal's
    for name in ("connected", "detached"):
        said, status, recorded = told[name]
        assert (
            f"refused the sandbox: {SAID}. Leave `region` and `cloud` out of the step operator's settings"
            in said
        )
        assert (status, recorded) == ("failed", said)
    assert "The token belongs to workspace 'local', not 'other'" in told["elsewhere"][0]
    assert member.launched(before) == []
