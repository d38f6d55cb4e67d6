"""What ends the process of a dynamic pipeline, e.g. an interrupt, ends the sandboxes of the steps it has submitted."""

from __future__ import annotations

import ast
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from members import Member

SUBMITTED = """
import socket
import threading
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

@step
def later() -> None:
    print("NEVER")

@pipeline(enable_cache=False, dynamic=True, name="NAME")
def submitted():
    running = [connected.submit(), detached.submit()]
    later(after=running)

def run():
    Client().activate_stack("light")
    submitted()

if __name__ == "__main__":
    MAIN
"""

ENDED = """
from zenml.client import Client
run = Client().get_pipeline("NAME").last_run
print("FACTS", repr((run.status.value, {name: each.status.value for name, each in run.steps.items()})))
Client().activate_stack("team")
"""

STOPPED = ("stopped", {"connected": "stopped", "detached": "stopped"})


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """Where steps wait that have come so far."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(150)
        yield listening


def text(name: str, server: socket.socket, main: str) -> str:
    filled = SUBMITTED.replace("NAME", name).replace("PORT", str(server.getsockname()[1]))
    return filled.replace("MAIN", main)


def recorded(member: Member, name: str) -> object:
    """How the run and its steps have ended, as another process reads it."""
    seen = member.script(f"reads_{name}", ENDED.replace("NAME", name))
    (line,) = [line for line in seen.stdout.splitlines() if line.startswith("FACTS ")]
    return ast.literal_eval(line.removeprefix("FACTS "))


def end_of(process: subprocess.Popen[str]) -> tuple[str, str]:
    try:
        return process.communicate(timeout=45)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("name", "signals"),
    [
        ("once", [signal.SIGINT]),
        ("twice", [signal.SIGINT, signal.SIGINT]),
        ("terminated", [signal.SIGTERM]),
    ],
)
def test_a_signal_ends_the_sandboxes_that_were_submitted(
    member: Member, server: socket.socket, name: str, signals: list[signal.Signals]
) -> None:
    before = time.time()
    with member.started(name, text(name, server, "run()")) as process:
        there = [server.accept()[0] for _ in range(2)]
        for number in signals:
            process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.5)
        printed, told = end_of(process)
        for each in there:
            each.close()
    assert process.returncode == -signals[0], printed + told
    assert [each.end for each in member.launched(before)] == ["TERMINATED"] * 2
    assert recorded(member, name) == STOPPED, printed + told
    assert "NEVER" not in printed
    assert "unexpectedly died" not in printed + told
    assert "never awaited" not in printed + told


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_end_of_the_interpreter_ends_the_sandboxes_that_were_submitted(
    member: Member, server: socket.socket
) -> None:
    before = time.time()
    main = 'threading.Thread(target=run, daemon=True).start(); wait(b"m")'
    with member.started("left", text("left", server, main)) as process:
        there = {each.recv(1): each for each in [server.accept()[0] for _ in range(3)]}
        there[b"m"].close()
        printed, told = end_of(process)
        for each in there.values():
            each.close()
    assert process.returncode == 0, printed + told
    assert [each.end for each in member.launched(before)] == ["TERMINATED"] * 2
    assert recorded(member, "left") == STOPPED, printed + told
