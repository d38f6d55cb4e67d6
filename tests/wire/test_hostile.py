"""Whatever is sent to the server, it answers with a status, stays alive and small, and keeps to its directory."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpclib.client
import modal
import psutil
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from grpclib import GRPCError, Status
from grpclib.const import Cardinality
from grpclib.encoding.base import CodecBase
from grpclib.exceptions import StreamTerminatedError
from h2.exceptions import StreamClosedError
from local_api import connect
from modal_proto import api_pb2
from modal_proto import task_command_router_pb2 as router_pb2

from zenml_modal_nb.emulator import running
from zenml_modal_nb.emulator.private_server import PrivateServer

ROUTER = "modal.task_command_router.TaskCommandRouter"
MEBIBYTE = 1024 * 1024
INTERNAL = "Internal Server Error"  # what grpclib says when a handler raised something it should not have
PATIENCE = 30.0  # seconds for an answer
HOLDING = 0.3  # seconds for what may be a call that holds, e.g. a wait for a sandbox that runs
# That wait for something to happen, or follow something that goes on.
HOLDING_CALLS = {
    "SandboxGetLogs",
    "SandboxStdioReadV2",
    "SandboxWait",
    "SandboxWaitV2",
    "TaskExecStdioRead",
    "TaskExecWait",
}
TRAVERSALS = (
    "../../escaped",
    "/../../escaped",
    "a/../../../../escaped",
    "..",
    "nul\0escaped",
    "~/escaped",
    "x" * 5000 + "/escaped",
)

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # SHA-256 of nothing


class Raw(CodecBase):
    """Sends bytes as they are."""

    __content_subtype__ = "proto"

    def encode(self, message: Any, message_type: Any) -> bytes:
        return bytes(message)

    def decode(self, data: bytes, message_type: Any) -> bytes:
        return data


@dataclass(frozen=True)
class Method:
    """One call of either service."""

    path: str
    request: type[Message]
    cardinality: Cardinality

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


@dataclass(frozen=True)
class Target:
    """A server's process, with a token and something in it to hit."""

    server: PrivateServer
    outside: Path
    metadata: dict[str, str]
    identifiers: tuple[str, ...]
    volume_id: str

    @asynccontextmanager
    async def channel(self) -> AsyncIterator[grpclib.client.Channel]:
        address = urlsplit(self.server.url)
        async with grpclib.client.Channel(address.hostname, address.port, codec=Raw()) as channel:
            yield channel

    def process(self) -> psutil.Process:
        return psutil.Process(self.server.pid)

    def is_well(self) -> None:
        token = (self.metadata["x-modal-token-id"], self.metadata["x-modal-token-secret"])
        client = connect(self.server.url, token)
        client.hello()
        client.__exit__(None, None, None)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateServer]:
    with running(state_dir=tmp_path_factory.mktemp("outside") / "a" / "b" / "state") as server:
        yield server


@pytest.fixture
def target(server: PrivateServer) -> Iterator[Target]:
    """The server with things of this test's own, since some hits are fatal to them."""
    token = (server.environment["MODAL_TOKEN_ID"], server.environment["MODAL_TOKEN_SECRET"])
    client = connect(server.url, token)
    app = modal.App.lookup("target", create_if_missing=True, client=client, environment_name="local")
    image = modal.Image.debian_slim()
    v1, v2 = (
        modal.Sandbox.create("sleep", "600", app=app, client=client, image=image, **gpu)
        for gpu in ({"gpu": "T4"}, {})
    )
    volume = modal.Volume.from_name(
        "target", create_if_missing=True, client=client, environment_name="local", version=2
    ).hydrate()
    metadata = {"x-modal-token-id": token[0], "x-modal-token-secret": token[1]}
    task_id, jwt = asyncio.run(_access(server, metadata, v2.object_id))
    identifiers = (app.app_id, image.object_id, v1.object_id, v2.object_id, task_id)
    metadata["authorization"] = f"Bearer {jwt}"
    yield Target(server, server.state_dir.parents[2], metadata, identifiers, volume.object_id)
    v1.terminate()
    v2.terminate()
    client.__exit__(None, None, None)


