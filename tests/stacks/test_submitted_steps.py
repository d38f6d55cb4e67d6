"""Steps that a dynamic pipeline submits: seen while they run, by their names, and recorded when they end."""

from __future__ import annotations

import ast
import socket
import time

import pytest
from members import Member

SUBMITTED = """
import os
import socket
from zenml import pipeline, step
from zenml.client import Client

@step(step_operator="apart")
def says(word: str) -> None:
    print("first " + word)
    print("second ", end="")
    print(word)
    with socket.create_connection(("127.0.0.1", PORT)) as connection:
        connection.recv(1)
    print("no end", end="")

@step
def later() -> None:
    print("LATER")

@pipeline(enable_cache=False, dynamic=True)
def submitted():
    later(after=[says.submit("here"), says.submit("there")])

if __name__ == "__main__":
    os.environ["ZENML_DYNAMIC_PIPELINE_MONITORING_INTERVAL"] = "600"  # ZenML looks no more by itself
    Client().activate_stack("light")
    try:
        submitted()
        steps = Client().get_pipeline("submitted").last_run.steps
        print("FACTS", repr({name: each.end_time.timestamp() for name, each in steps.items()}))
    finally:
        Client().activate_stack("team")
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_steps_that_run_at_once_are_told_while_they_run_and_recorded_when_they_end(member: Member) -> None:
    before = time.time()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(150)
        text = SUBMITTED.replace("PORT", str(server.getsockname()[1]))
        with member.started("submitted", text) as process:
            assert process.stdout is not None
            there = [server.accept()[0] for _ in range(2)]
            wanted = {
                "[says] first here", "[says] second here", "[says_2] first there", "[says_2] second there",
            }  # fmt: skip
            seen: list[str] = []
            while not (wanted <= set(seen) and {"says", "says_2"} <= {_placed(line) for line in seen}):
                line = process.stdout.readline()
                assert line, "".join(seen)
                seen.append(line.rstrip("\n"))
            for each in there:
                each.close()
            printed, told = process.communicate(timeout=120)
    lines = printed.splitlines()
    assert {"[says] no end", "[says_2] no end"} <= set(lines), printed + told
    assert "LATER" in printed
    (found,) = [line for line in lines if line.startswith("FACTS ")]
    ends = ast.literal_eval(found.removeprefix("FACTS "))
    assert max(ends["says"], ends["says_2"]) - max(each.ended or 0 for each in member.launched(before)) < 60


def _placed(line: str) -> str:
    """The name of the step whose header says where it runs, e.g. "says" of "[says] local Modal API · CPU"."""
    label, _, rest = line.partition("] ")
    return label.removeprefix("[") if "local Modal API" in rest else ""
