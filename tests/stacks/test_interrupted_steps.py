"""Steps that run, seen and ended by whoever has started them: their log, an interrupt, the failure of another."""

from __future__ import annotations

import ast
import signal
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest
from members import Member

from zenml_modal_nb.emulator.faults import NoCapacity

STARTED = """
import socket
from zenml import pipeline, step
from zenml.client import Client

@step(step_operator="OPERATOR")
def waits() -> None:
    print("said before it waits")
    with socket.create_connection(("127.0.0.1", PORT)) as connection:
        connection.recv(1)

@pipeline(enable_cache=False)
def interrupted_OPERATOR():
    waits()

if __name__ == "__main__":
    Client().activate_stack("light")
    try:
        interrupted_OPERATOR()
    except KeyboardInterrupt:
        run = Client().get_pipeline("interrupted_OPERATOR").last_run
        print("FACTS", repr([run.status.value, run.steps["waits"].status.value]))
    finally:
        Client().activate_stack("team")
"""

# What another process reads of the step's log, once there is anything.
READ = """
import time
from zenml.client import Client
client, until, found = Client(), time.monotonic() + 60, []
(step,) = client.get_pipeline("interrupted_OPERATOR").last_run.steps.values()
while not found and time.monotonic() < until:
    logs = client.get_run_step(step.id).log_collection
    stack = client.active_stack
    found = [
        entry.message for log in logs if log.source == "step" for entry in stack.log_store.fetch(log, limit=100).items
        if "said before" in entry.message
    ]
print("FACTS", repr([client.get_run_step(step.id).status.value, found]))
"""


def facts(printed: str) -> list[object]:
    (line,) = [line for line in printed.splitlines() if line.startswith("FACTS ")]
    return list(ast.literal_eval(line.removeprefix("FACTS ")))


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """Where steps wait that have come so far."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(150)
        yield listening


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("operator", ["own", "apart"])
def test_the_log_is_in_zenml_while_the_step_runs_and_an_interrupt_ends_the_sandbox(
    member: Member, server: socket.socket, operator: str
) -> None:
    before = time.time()
    port = str(server.getsockname()[1])
    process = member.started(
        f"interrupted_{operator}", STARTED.replace("OPERATOR", operator).replace("PORT", port)
    )
    with process, server.accept()[0]:
        seen = member.script(f"reads_{operator}", READ.replace("OPERATOR", operator))
        assert seen.returncode == 0, seen.stdout + seen.stderr
        assert facts(seen.stdout) == ["running", ["said before it waits"]]
        process.send_signal(signal.SIGINT)
        printed, told = process.communicate(timeout=120)
    assert facts(printed) == ["stopped", "stopped"], printed + told
    assert [each.end for each in member.launched(before)] == ["TERMINATED"]


PENDING = """
from zenml import pipeline, step
from zenml.client import Client

@step(step_operator="OPERATOR", settings={"step_operator:OPERATOR": {"gpu": "T4"}})
def waits() -> None: ...

@pipeline(enable_cache=False)
def pending_OPERATOR():
    waits()

if __name__ == "__main__":
    Client().activate_stack("light")
    try:
        pending_OPERATOR()
    except KeyboardInterrupt:
        run = Client().get_pipeline("pending_OPERATOR").last_run
        print("FACTS", repr([run.status.value, run.steps["waits"].status.value]))
    finally:
        Client().activate_stack("team")
"""


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("operator", ["own", "apart"])
def test_an_interrupt_while_a_gpu_is_waited_for_leaves_no_sandbox(member: Member, operator: str) -> None:
    before, until = time.time(), time.monotonic() + 120
    with (
        member.fault(NoCapacity("T4")),
        member.started(f"pending_{operator}", PENDING.replace("OPERATOR", operator)) as process,
    ):
        while not member.launched(before) and time.monotonic() < until:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.2)
        process.send_signal(signal.SIGINT)
        printed, told = process.communicate(timeout=120)
    assert facts(printed) == ["stopped", "stopped"], printed + told
    assert [each.end for each in member.launched(before)] == ["TERMINATED"]


# An interrupt just when the sandbox is there: while its image is remembered, in a file, or its ID is recorded.
CREATED = """
import signal
import sys