async def _access(server: PrivateServer, metadata: dict[str, str], sandbox_id: str) -> tuple[str, str]:
    from modal_proto.api_grpc import ModalClientStub

    address = urlsplit(server.url)
    async with grpclib.client.Channel(address.hostname, address.port) as channel:
        stub = ModalClientStub(channel)
        asked = api_pb2.SandboxGetTaskIdRequest(sandbox_id=sandbox_id)
        task = await stub.SandboxGetTaskIdV2(asked, metadata=metadata)
        request = api_pb2.SandboxGetCommandRouterAccessRequest(sandbox_id=sandbox_id)
        access = await stub.SandboxGetCommandRouterAccess(request, metadata=metadata)
        return task.task_id, access.jwt


def methods() -> list[Method]:
    """Every call of both services, also those that are not there."""
    found = []
    for file in (api_pb2.DESCRIPTOR, router_pb2.DESCRIPTOR):
        for service in file.services_by_name.values():
            for method in service.methods:
                kind = Cardinality((method.client_streaming, method.server_streaming))
                request = GetMessageClass(method.input_type)
                found.append(Method(f"/{service.full_name}/{method.name}", request, kind))
    return found


async def send(
    channel: grpclib.client.Channel,
    method: Method,
    body: bytes,
    metadata: dict[str, str],
    patience: float = PATIENCE,
) -> tuple[Status | None, str]:
    """The status of a call with this message, None if it holds for longer."""
    try:
        async with asyncio.timeout(patience):
            request = channel.request(method.path, Cardinality.UNARY_STREAM, bytes, bytes, metadata=metadata)
            async with request as stream:
                await stream.send_message(body, end=True)
                async for _ in stream:
                    pass
    except GRPCError as error:
        return error.status, error.message or ""
    except TimeoutError:
        return None, ""
    return Status.OK, ""


async def all_answers(
    target: Target, bodies: Callable[[Method], list[bytes]]
) -> list[tuple[str, bytes, Status | None, str]]:
    """What every call answers to each of its messages."""
    async with target.channel() as channel:
        answers = []
        for method in methods():
            for body in bodies(method):
                status, message = await send(channel, method, body, target.metadata, HOLDING)
                if status is None and method.name not in HOLDING_CALLS:
                    status, message = await send(channel, method, body, target.metadata)
                answers.append((method.path, body, status, message))
        return answers


def crashes(answers: list[tuple[str, bytes, Status | None, str]]) -> list[tuple[str, bytes]]:
    """Answers that are no answer: an error of the server's own, or silence where none is meant."""
    return [
        (path, body)
        for path, body, status, message in answers
        if status is Status.INTERNAL
        or message == INTERNAL
        or (status is None and path.rpartition("/")[2] not in HOLDING_CALLS)
    ]


def is_message(body: bytes, kind: type[Message]) -> bool:
    try:
        kind.FromString(body)
    except DecodeError:
        return False
    return True


def senseless(dice: random.Random, kind: type[Message]) -> bytes:
    """Random bytes that are no message of this kind; a few of them happen to be one."""
    while is_message(body := dice.randbytes(dice.randint(1, 200)), kind):
        pass
    return body


def filled(kind: type[Message], dice: random.Random, texts: tuple[str, ...], depth: int = 0) -> Message:
    """A message of this kind with about half of its fields set to something odd."""
    message = kind()
    for field in message.DESCRIPTOR.fields:
        if dice.random() < 0.5 or (field.message_type and depth > 3):
            continue
        if field.message_type and field.message_type.GetOptions().map_entry:
            continue
        value = _value(field, dice, texts, depth)
        if field.is_repeated:
            target = getattr(message, field.name)
            target.extend([value] * dice.randint(0, 3))
        elif field.message_type:
            getattr(message, field.name).CopyFrom(value)
        else:
            setattr(message, field.name, value)
    return message


