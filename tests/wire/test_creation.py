"""Sandboxes and commands that are asked for at the same time, or while what they belong to is being ended."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import modal
import modal.exception
import psutil
import pytest
from local_api import Local, StartLocal
from modal_proto import api_pb2
from modal_proto import task_command_router_pb2 as router_pb2
from raw_calls import METADATA, Stubs, converse

from zenml_modal_nb.emulator.state.registry import FINISHED_KEPT

LARGE = 100_000_000  # bytes of a volume; laying it out takes long enough to be met half way


@pytest.fixture(scope="module")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "file"
    with path.open("wb") as file:
        file.truncate(LARGE)
    return path


def volume_with(local: Local, file: Path) -> modal.Volume:
    volume = modal.Volume.from_name(
        "large", create_if_missing=True, client=local.client, environment_name="local", version=2
    )
    with volume.batch_upload() as batch:
        batch.put_file(file, "/file")
    return volume


def begin(local: Local, app: modal.App, *command: str, **options: Any) -> Future[modal.Sandbox]:
    """Start a creation and return at once."""
    create = modal.Sandbox.create.aio
    return local.loop.start(create(*command, app=app, client=local.client, image=local.image, **options))


def wait_for_places(local: Local, number: int, creation: Future[modal.Sandbox]) -> None:
    """Return once so many sandboxes run or are being laid out, or the creation has ended."""
    while len(list((local.state_dir / "sandboxes").iterdir())) < number and not creation.done():
        pass


def marked() -> Iterator[psutil.Process]:
    """Every process of the machine that says it belongs to a sandbox."""
    for process in psutil.process_iter():
        try:
            if "MODAL_SANDBOX_ID" in process.environ():
                yield process
        except psutil.Error:
            continue


def outcome_of(creation: Future[modal.Sandbox]) -> str:
    try:
        return creation.result(60).object_id
    except Exception as error:  # noqa: BLE001  whatever the SDK makes of it is looked at by the test
        return repr(error)


def test_closing_ends_what_is_just_being_created(
    start_local: StartLocal, large_file: Path, backend: dict[str, str]
) -> None:
    local = start_local()
    volume = volume_with(local, large_file)
    word = uuid.uuid4().hex
    creations = [
        begin(local, local.app, "sh", "-c", f"sleep 600; : {word}", volumes={"/data": volume}, **backend)
        for _ in range(5)
    ]
    wait_for_places(local, 1, creations[0])
    local.close()
    assert [process for process in marked() if word in " ".join(process.cmdline())] == []
    assert list((local.state_dir / "sandboxes").iterdir()) == []
    # Some were met half way, else this test proves nothing.
    assert [outcome for outcome in map(outcome_of, creations) if not outcome.startswith("sb-")]


def test_nothing_starts_in_an_app_that_is_stopped_meanwhile(
    start_local: StartLocal, large_file: Path, backend: dict[str, str]
) -> None:
    local = start_local()
    volume = volume_with(local, large_file)
    app = modal.App.lookup("stopped", create_if_missing=True, client=local.client, environment_name="local")
    other = local.create("sleep", "600")
    creations = []

    async def stop(stubs: Stubs) -> None:
        for _ in range(4):
            creations.append(begin(local, app, "sleep", "600", volumes={"/data": volume}, **backend))
        wait_for_places(local, 2, creations[0])
        await stubs.control.AppStop(api_pb2.AppStopRequest(app_id=app.app_id), metadata=METADATA)

    converse(local, other.object_id, stop)
    # Some were met half way, else this test proves nothing.
    assert [outcome for outcome in map(outcome_of, creations) if "has been stopped" in outcome]
    assert list(modal.Sandbox.list(app_id=app.app_id, client=local.client)) == []
    local.close()
    assert list((local.state_dir / "sandboxes").iterdir()) == []


def test_of_several_with_one_name_one_is_created(local: Local, backend: dict[str, str]) -> None:
    name = f"only-{len(backend)}"
    creations = [begin(local, local.app, "sleep", "600", name=name, **backend) for _ in range(4)]
    outcomes = sorted(map(outcome_of, creations))
    assert ["already running" in outcome for outcome in outcomes] == [True] * 3 + [False]
    modal.Sandbox.from_id(outcomes[-1], client=local.client).terminate(wait=True)
    again = begin(local, local.app, "true", name=name, **backend).result(30)  # the name is free again
    again.wait()
    with pytest.raises(modal.exception.InvalidError, match="Unknown GPU"):
        local.create("true", name=name, gpu="A1000")
    local.create("true", name=name, **backend).wait()  # and so it is after a refusal


def test_a_command_that_is_asked_for_several_times_runs_once(local: Local, tmp_path: Path) -> None:
    sandbox = local.create("sleep", "600")
    log = tmp_path / "log"

    async def start(stubs: Stubs) -> None:
        order = router_pb2.TaskExecStartRequest(
            task_id=stubs.task_id, exec_id="one", command_args=["sh", "-c", f"echo ran >> {log}"]
        )
        await asyncio.gather(*(stubs.router.TaskExecStart(order, metadata=stubs.bearer) for _ in range(3)))
        waiting = router_pb2.TaskExecWaitRequest(task_id=stubs.task_id, exec_id="one")
        await stubs.router.TaskExecWait(waiting, metadata=stubs.bearer)

    converse(local, sandbox.object_id, start)
    sandbox.terminate(wait=True)
    assert log.read_text() == "ran\n"


@pytest.mark.slow  # needs more sandboxes than are remembered for long
def test_of_many_that_end_at_once_each_can_be_read(start_local: StartLocal) -> None:
    local = start_local()
    creations = [begin(local, local.app, "sh", "-c", "exit 3") for _ in range(FINISHED_KEPT + 12)]
    for sandbox_id in map(outcome_of, creations):
        sandbox = modal.Sandbox.from_id(sandbox_id, client=local.client)
        sandbox.wait()
        assert sandbox.returncode == 3
