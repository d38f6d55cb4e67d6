"""A stop that somebody asks for elsewhere, as ZenML's dashboard does, ends the sandbox and the run."""

from __future__ import annotations

import ast
import subprocess
import time
from collections.abc import Iterator

import pytest
from frontend import Home, Kernel, LocalModal
from members import Member
from team import IMAGE

from zenml_modal_nb.emulator.faults import NoCapacity

STOP = """
import sys
from zenml.client import Client
from zenml.enums import ExecutionStatus
from zenml.models import PipelineRunUpdate

(run,) = Client().list_pipeline_runs(status="running").items
Client().zen_store.update_run(run.id, PipelineRunUpdate(status=ExecutionStatus.STOPPING))
"""


@pytest.fixture(scope="module")
def user(home: Home) -> Iterator[Kernel]:
    kernel = Kernel(home, "stopped")
    try:
        kernel.run("%load_ext zenml_modal_nb")
        yield kernel
    finally:
        kernel.close()


@pytest.mark.slow
def test_a_cells_run_that_is_told_to_stop_ends_its_sandbox(user: Kernel, home: Home) -> None:
    cell = user.send("%%modal_step\nimport time\nprint('waits')\nwhile True:\n    time.sleep(1)")
    user.wait_for_text(cell, "waits")
    asked = home.python("-c", STOP)
    assert asked.returncode == 0, asked.stderr
    reply = user.finish(cell)
    assert reply.ename == "KeyboardInterrupt"
    assert LocalModal(home).sandboxes() == []
    given = "from zenml.client import Client\nrun = Client().get_pipeline_run(_modal_run.id)"
    assert user.ask("run.status.value", given=given) == "stopped"


@pytest.fixture(scope="module")
def colleague(member: Member) -> Iterator[Kernel]:
    kernel = Kernel(member, "colleague")
    try:
        kernel.run("%load_ext zenml_modal_nb\nfrom zenml.client import Client")
        yield kernel
    finally:
        kernel.run("Client().activate_stack('team')")
        kernel.close()


@pytest.mark.slow
@pytest.mark.parametrize(("stack", "operator"), [("team", "modal"), ("light", "own")])
def test_a_connected_cells_run_that_is_told_to_stop_ends_its_sandbox(
    colleague: Kernel, member: Member, stack: str, operator: str
) -> None:
    colleague.run(f"Client().activate_stack('{stack}')")
    image = f"--image {IMAGE}" if operator == "modal" else ""
    cell = colleague.send(
        f"%%modal_step --operator {operator} {image} --name told\nimport time\nprint('waits')\n"
        "while True:\n    time.sleep(1)"
    )
    colleague.wait_for_text(cell, "waits")
    asked = member.python("-c", STOP)
    assert asked.returncode == 0, asked.stderr
    assert colleague.finish(cell).ename == "KeyboardInterrupt"
    assert member.launched()[-1].end == "TERMINATED"
    given = "run = Client().get_pipeline_run(_modal_run.id)"
    assert colleague.ask("[run.status.value, run.steps['told'].status.value]", given=given) == ["stopped"] * 2


STEPS = """
import socket
import subprocess
import sys
import threading
from pathlib import Path

from zenml import pipeline, step
from zenml.client import Client

THERE = []

def wait_for_ever(port):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.recv(1)

@step(step_operator="own")
def connected(port: int) -> None:
    wait_for_ever(port)

@step(step_operator="apart")
def detached(port: int) -> None:
    wait_for_ever(port)

@step
def later() -> None:
    print("NEVER")

@pipeline(enable_cache=False)
def stopped_connected(port: int):
    connected(port)
    later(after="connected")

@pipeline(enable_cache=False)
def stopped_detached(port: int):
    detached(port)
    later(after="detached")

@pipeline(enable_cache=False, dynamic=True)
def stopped_dynamic(port: int):
    for each in [connected.submit(port), detached.submit(port)]:
        each.result()

def stop(name, server, steps):
    THERE.extend(server.accept()[0] for _ in range(steps))  # kept open: the steps wait
    run = Client().get_pipeline(name).last_run
    zenml = Path(sys.executable).with_name("zenml")
    subprocess.run([zenml, "pipeline", "runs", "stop", run.name, "--graceful", "--yes"], check=True)

def ends(called, steps):
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=stop, args=(called.name, server, steps), daemon=True).start()
        try:
            called(port=server.getsockname()[1])
        except Exception as error:
            print("RAISED", type(error).__name__, error)
    run = Client().get_pipeline(called.name).last_run
    return run.status.value, {name: each.status.value for name, each in run.steps.items()}

if __name__ == "__main__":
    Client().activate_stack("light")
    try:
        runs = ((stopped_connected, 1), (stopped_detached, 1), (stopped_dynamic, 2))
        print("FACTS", repr({called.name: ends(called, steps) for called, steps in runs}))
    finally:
        Client().activate_stack("team")
"""


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_steps_of_a_run_that_the_command_line_stops_end_with_their_sandboxes(member: Member) -> None:
    before = time.time()
    done = member.script("stopped", STEPS, seconds=480)
    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("FACTS ")]
    told = ast.literal_eval(line.removeprefix("FACTS "))
    assert told == {
        "stopped_connected": ("stopped", {"connected": "stopped"}),
        "stopped_detached": ("stopped", {"detached": "stopped"}),
        "stopped_dynamic": ("stopped", {"connected": "stopped", "detached": "stopped"}),
    }
    assert "NEVER" not in done.stdout
    assert [each.end for each in member.launched(before)] == ["TERMINATED"] * 4


PENDING = """
from zenml import pipeline, step
from zenml.client import Client

@step(step_operator="OPERATOR", settings={"step_operator:OPERATOR": {"gpu": "T4"}})
def waits() -> None: ...

@step
def later() -> None:
    print("NEVER")

@pipeline(enable_cache=False)
def stopped_pending_OPERATOR():
    waits()
    later(after="waits")

if __name__ == "__main__":
    Client().activate_stack("light")
    try:
        stopped_pending_OPERATOR()
    except Exception as error:
        print("RAISED", type(error).__name__, error)
    finally:
        Client().activate_stack("team")
    run = Client().get_pipeline("stopped_pending_OPERATOR").last_run
    print("FACTS", repr((run.status.value, {name: each.status.value for name, each in run.steps.items()})))
"""


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("operator", ["own", "apart"])
def test_a_run_that_is_told_to_stop_while_it_waits_for_a_gpu_waits_no_longer(
    member: Member, operator: str
) -> None:
    before, until = time.time(), time.monotonic() + 120
    text = PENDING.replace("OPERATOR", operator)
    with (
        member.fault(NoCapacity("T4")),
        member.started(f"stopped_pending_{operator}", text) as process,
    ):
        while not member.launched(before) and time.monotonic() < until:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.2)
        asked = member.python("-c", STOP)
        assert asked.returncode == 0, asked.stderr
        try:
            printed, told = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    (line,) = [line for line in printed.splitlines() if line.startswith("FACTS ")]
    assert ast.literal_eval(line.removeprefix("FACTS ")) == ("stopped", {"waits": "stopped"}), printed + told
    assert "NEVER" not in printed
    assert [each.end for each in member.launched(before)] == ["TERMINATED"]