def _value(field: FieldDescriptor, dice: random.Random, texts: tuple[str, ...], depth: int) -> Any:
    if field.message_type:
        return filled(GetMessageClass(field.message_type), dice, texts, depth + 1)
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING if field.type == FieldDescriptor.TYPE_BYTES:
            return dice.randbytes(dice.randint(0, 50))
        case FieldDescriptor.CPPTYPE_STRING:
            return dice.choice(texts)
        case FieldDescriptor.CPPTYPE_BOOL:
            return dice.random() < 0.5
        case FieldDescriptor.CPPTYPE_DOUBLE | FieldDescriptor.CPPTYPE_FLOAT:
            return dice.choice((0.0, -1.0, 0.5, 1e300, float("inf"), float("-inf"), float("nan")))
        case FieldDescriptor.CPPTYPE_ENUM:
            return dice.choice([value.number for value in field.enum_type.values])
        case FieldDescriptor.CPPTYPE_UINT32 | FieldDescriptor.CPPTYPE_UINT64:
            return dice.choice((0, 1, 2, 2**32 - 1))
        case _:
            return dice.choice((0, 1, -1, 2, 2**31 - 1, -(2**31)))


def test_random_bytes_are_answered_with_a_status(target: Target) -> None:
    dice = random.Random(3)
    before = target.process().memory_info().rss
    answers = asyncio.run(
        all_answers(target, lambda method: [senseless(dice, method.request) for _ in range(5)])
    )
    refused = {Status.INVALID_ARGUMENT, Status.UNIMPLEMENTED}
    assert [(path, body, status) for path, body, status, _ in answers if status not in refused] == []
    target.is_well()
    assert target.process().memory_info().rss - before < 50 * MEBIBYTE


@pytest.mark.parametrize("seed", range(4))
def test_well_formed_nonsense_is_answered_with_a_status(target: Target, seed: int) -> None:
    dice = random.Random(seed)
    texts = ("", "\0", "é€𝄞" * 20, "x" * 10_000, *TRAVERSALS, *target.identifiers)
    before = target.process().memory_info().rss

    def bodies(method: Method) -> list[bytes]:
        return [filled(method.request, dice, texts).SerializeToString() for _ in range(3)]

    answers = asyncio.run(all_answers(target, bodies))
    assert crashes(answers) == []
    target.is_well()
    assert target.process().memory_info().rss - before < 50 * MEBIBYTE


def test_every_call_is_refused_without_the_token(target: Target) -> None:
    wrong = (
        {},
        {"x-modal-token-id": "ak-guessed", "x-modal-token-secret": "as-guessed"},
        {"x-modal-token-id": target.metadata["x-modal-token-id"], "x-modal-token-secret": "as-"},
        {"authorization": "Bearer x.y.z", "x-modal-auth-token": "x.y.z"},
    )

    async def ask() -> set[Status | None]:
        async with target.channel() as channel:
            return {
                (await send(channel, method, b"", metadata))[0] for method in methods() for metadata in wrong
            }

    assert asyncio.run(ask()) == {Status.UNAUTHENTICATED}


def test_a_router_token_is_no_token_for_the_rest(target: Target) -> None:
    bearer = {"authorization": target.metadata["authorization"]}

    async def ask() -> tuple[set[Status | None], set[Status | None]]:
        async with target.channel() as channel:
            inside, outside = set(), set()
            for method in methods():
                status, _ = await send(channel, method, b"", bearer)
                (inside if ROUTER in method.path else outside).add(status)
            return inside, outside

    inside, outside = asyncio.run(ask())
    assert Status.UNAUTHENTICATED not in inside
    assert outside == {Status.UNAUTHENTICATED}


