"""COVERAGE.md says what the code does."""

from __future__ import annotations

import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
from grpclib import GRPCError, Status
from local_api import Local
from modal_proto.task_command_router_grpc import TaskCommandRouterBase
from raw_calls import METADATA, Stubs, converse

from zenml_modal_nb.emulator import coverage
from zenml_modal_nb.emulator.services.calls import assemble


@pytest.mark.newest
def test_the_published_coverage_is_that_of_the_code() -> None:
    command = [sys.executable, "-m", "zenml_modal_nb.emulator", "coverage", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stderr} Run `python -m zenml_modal_nb.emulator coverage`."


@pytest.mark.newest
def test_every_call_of_both_services_is_listed_once() -> None:
    from modal_proto.api_pb2 import DESCRIPTOR as CONTROL
    from modal_proto.task_command_router_pb2 import DESCRIPTOR as ROUTER

    services = [*CONTROL.services_by_name.values(), *ROUTER.services_by_name.values()]
    names = [method.name for service in services for method in service.methods]
    text = coverage.PATH.read_text(encoding="utf-8")
    # A call of the first service may have the name of one of the second.
    assert [name for name in names if text.count(f"`{name}`") != names.count(name)] == []
    for service in services:
        assert f"## {service.full_name}\n\n{len(service.methods)} calls" in text


@pytest.mark.newest
def test_every_call_that_is_answered_is_one_of_the_protocol(local: Local) -> None:
    assert [list(service.unknown) for service in local.server.services if service.unknown] == []


def test_an_answer_to_a_call_that_came_with_a_later_sdk_takes_none_of_the_others_away() -> None:
    present, later = (lambda request: None), (lambda request: None)
    names = {"TaskExecStart": present, "TaskExecWithALaterSdk": later}
    served = assemble(TaskCommandRouterBase, [SimpleNamespace(methods=lambda: names)])
    assert [path for path, method in served.methods.items() if method] == [
        "/modal.task_command_router.TaskCommandRouter/TaskExecStart"
    ]
    assert list(served.unknown) == ["TaskExecWithALaterSdk"]


def test_a_difference_is_told_in_one_line() -> None:
    calls = {
        "/a.Service/Present": lambda request: None,
        "/a.Service/Absent": None,
        "/a.Service/Half": _half,
    }
    found = {call.name: (call.status, call.difference) for call in coverage.calls_of(calls)}
    assert found == {
        "Absent": ("not there", ""),
        "Half": ("partly", "it does half of it."),
        "Present": ("supported", ""),
    }


async def _half(_: object) -> None:
    """Do what can be done.

    Differs: it does
    half of it.
    """


@pytest.mark.newest
def test_what_is_not_there_says_so_by_its_name(local: Local) -> None:
    parts = coverage.PATH.read_text(encoding="utf-8").split("\n## ")[1:]
    absent = [set(re.findall(r"^- `(\w+)`$", part, re.MULTILINE)) for part in parts]
    assert len(absent[0]) > 200

    wrong: list[str] = []

    async def ask(stubs: Stubs) -> None:
        services = ((stubs.control, METADATA), (stubs.router, stubs.bearer))
        for (stub, metadata), names in zip(services, absent, strict=True):
            for method in (getattr(stub, name) for name in names):
                try:
                    async with method.open(metadata=metadata) as stream:
                        await stream.send_message(method.request_type(), end=True)
                        await stream.recv_message()
                    wrong.append(method.name)
                except GRPCError as error:
                    if error.status is not Status.UNIMPLEMENTED or method.name.rpartition("/")[2] not in str(
                        error.message
                    ):
                        wrong.append(f"{method.name}: {error}")

    sandbox = local.create("sleep", "60")
    converse(local, sandbox.object_id, ask)
    sandbox.terminate()
    assert wrong == []
