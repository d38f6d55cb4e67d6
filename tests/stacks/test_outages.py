"""Steps whose Modal is away for a while, or has lost what it had: they go on, and nothing is left behind."""

from __future__ import annotations

import ast
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from members import Member

from zenml_modal_nb.emulator.faults import Unavailable

WAITS = """
import socket

from zenml import pipeline, step
from zenml.client import Client

@step(step_operator="own")
def waits() -> int:
    with socket.create_connection(("127.0.0.1", PORT)) as connection:
        connection.recv(1)
    return 42

@pipeline(enable_cache=False)
def NAME():
    waits()

if __name__ == "__main__":
    Client().activate_stack("light")
    try:
        run = NAME()
    finally:
        Client().activate_stack("team")
    step = run.steps["waits"]
    print("FACTS", repr([run.status.value, step.status.value, step.output.load()]))
"""
_REFUSED = 12  # calls; the SDK itself repeats one three times


def facts_of(printed: str) -> Any:
    (line,) = [line for line in printed.splitlines() if line.startswith("FACTS ")]
    return ast.literal_eval(line.removeprefix("FACTS "))


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """Where the steps wait."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(150)
        yield listening


def wait_for_refusals(member: Member, process: subprocess.Popen[str]) -> None:
    """Return when a whole outage's calls have been refused; the script must not end before."""
    until = time.monotonic() + 150
    while member.refused(Unavailable) < _REFUSED and time.monotonic() < until:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.2)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("comes_back", [True, False])
def test_a_connected_step_outlasts_an_outage_of_modals(
    member: Member, server: socket.socket, comes_back: bool
) -> None:
    before = time.time()
    name = f"outage_{comes_back}".lower()
    text = WAITS.replace("PORT", str(server.getsockname()[1])).replace("NAME", name)
    # Where it does not come back, the step's end is known from ZenML.
    outage = Unavailable("SandboxWait*", times=_REFUSED if comes_back else 10**6)
    with member.started(name, text) as process, server.accept()[0] as there, member.fault(outage):
        wait_for_refusals(member, process)
        there.sendall(b"!")
        printed, told = process.communicate(timeout=150)
    assert facts_of(printed) == ["completed", "completed", 42], printed + told
    assert "Traceback" not in told
    assert "Retrying" not in told  # the SDK's own words
    (sandbox,) = member.launched(before)
    assert sandbox.end in {"EXITED", None}  # None: it ends just now


UNREACHABLE = """
from zenml import pipeline, step
from zenml.client import Client

@step(step_operator="own", settings={"step_operator": {"timeout": 1}})
def late() -> None:
    import time
    time.sleep(600)

@pipeline(enable_cache=False)
def unreachable():
    late()

if __name__ == "__main__":
    Client().activate_stack("light")
    try:
        unreachable()
    except Exception:
        step = Client().get_pipeline("unreachable").last_run.steps["late"]
        print("FACTS", repr([step.status.value, Client().get_run_step(step.id).exception_info.message]))
    finally:
        Client().activate_stack("team")
"""


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_connected_step_is_given_up_when_its_time_is_over_and_modal_still_away(member: Member) -> None:
    with member.fault(Unavailable("SandboxWait*", times=10**6)):
        done = member.script("unreachable", UNREACHABLE)
    assert done.returncode == 0, done.stdout + done.stderr
    status, told = facts_of(done.stdout)
    assert status == "failed"
    assert told.startswith("The sandbox could not be followed to its end: ")
    assert told.endswith(" Run the pipeline again.")
    assert "Exception in thread" not in done.stderr


STOPPED_APP = """
import modal
from zenml import pipeline, step
from zenml.client import Client

@step(step_operator="OPERATOR")
def answers() -> int:
    return 42

@pipeline(enable_cache=False)
def app_OPERATOR():
    answers()

if __name__ == "__main__":
    Client().activate_stack("light")
    try:
        told = [app_OPERATOR().status.value]
        modal.App.lookup("zenml-modal-nb-app_OPERATOR", environment_name="ENVIRONMENT").stop()
        told.append(app_OPERATOR().status.value)
    finally:
        Client().activate_stack("team")
    print("FACTS", repr(told))
"""


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(("operator", "environment"), [("own", "local"), ("apart", "main")])
def test_an_app_that_was_stopped_since_the_last_run_is_made_again(
    member: Member, operator: str, environment: str
) -> None:
    text = STOPPED_APP.replace("OPERATOR", operator).replace("ENVIRONMENT", environment)
    done = member.script(f"app_{operator}", text, seconds=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert facts_of(done.stdout) == ["completed", "completed"]