def test_no_path_leads_out_of_the_state_directory(target: Target) -> None:
    app_id, image_id, _, sandbox_id, task_id = target.identifiers
    mount = api_pb2.MountGetOrCreateRequest
    calls: list[tuple[str, Message]] = []
    place = target.server.state_dir / "sandboxes" / sandbox_id
    assert place.is_dir()
    known = (f"{place}/../../../../../escaped",)  # what a program can learn from HOME
    for path in (*TRAVERSALS, *known):
        calls += [
            ("MountPutFile", api_pb2.MountPutFileRequest(sha256_hex=path, data=b"x")),
            (
                "MountBatchedCheckExistence",
                api_pb2.MountBatchedCheckExistenceRequest(sha256_hex_hashes=[path]),
            ),
            ("MountGetOrCreate", mount(files=[api_pb2.MountFile(filename=path, sha256_hex=EMPTY)])),
            ("AppGetOrCreate", api_pb2.AppGetOrCreateRequest(app_name=path, object_creation_type=1)),
            (
                "SecretGetOrCreate",
                api_pb2.SecretGetOrCreateRequest(
                    deployment_name=path, environment_name=path, object_creation_type=1, env_dict={"A": "1"}
                ),
            ),
            ("ImageFromId", api_pb2.ImageFromIdRequest(image_id=path)),
            (
                "SandboxCreateV2",
                api_pb2.SandboxCreateV2Request(
                    app_id=app_id,
                    definition=api_pb2.Sandbox(
                        image_id=image_id,
                        entrypoint_args=["touch", "escaped"],
                        workdir=path,
                        timeout_secs=5,
                        name=path,
                    ),
                ),
            ),
        ]

    async def ask() -> list[tuple[Status | None, str]]:
        async with target.channel() as channel:
            answers = [
                await _call(channel, "modal.client.ModalClient", name, request, target.metadata)
                for name, request in calls
            ]
            for number, path in enumerate((*TRAVERSALS, *known)):
                start = router_pb2.TaskExecStartRequest(
                    task_id=task_id, exec_id=f"e{number}", command_args=["touch", "escaped"], workdir=path
                )
                answers.append(await _call(channel, ROUTER, "TaskExecStart", start, target.metadata))
                wait = router_pb2.TaskExecWaitRequest(task_id=task_id, exec_id=f"e{number}")
                ended.append((await _call(channel, ROUTER, "TaskExecWait", wait, target.metadata))[0])
            return answers

    ended: list[Status | None] = []
    put_empty = ("MountPutFile", api_pb2.MountPutFileRequest(sha256_hex=EMPTY, data=b""))
    calls.insert(0, put_empty)
    answers = asyncio.run(ask())
    assert [index for index, (_, message) in enumerate(answers) if message == INTERNAL] == []
    assert ended.count(Status.OK) >= 5  # `touch` really ran
    # Wherever something was made, it lies in the state directory, not beside or above it.
    inside = target.server.state_dir
    assert [path for path in target.outside.rglob("*") if not path.is_relative_to(inside)] == [
        target.outside / "a",
        target.outside / "a" / "b",
    ]
    assert not Path.home().joinpath("escaped").exists()
    target.is_well()


