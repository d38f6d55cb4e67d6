"""Every fault that there is can be planned with the words of the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from zenml_modal_nb.emulator import faults, running
from zenml_modal_nb.emulator.__main__ import main as command_line
from zenml_modal_nb.emulator.faults.kinds import KINDS
from zenml_modal_nb.emulator.private_server import PrivateServer

# One of each kind with every option said, in the order of its fields.
SAID = {
    "no-capacity": (["--gpu", "H100", "--seconds", "30", "--refuse"], faults.NoCapacity("H100", 30, True)),
    "slow-scheduling": (["--seconds", "2.5"], faults.SlowScheduling(2.5)),
    "unavailable": (
        ["--call", "Sandbox*", "--after", "1", "--times", "2"],
        faults.Unavailable("Sandbox*", 1, 2),
    ),
    "dropped-connection": (
        ["--call", "Sandbox*", "--after", "1", "--times", "2"],
        faults.DroppedConnection("Sandbox*", 1, 2),
    ),
    "rate-limit": (
        ["--call", "AppList", "--retry-after", "0.5", "--times", "3"],
        faults.RateLimit("AppList", 0.5, 3),
    ),
    "refusal": (
        ["--call", "AppList", "--message", "no", "--status", "INTERNAL", "--times", "2"],
        faults.Refusal("AppList", "no", "INTERNAL", 2),
    ),
    "preemption": (
        ["--after", "1", "--grace", "2", "--code", "143", "--times", "2"],
        faults.Preemption(1, 2, 143, 2),
    ),
    "out-of-memory": (["--after", "1", "--code", "9", "--times", "2"], faults.OutOfMemory(1, 9, 2)),
    "lost-worker": (["--after", "1", "--code", "9", "--times", "2"], faults.LostWorker(1, 9, 2)),
    "build-failure": (["--message", "no rule", "--times", "2"], faults.BuildFailure("no rule", 2)),
    "log-retention": (["--size", "100"], faults.LogRetention(100)),
    "invalid-utf8": (["--position", "7"], faults.InvalidUtf8(7)),
    "late-commits": (["--seconds", "1"], faults.LateCommits(1)),
    "latency": (["--milliseconds", "5", "--call", "AppList"], faults.Latency(5, call="AppList")),
}


@pytest.fixture(scope="module")
def other_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateServer]:
    with running(state_dir=tmp_path_factory.mktemp("state")) as server:
        yield server


@pytest.mark.parametrize("kind", KINDS)
def test_every_fault_is_planned_on_the_command_line(
    other_server: PrivateServer, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words, fault = SAID[kind]
    place = ["--state-dir", str(other_server.state_dir)]
    assert command_line(["fault", "add", kind, *words, *place]) == 0
    fault_id = capsys.readouterr().out.strip()
    assert [(item.id, item.fault) for item in other_server.faults.list()] == [(fault_id, fault)]
    assert command_line(["fault", "list", "--json", *place]) == 0
    (shown,) = json.loads(capsys.readouterr().out)
    assert (shown["kind"], shown["happened"]) == (kind, 0)
    assert command_line(["fault", "clear", fault_id, *place]) == 0
    assert other_server.faults.list() == []


@pytest.mark.parametrize(
    "fault", [faults.DroppedConnection("SandboxListV2"), faults.Unavailable("SandboxListV2")]
)
def test_status_says_so_when_a_server_breaks_off(
    other_server: PrivateServer, fault: faults.Fault, capsys: pytest.CaptureFixture[str]
) -> None:
    other_server.faults.add(fault)
    assert command_line(["status", "--state-dir", str(other_server.state_dir)]) == 1
    assert "does not answer" in capsys.readouterr().err
    assert command_line(["status", "--state-dir", str(other_server.state_dir)]) == 0
