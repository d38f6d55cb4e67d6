"""Calls that the newest SDK makes seldom, or that only other ones make: each does what COVERAGE.md says."""

from __future__ import annotations

import asyncio
import urllib.request
from typing import Any

import grpclib.client
import modal
import pytest
from google.protobuf.empty_pb2 import Empty
from grpclib import GRPCError, Status
from local_api import Local
from modal_proto import api_pb2
from modal_proto import task_command_router_pb2 as router_pb2
from modal_proto.api_grpc import ModalClientStub
from raw_calls import METADATA, Stubs, converse
from test_sdk_volumes import put


def call(local: Local, name: str, request: Any) -> Any:
    async def run() -> Any:
        async with grpclib.client.Channel("127.0.0.1", local.server.port) as channel:
            return await getattr(ModalClientStub(channel), name)(request, metadata=METADATA)

    return asyncio.run(run())


def test_an_app_has_the_tags_that_it_was_given_last(local: Local) -> None:
    app = modal.App.lookup("tagged", create_if_missing=True, client=local.client, environment_name="local")
    assert app.get_tags(client=local.client) == {}
    app.set_tags({"team": "a", "old": "1"}, client=local.client)
    app.set_tags({"team": "b"}, client=local.client)
    assert app.get_tags(client=local.client) == {"team": "b"}


def test_a_running_sandbox_of_either_backend_is_tagged_anew(local: Local, backend: dict[str, str]) -> None:
    sandbox = local.create("sleep", "60", tags={"old": "1"}, **backend)
    sandbox.set_tags({"new": "2"})
    assert sandbox.get_tags() == {"new": "2"}
    found = modal.Sandbox.list(app_id=local.app.app_id, tags={"new": "2"}, client=local.client)
    assert sandbox.object_id in [listed.object_id for listed in found]
    assert not list(modal.Sandbox.list(app_id=local.app.app_id, tags={"old": "1"}, client=local.client))
    sandbox.terminate()


def test_the_older_list_has_sandboxes_of_the_first_backend_only(local: Local) -> None:
    first, second = local.create("sleep", "60", gpu="T4"), local.create("sleep", "60")
    for name, known in (("SandboxList", {first}), ("SandboxListV2", {first, second})):
        listed = call(local, name, api_pb2.SandboxListRequest(app_id=local.app.app_id)).sandboxes
        ids = {item.id for item in listed} & {first.object_id, second.object_id}
        assert ids == {sandbox.object_id for sandbox in known}
    for sandbox in (first, second):
        sandbox.terminate()


@pytest.mark.newest
def test_statistics_are_the_same_under_both_names(local: Local) -> None:
    sandbox = local.create("true")
    sandbox.wait()
    request = api_pb2.SandboxGetStatsRequest(sandbox_id=sandbox.object_id)
    first, second = (call(local, name, request) for name in ("SandboxGetStats", "SandboxGetStatsV2"))
    assert float(first.cost) > 0
    assert first == second


def test_a_secret_is_added_to_in_place(local: Local) -> None:
    options: dict[str, Any] = {"client": local.client, "environment_name": "local"}
    modal.Secret.objects.create("grows", {"A": "1", "B": "1"}, **options)
    secret = modal.Secret.from_name("grows", **options)
    secret.update({"B": "2", "C": "2"})
    sandbox = local.create("sh", "-c", "echo $A$B$C", secrets=[secret])
    assert sandbox.stdout.read() == "122\n"


def test_a_file_of_a_volume_is_read_in_one_answer_or_from_a_blob(local: Local) -> None:
    volume = modal.Volume.from_name(
        "of-version-1", create_if_missing=True, client=local.client, environment_name="local", version=1
    )
    large = bytes(range(256)) * 32 * 1024
    put(volume, {"/small": b"0123456789", "/large": large})
    part = api_pb2.VolumeGetFileRequest(volume_id=volume.object_id, path="small", start=2, len=5)
    answer = call(local, "VolumeGetFile", part)
    assert (answer.data, answer.size, answer.start, answer.len) == (b"23456", 10, 2, 5)
    answer = call(
        local, "VolumeGetFile", api_pb2.VolumeGetFileRequest(volume_id=volume.object_id, path="large")
    )
    blob = call(local, "BlobGet", api_pb2.BlobGetRequest(blob_id=answer.data_blob_id))
    with urllib.request.urlopen(blob.download_url) as content:
        assert content.read() == large