def volume_calls(volume_id: str, path: str) -> list[tuple[str, Message]]:
    """Every call that names something in a volume."""
    put = api_pb2.VolumePutFiles2Request
    return [
        ("VolumePutFiles2", put(volume_id=volume_id, files=[put.File(path=path, size=0)])),
        (
            "VolumePutFiles",
            api_pb2.VolumePutFilesRequest(
                volume_id=volume_id, files=[api_pb2.MountFile(filename=path, sha256_hex=EMPTY)]
            ),
        ),
        ("VolumeGetFile2", api_pb2.VolumeGetFile2Request(volume_id=volume_id, path=path)),
        ("VolumeGetFile", api_pb2.VolumeGetFileRequest(volume_id=volume_id, path=path)),
        ("VolumeListFiles2", api_pb2.VolumeListFiles2Request(volume_id=volume_id, path=path, recursive=True)),
        ("VolumeListFiles", api_pb2.VolumeListFilesRequest(volume_id=volume_id, path=path, recursive=True)),
        (
            "VolumeRemoveFile2",
            api_pb2.VolumeRemoveFile2Request(volume_id=volume_id, path=path, recursive=True),
        ),
        ("VolumeRemoveFile", api_pb2.VolumeRemoveFileRequest(volume_id=volume_id, path=path, recursive=True)),
        (
            "VolumeCopyFiles2",
            api_pb2.VolumeCopyFiles2Request(volume_id=volume_id, src_paths=[path], dst_path="in"),
        ),
        (
            "VolumeCopyFiles2",
            api_pb2.VolumeCopyFiles2Request(volume_id=volume_id, src_paths=["there"], dst_path=path),
        ),
        (
            "VolumeCopyFiles",
            api_pb2.VolumeCopyFilesRequest(volume_id=volume_id, src_paths=["there"], dst_path=path),
        ),
    ]


def test_no_path_in_a_volume_leads_out_of_it(target: Target) -> None:
    app_id, image_id, *_ = target.identifiers
    put = api_pb2.VolumePutFiles2Request
    preparation: list[tuple[str, Message]] = [
        ("VolumePutFiles2", put(volume_id=target.volume_id, files=[put.File(path="there", size=0)])),
        ("MountPutFile", api_pb2.MountPutFileRequest(sha256_hex=EMPTY, data=b"")),
    ]
    refused = {Status.INVALID_ARGUMENT, Status.NOT_FOUND}
    record = target.server.state_file.name
    paths = [
        path
        for path in (*TRAVERSALS, f"../{record}", f"a/../../{record}", "there/../..")
        if not path.startswith("~")  # to a volume that is a name as any other
    ]
    before = {path: path.read_bytes() for path in target.server.state_dir.glob("*") if path.is_file()}

    async def ask() -> list[tuple[str, str, Status | None]]:
        service = "modal.client.ModalClient"
        async with target.channel() as channel:
            for name, request in preparation:
                assert (await _call(channel, service, name, request, target.metadata))[0] is Status.OK
            answers = []
            for path in paths:
                mount = api_pb2.VolumeMount(volume_id=target.volume_id, mount_path="/data", sub_path=path)
                mounting = api_pb2.SandboxCreateV2Request(
                    app_id=app_id,
                    definition=api_pb2.Sandbox(
                        image_id=image_id, entrypoint_args=["true"], timeout_secs=5, volume_mounts=[mount]
                    ),
                )
                calls = [*volume_calls(target.volume_id, path), ("SandboxCreateV2", mounting)]
                for name, request in calls:
                    status, _ = await _call(channel, service, name, request, target.metadata)
                    answers.append((name, path[:40], status))
            return answers

    assert [answer for answer in asyncio.run(ask()) if answer[2] not in refused] == []
    inside = target.server.state_dir
    assert [path for path in target.outside.rglob("*") if not path.is_relative_to(inside)] == [
        target.outside / "a",
        target.outside / "a" / "b",
    ]
    changed = [
        path for path, content in before.items() if path.suffix != ".log" and path.read_bytes() != content
    ]
    assert [path for path in changed if path != target.server.state_file] == []
    target.is_well()


def unknown(kind: type[Message]) -> Message:
    """A message that names things which are not there, and nothing else."""
    message = kind()
    for field in message.DESCRIPTOR.fields:
        # There are no sidecar containers to name.
        named = field.name.endswith(("_id", "_ids", "environment_name")) and field.name != "container_id"
        if named and field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
            if field.is_repeated:
                getattr(message, field.name).append("zz-unknown")
            else:
                setattr(message, field.name, "zz-unknown")
    return message