from zenml import pipeline, step
from zenml.client import Client
from zenml.zen_stores.rest_zen_store import RestZenStore

@step(step_operator="OPERATOR")
def waits() -> None:
    import time
    time.sleep(600)

@pipeline(enable_cache=False)
def created_OPERATOR():
    waits()

armed = [""]

def interrupt(moment):
    if armed[0] == moment:
        armed[0] = ""
        signal.raise_signal(signal.SIGINT)

def at_file(event, arguments):
    if event == "os.rename" and "/notebooks/" in str(arguments[1]):
        interrupt("image")

def at_metadata(self, metadata, record=RestZenStore.create_run_metadata):
    if "sandbox_id" in metadata.values:
        interrupt("ID")
    return record(self, metadata)

def ends(moment):
    armed[0] = moment
    try:
        created_OPERATOR()
    except KeyboardInterrupt:
        run = Client().get_pipeline("created_OPERATOR").last_run
        return run.status.value, run.steps["waits"].status.value

if __name__ == "__main__":
    sys.addaudithook(at_file)
    RestZenStore.create_run_metadata = at_metadata
    Client().activate_stack("light")
    try:
        print("FACTS", repr([ends("image"), ends("ID")]))
    finally:
        Client().activate_stack("team")
"""


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("operator", ["own", "apart"])
def test_an_interrupt_just_after_the_creation_ends_the_sandbox(member: Member, operator: str) -> None:
    before = time.time()
    done = member.script(f"created_{operator}", CREATED.replace("OPERATOR", operator))
    assert done.returncode == 0, done.stdout + done.stderr
    assert facts(done.stdout) == [("stopped", "stopped")] * 2, done.stdout + done.stderr
    assert [each.end for each in member.launched(before)] == ["TERMINATED"] * 2


CANCELLED = """
import socket
from zenml import pipeline, step
from zenml.client import Client

def wait(name):
    with socket.create_connection(("127.0.0.1", PORT)) as connection:
        connection.sendall(name)
        connection.recv(1)

@step(step_operator="own")
def connected() -> None:
    wait(b"c")

@step(step_operator="apart")
def detached() -> None:
    wait(b"d")

@step(step_operator="apart")
def breaks() -> None:
    wait(b"b")
    raise LookupError("the first of three")

@pipeline(enable_cache=False, dynamic=True, execution_mode="fail_fast")
def cancelled():
    for each in [connected.submit(), detached.submit(), breaks.submit()]:
        each.result()

if __name__ == "__main__":
    Client().activate_stack("STACK")
    try:
        cancelled()
    except Exception:
        run = Client().get_pipeline("cancelled").last_run
        found = {name: each.status.value for name, each in run.steps.items()}
        print("FACTS", repr([run.status.value, found]))
    finally:
        Client().activate_stack("team")
"""


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("stack", ["light", "mixed"])
def test_the_failure_of_one_ends_the_sandboxes_of_the_others(
    member: Member, server: socket.socket, stack: str
) -> None:
    before = time.time()
    text = CANCELLED.replace("PORT", str(server.getsockname()[1])).replace("STACK", stack)
    with member.started(f"cancelled_{stack}", text) as process:
        there = {each.recv(1): each for each in [server.accept()[0] for _ in range(3)]}
        there[b"b"].sendall(b"!")
        printed, told = process.communicate(timeout=150)
        for each in there.values():
            each.close()
    stopped = {"connected": "stopped", "detached": "stopped", "breaks": "failed"}
    assert facts(printed) == ["failed", stopped], printed + told
    assert "LookupError: the first of three" in printed + told
    assert [each.end for each in member.launched(before)] == ["TERMINATED"] * 3