def test_the_call_of_older_sdks_reloads_volumes(local: Local, backend: dict[str, str]) -> None:
    volume = modal.Volume.from_name(
        f"reloaded-{len(backend)}",
        create_if_missing=True,
        client=local.client,
        environment_name="local",
        version=2,
    )
    sandbox = local.create("sleep", "60", volumes={"/data": volume}, **backend)
    put(volume, {"/f": b"later"})
    assert sandbox.exec("cat", "/data/f").wait() == 1
    name = "SandboxGetTaskId" if backend else "SandboxGetTaskIdV2"
    task = call(local, name, api_pb2.SandboxGetTaskIdRequest(sandbox_id=sandbox.object_id))
    call(local, "ContainerReloadVolumes", api_pb2.ContainerReloadVolumesRequest(task_id=task.task_id))
    assert sandbox.exec("cat", "/data/f").stdout.read() == "later"
    sandbox.terminate()


def test_a_renamed_environment_leaves_its_apps_with_the_old_name(local: Local) -> None:
    modal.Environment.objects.create("before", client=local.client)
    app = modal.App.lookup("stays", create_if_missing=True, client=local.client, environment_name="before")
    request = api_pb2.EnvironmentUpdateRequest(current_name="before")
    request.name.value = "after"
    call(local, "EnvironmentUpdate", request)
    names = [item.name for item in call(local, "EnvironmentList", Empty()).items]
    assert "after" in names
    assert "before" not in names
    again = modal.App.lookup("stays", create_if_missing=True, client=local.client, environment_name="after")
    assert again.app_id != app.app_id


def test_the_workspace_names_its_environment(local: Local) -> None:
    assert call(local, "WorkspaceSettings", Empty()).default_environment_name == "local"


def test_a_heartbeat_is_taken_for_a_volume_that_is_there(local: Local) -> None:
    with modal.Volume.ephemeral(client=local.client, environment_name="local") as volume:
        beat = api_pb2.VolumeHeartbeatRequest(volume_id=volume.object_id)
        assert call(local, "VolumeHeartbeat", beat) == Empty()
    call(local, "VolumeDelete", api_pb2.VolumeDeleteRequest(volume_id=volume.object_id))
    with pytest.raises(GRPCError) as refused:
        call(local, "VolumeHeartbeat", beat)
    assert refused.value.status is Status.NOT_FOUND


def test_the_input_of_a_command_tells_how_far_it_is(local: Local) -> None:
    sandbox = local.create("sleep", "60")
    told: list[tuple[int, bool]] = []

    async def talk(stubs: Stubs) -> None:
        router, place = stubs.router, {"task_id": stubs.task_id, "exec_id": "one"}

        async def note() -> None:
            asked = router_pb2.TaskExecStdinStatusRequest(**place)
            status = await router.TaskExecStdinStatus(asked, metadata=stubs.bearer)
            told.append((status.num_bytes_written, status.closed))

        start = router_pb2.TaskExecStartRequest(**place, command_args=["cat"])
        await router.TaskExecStart(start, metadata=stubs.bearer)
        await note()
        for offset, data, eof in (
            (0, b"12345", False),
            (5, b"678", False),
            (5, b"678", False),
            (8, b"", True),
        ):
            write = router_pb2.TaskExecStdinWriteRequest(**place, offset=offset, data=data, eof=eof)
            await router.TaskExecStdinWrite(write, metadata=stubs.bearer)
            await note()
        waited = await router.TaskExecWait(router_pb2.TaskExecWaitRequest(**place), metadata=stubs.bearer)
        assert waited.code == 0

    converse(local, sandbox.object_id, talk)
    sandbox.terminate()
    assert told == [(0, False), (5, False), (8, False), (8, False), (8, True)]


def test_the_lines_of_an_apps_log_are_counted(local: Local, backend: dict[str, str]) -> None:
    app = modal.App.lookup(
        f"counted-{len(backend)}", create_if_missing=True, client=local.client, environment_name="local"
    )
    request = api_pb2.AppCountLogsRequest(app_id=app.app_id, bucket_secs=3600)
    request.since.GetCurrentTime()
    for said in ("echo one; echo two; echo wrong >&2", "echo three"):
        options = {"app": app, "client": local.client, "image": local.image, **backend}
        modal.Sandbox.create("sh", "-c", said, **options).wait()
    request.until.GetCurrentTime()
    (bucket,) = call(local, "AppCountLogs", request).buckets
    assert (bucket.stdout_logs, bucket.stderr_logs) == (3, 1)
    assert bucket.bucket_start_at == request.since
    request.search_text = "t"
    (bucket,) = call(local, "AppCountLogs", request).buckets
    assert (bucket.stdout_logs, bucket.stderr_logs) == (2, 0)
    request.since.CopyFrom(request.until)
    request.until.GetCurrentTime()
    assert not call(local, "AppCountLogs", request).buckets