def test_what_is_not_there_is_not_found_by_any_call(target: Target) -> None:
    answers = asyncio.run(all_answers(target, lambda method: _unknown_bodies(method)))
    assert len(answers) > 60
    present = [answer for answer in answers if answer[2] is not Status.UNIMPLEMENTED]
    assert len(present) > 60
    refused = {Status.INVALID_ARGUMENT, Status.NOT_FOUND}
    # The files of a mount that has no name are in no environment.
    other = [(path, status) for path, _, status, _ in present if status not in refused]
    assert other == [("/modal.client.ModalClient/MountGetOrCreate", Status.OK)]


def _unknown_bodies(method: Method) -> list[bytes]:
    body = unknown(method.request).SerializeToString()
    return [body] if body else []


def test_what_is_not_there_is_not_found_among_what_is(target: Target) -> None:
    """Each names one thing that is not there, in a message that is right otherwise."""
    app_id, image_id, _, _, task_id = target.identifiers
    control, sandbox, image = "modal.client.ModalClient", api_pb2.Sandbox, api_pb2.Image
    run = {"image_id": image_id, "entrypoint_args": ["true"], "timeout_secs": 5}
    mount = api_pb2.VolumeMount(volume_id="vo-unknown", mount_path="/data")
    definitions = [
        sandbox(**{**run, "image_id": "im-unknown"}),
        sandbox(**run, secret_ids=["st-unknown"]),
        sandbox(**run, mount_ids=["mo-unknown"]),
        sandbox(**run, volume_mounts=[mount]),
    ]
    base = api_pb2.BaseImage(docker_tag="base", image_id="im-unknown")
    layers = [
        image(dockerfile_commands=["FROM base"], base_images=[base]),
        image(dockerfile_commands=["FROM python:3", "RUN true"], secret_ids=["st-unknown"]),
        image(dockerfile_commands=["FROM python:3", "COPY . /"], context_mount_id="mo-unknown"),
    ]
    named = {"deployment_name": "absent", "environment_name": "local"}
    execution = {"task_id": task_id, "exec_id": "never"}
    file = api_pb2.MountFile(filename="f", sha256_hex="a" * 64)
    requests: list[Message] = [
        *(api_pb2.SandboxCreateV2Request(app_id=app_id, definition=each) for each in definitions),
        *(api_pb2.SandboxCreateRequest(app_id=app_id, definition=each) for each in definitions),
        *(api_pb2.ImageGetOrCreateRequest(app_id=app_id, image=each) for each in layers),
        api_pb2.AppGetOrCreateRequest(app_name="absent", environment_name="local"),
        api_pb2.SecretGetOrCreateRequest(**named),
        api_pb2.VolumeGetOrCreateRequest(**named),
        api_pb2.VolumePutFilesRequest(volume_id=target.volume_id, files=[file]),
        api_pb2.EnvironmentDeleteRequest(name="absent"),
        api_pb2.EnvironmentUpdateRequest(current_name="absent"),
        router_pb2.TaskExecPollRequest(**execution),
        router_pb2.TaskExecWaitRequest(**execution),
        router_pb2.TaskExecStdinStatusRequest(**execution),
        router_pb2.TaskExecStdinWriteRequest(**execution, data=b"x"),
        router_pb2.TaskExecStdioReadRequest(**execution),
    ]

    async def ask() -> list[tuple[str, str, Status | None, str]]:
        async with target.channel() as channel:
            answers = []
            for request in requests:
                service = ROUTER if type(request).__module__ == router_pb2.__name__ else control
                name = type(request).__name__.removesuffix("Request")
                answer = await _call(channel, service, name, request, target.metadata)
                answers.append((name, str(request), *answer))
            return answers

    refused = {Status.INVALID_ARGUMENT, Status.NOT_FOUND}
    assert [answer for answer in asyncio.run(ask()) if answer[2] not in refused] == []


async def _call(
    channel: grpclib.client.Channel, service: str, name: str, request: Message, metadata: dict[str, str]
) -> tuple[Status | None, str]:
    method = Method(f"/{service}/{name}", type(request), Cardinality.UNARY_UNARY)
    return await send(channel, method, request.SerializeToString(), metadata)


def test_messages_too_large_are_refused_before_they_are_read(target: Target) -> None:
    before = target.process().memory_info().rss
    chunk = bytes(MEBIBYTE)

    async def flood(announced: int, sent: int) -> Status:
        async with target.channel() as channel:
            request = channel.request(
                "/modal.client.ModalClient/AppList",
                Cardinality.UNARY_UNARY,
                bytes,
                bytes,
                metadata=target.metadata,
            )
            try:
                async with request as stream:
                    await stream.send_request()
                    with suppress(TimeoutError, StreamTerminatedError, StreamClosedError):
                        await stream._stream.send_data(struct.pack(">?I", False, announced))
                        for _ in range(sent):
                            async with asyncio.timeout(2):  # the server no longer takes what it has refused
                                await stream._stream.send_data(chunk)
                    await stream.recv_initial_metadata()
                    await stream.recv_trailing_metadata()
            except GRPCError as error:
                return error.status
        return Status.OK

    for _ in range(5):
        assert asyncio.run(flood(2**32 - 1, 100)) is Status.RESOURCE_EXHAUSTED
    target.is_well()
    assert target.process().memory_info().rss - before < 80 * MEBIBYTE


def test_streams_left_half_open_cost_nothing(target: Target) -> None:
    process = target.process()
    target.is_well()
    descriptors, size = process.num_fds(), process.memory_info().rss

    async def leave(send_some: Callable[[Any], Awaitable[None]], path: str) -> None:
        async with target.channel() as channel:
            for _ in range(20):
                request = channel.request(
                    path, Cardinality.STREAM_STREAM, bytes, bytes, metadata=target.metadata
                )
                stream = await request.__aenter__()
                await stream.send_request()
                await send_some(stream)
            # Leaving closes the connection under all of them.

    async def nothing(_: Any) -> None:
        return

    async def half_a_message(stream: Any) -> None:
        await stream._stream.send_data(struct.pack(">?I", False, 1000) + b"half")

    async def half_a_prefix(stream: Any) -> None:
        await stream._stream.send_data(b"\0\0")

    for path in (
        "/modal.client.ModalClient/SandboxGetLogs",
        "/modal.client.ModalClient/SandboxWait",
        f"/{ROUTER}/TaskExecStdinWriteStream",
        f"/{ROUTER}/SandboxStdioReadV2",
    ):
        for send_some in (nothing, half_a_message, half_a_prefix):
            asyncio.run(leave(send_some, path))
    address = urlsplit(target.server.url)
    for noise in (b"", b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)) * 100):
        with socket.create_connection((address.hostname or "", address.port or 0)) as connection:
            connection.sendall(noise)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
    target.is_well()
    assert process.num_fds() <= descriptors + 2
    assert process.memory_info().rss - size < 50 * MEBIBYTE


def test_an_event_loop_is_not_held_by_a_slow_reader(target: Target) -> None:
    """A client that opens streams and never reads them does not keep the others waiting."""

    async def ask() -> Status | None:
        async with target.channel() as idle, target.channel() as busy:
            for _ in range(50):
                request = idle.request(
                    "/modal.client.ModalClient/AppList",
                    Cardinality.UNARY_STREAM,
                    bytes,
                    bytes,
                    metadata=target.metadata,
                )
                stream = await request.__aenter__()
                await stream.send_message(b"", end=True)
            method = Method("/modal.client.ModalClient/ClientHello", Message, Cardinality.UNARY_UNARY)
            return (await send(busy, method, b"", target.metadata))[0]

    assert asyncio.run(ask()) is Status.OK
