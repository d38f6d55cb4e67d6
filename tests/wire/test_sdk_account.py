"""Token, workspace, apps, images and secrets through the real SDK; and calls that go wrong."""

from __future__ import annotations

import asyncio
import logging
import socket
import stat
import subprocess
import sys
from collections.abc import Awaitable
from decimal import Decimal
from pathlib import Path
from typing import Any

import grpclib.client
import modal
import modal.exception
import pytest
from grpclib import GRPCError, Status
from local_api import TOKEN, Local, StartLocal, connect
from modal_proto import api_pb2
from modal_proto.api_grpc import ModalClientStub
from raw_calls import METADATA, Stubs, converse

from zenml_modal_nb.emulator.places import HOME


@pytest.mark.parametrize("token", [("ak-tests", "wrong"), ("wrong", "as-tests"), ("é", "ü")])
def test_another_token_is_refused(local: Local, token: tuple[str, str]) -> None:
    if not token[0].isascii():
        token = (token[0].encode("unicode_escape").decode(), "x")
    client = connect(local.server.url, token)
    with pytest.raises(modal.exception.AuthError, match="token"):
        client.hello()
    client.__exit__(None, None, None)


def test_a_client_without_a_token_is_refused(local: Local) -> None:
    client = modal.Client(local.server.url, api_pb2.CLIENT_TYPE_CLIENT, None)
    client.__enter__()
    with pytest.raises(modal.exception.AuthError, match="token"):
        client.hello()
    client.__exit__(None, None, None)


def test_the_command_router_needs_a_token_of_its_own(local: Local) -> None:
    from modal_proto import task_command_router_pb2 as pb2
    from modal_proto.task_command_router_grpc import TaskCommandRouterStub

    async def call(authorization: str) -> None:
        async with grpclib.client.Channel("127.0.0.1", local.server.port) as channel:
            stub = TaskCommandRouterStub(channel)
            await stub.TaskExecPoll(pb2.TaskExecPollRequest(), metadata={"authorization": authorization})

    for authorization in ("Basic x", "Bearer x.y.z", f"Bearer {TOKEN[1]}"):
        with pytest.raises(GRPCError) as caught:
            asyncio.run(call(authorization))
        assert caught.value.status is Status.UNAUTHENTICATED


def test_the_environment_variables_of_the_sdk_lead_here(local: Local, tmp_path: Path) -> None:
    program = (
        "import modal\n"
        "app = modal.App.lookup('from-env', create_if_missing=True)\n"
        "sandbox = modal.Sandbox.create('echo', 'hello', app=app)\n"
        "print(sandbox.stdout.read(), end='')\n"
    )
    variables = {
        "MODAL_SERVER_URL": local.server.url,
        "MODAL_TOKEN_ID": TOKEN[0],
        "MODAL_TOKEN_SECRET": TOKEN[1],
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
    }
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.stdout == "hello\n", done.stderr


def test_workspace_and_prices_are_known(local: Local) -> None:
    workspace = modal.Workspace.from_context(client=local.client)
    rates = workspace.billing.rates()
    assert workspace.name == "local"
    assert rates["gpu_hour_cost_a100_40gb"] == Decimal("2.0988")
    assert rates["cpu_hour_cost_sandbox"] == Decimal("0.1419")


def test_apps_are_found_listed_and_stopped(local: Local) -> None:
    def look_up(name: str, **options: Any) -> modal.App:
        return modal.App.lookup(name, client=local.client, environment_name="local", **options)

    with pytest.raises(modal.exception.NotFoundError, match="'absent'"):
        look_up("absent")
    app = look_up("short-lived", create_if_missing=True)
    assert look_up("short-lived").app_id == app.app_id
    sandbox = modal.Sandbox.create("sleep", "60", app=app, client=local.client, image=local.image)
    environment = modal.Environment.from_name("local", client=local.client)
    assert "short-lived" in [listed.name for listed in environment.apps.list()]
    app.stop()
    assert sandbox.wait(raise_on_termination=False) is None
    assert sandbox.returncode == 137
    with pytest.raises(modal.exception.NotFoundError):
        look_up("short-lived")


def test_an_image_shows_its_build_once(local: Local, capsys: pytest.CaptureFixture[str]) -> None:
    image = modal.Image.debian_slim().pip_install("numpy", "surely-not-installed").run_commands("echo unique")
    with modal.enable_output():
        image.build(local.app)
        first = capsys.readouterr().out
        again = modal.Image.debian_slim().pip_install("numpy", "surely-not-installed")
        again.run_commands("echo unique").build(local.app)
    assert "Nothing is built on this machine" in first
    assert "Not installed in this Python environment: surely-not-installed" in first
    assert "echo unique" not in capsys.readouterr().out


def test_every_kind_of_image_gives_a_sandbox(local: Local, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("# for the test\nCloudPickle==3.1\n")
    (tmp_path / "module.py").write_text("VALUE = 42")
    version = f"3.{sys.version_info.minor}"
    images = [
        modal.Image.debian_slim(version).apt_install("ffmpeg").uv_pip_install("numpy"),
        modal.Image.from_registry("ubuntu:24.04", add_python=version).entrypoint([]),
        modal.Image.debian_slim().pip_install_from_requirements(str(tmp_path / "requirements.txt")),
        modal.Image.debian_slim().add_local_file(str(tmp_path / "module.py"), str(HOME / "module.py")),
        modal.Image.debian_slim().dockerfile_commands("RUN pip install \\\n  cloudpickle", "ENV OLD style"),
    ]
    program = (
        "import importlib.util as u, os; print(u.find_spec('cloudpickle') is not None, "
        "os.path.exists('module.py'), os.environ.get('OLD'))"
    )
    answers = [local.create("python", "-c", program, image=image).stdout.read().split() for image in images]
    assert answers == [
        ["False", "False", "None"],
        ["False", "False", "None"],
        ["True", "False", "None"],
        ["False", "True", "None"],
        ["True", "False", "style"],
    ]


def test_another_python_is_refused_when_the_image_is_built(local: Local) -> None:
    other = "3.12" if sys.version_info.minor == 11 else "3.11"
    for image in (
        modal.Image.debian_slim(other),
        modal.Image.from_registry("ubuntu:24.04", add_python=other).pip_install("numpy"),
    ):
        with pytest.raises(modal.exception.ImageBuildError, match=f"asks for Python {other}"):
            local.create("true", image=image)


def test_an_image_runs_its_own_command_behind_its_entrypoint(local: Local) -> None:
    image = local.image.entrypoint(["echo", "entry"]).cmd(["own"])
    assert local.create(image=image).stdout.read() == "entry own\n"
    assert local.create("given", image=image).stdout.read() == "entry given\n"


def test_secrets_are_kept_for_the_user_alone(local: Local, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    options = {"environment_name": "local", "client": local.client}
    modal.Secret.objects.create("named", {"KEY": "v4lue"}, **options)
    with pytest.raises(modal.exception.AlreadyExistsError):
        modal.Secret.objects.create("named", {"KEY": "v4lue"}, **options)
    secret = modal.Secret.from_name("named", required_keys=["KEY"], **options)
    sandbox = local.create("sh", "-c", "echo $KEY", secrets=[secret])
    assert sandbox.stdout.read() == "v4lue\n"
    sandbox.wait()
    with pytest.raises(modal.exception.InvalidError, match="OTHER"):
        modal.Secret.from_name("named", required_keys=["OTHER"], **options).hydrate()
    files = [path for path in local.state_dir.rglob("*") if path.is_file() and b"v4lue" in path.read_bytes()]
    # The secret's own record, and what the sandbox printed.
    assert [stat.S_IMODE(path.stat().st_mode) for path in files] == [0o600, 0o600]
    assert "v4lue" not in caplog.text
    modal.Secret.objects.delete("named", **options)
    assert modal.Secret.objects.list(**options) == []


def test_a_secret_is_in_no_other_sandbox(local: Local, backend: dict[str, str]) -> None:
    """Not in its variables, those of what is run inside, its home, or its description."""
    secret = modal.Secret.from_dict({"HIDDEN": "s3cret-of-one"})
    one = local.create("sh", "-c", "echo $HIDDEN; sleep 60", secrets=[secret], **backend)
    assert next(iter(one.stdout)) == "s3cret-of-one\n"
    assert (
        one.exec("sh", "-c", "echo $OTHER", secrets=[modal.Secret.from_dict({"OTHER": "0ther"})]).wait() == 0
    )
    search = 'env; env | grep -c -e s3cret -e 0ther; grep -rl -e s3cret-of-one -e 0ther . "$TMPDIR"; true'
    other = local.create("sh", "-c", search, **backend)
    found = other.stdout.read()
    assert "HOME=" in found
    assert "s3cret" not in found.replace(search, "")
    assert found.splitlines()[-1] == "0"
    inside = one.exec("env").stdout.read()
    assert "HIDDEN=s3cret-of-one" in inside
    assert "OTHER" not in inside  # given to one command only
    one.terminate()


def test_ephemeral_secrets_are_freed_and_those_in_use_kept(local: Local) -> None:
    first, used = (modal.Secret.from_dict({"KEY": "small"}).hydrate(local.client) for _ in range(2))
    large = {f"K{number}": "x" * 32_000 for number in range(100)}

    async def ask(stubs: Stubs) -> None:
        def describe(secret: modal.Secret) -> Awaitable[object]:
            request = api_pb2.SecretGetInfoRequest(secret_id=secret.object_id)
            return stubs.control.SecretGetInfo(request, metadata=METADATA)

        for _ in range(7):  # 22 million characters, more than are kept
            last = await modal.Secret.from_dict(large).hydrate.aio(local.client)
            await describe(used)
        await describe(last)
        with pytest.raises(GRPCError) as caught:
            await describe(first)
        assert caught.value.status is Status.NOT_FOUND

    converse(local, local.create("true").object_id, ask)


@pytest.mark.parametrize(
    "option",
    [
        {"inbound_cidr_allowlist": ["10.0.0.0/8"]},
        {"include_oidc_identity_token": True},
        {"custom_domain": "example.com"},
        {"_experimental_enable_snapshot": True},
    ],
    ids=lambda option: next(iter(option)),
)
def test_an_option_that_only_modal_can_honour_is_refused(local: Local, option: dict[str, Any]) -> None:
    for gpu in (None, "T4"):
        with pytest.raises((modal.exception.UnimplementedError, modal.exception.InvalidError)):
            local.create("true", gpu=gpu, **option)


@pytest.mark.parametrize("field", ["i6pn_enabled", "include_x509_svid", "outbound_policy"])
def test_a_field_that_only_modal_can_honour_is_refused(local: Local, field: str) -> None:
    sandbox = local.create("sleep", "60")
    definition = api_pb2.Sandbox(image_id=local.image.object_id, entrypoint_args=["true"], timeout_secs=5)
    if field == "outbound_policy":
        definition.outbound_policy.SetInParent()
    else:
        setattr(definition, field, True)

    async def ask(stubs: Stubs) -> None:
        request = api_pb2.SandboxCreateV2Request(app_id=local.app.app_id, definition=definition)
        with pytest.raises(GRPCError, match=field) as caught:
            await stubs.control.SandboxCreateV2(request, metadata=METADATA)
        assert caught.value.status is Status.UNIMPLEMENTED

    converse(local, sandbox.object_id, ask)
    sandbox.terminate()


def test_identifiers_survive_a_restart_of_the_server(start_local: StartLocal) -> None:
    first = start_local()
    image = modal.Image.debian_slim().env({"KEPT": "yes"})
    image.build(first.app)
    first.close()
    second = start_local(state_dir=first.state_dir)
    assert second.app.app_id == first.app.app_id
    # The image is known by its ID only, as in a kernel that has used it before.
    assert second.create("sh", "-c", "echo $KEPT", image=image).stdout.read() == "yes\n"


def test_a_call_that_is_missing_here_names_itself(local: Local) -> None:
    queue = modal.Queue.from_name("q", create_if_missing=True, client=local.client, environment_name="local")
    with pytest.raises(modal.exception.UnimplementedError, match="QueueGetOrCreate"):
        queue.hydrate()


def test_garbage_does_not_disturb_the_server(local: Local, caplog: pytest.LogCaptureFixture) -> None:
    async def send(message: bytes, announced: int) -> Status:
        metadata = {"x-modal-token-id": TOKEN[0], "x-modal-token-secret": TOKEN[1]}
        async with grpclib.client.Channel("127.0.0.1", local.server.port) as channel:
            method = ModalClientStub(channel).AppGetOrCreate
            async with method.open(metadata=metadata) as stream:
                await stream.send_request()
                body = b"\0" + announced.to_bytes(4, "big") + message
                await stream._stream.send_data(body, end_stream=True)
                stream._send_message_done = stream._end_done = True
                try:
                    await stream.recv_message()
                    await stream.recv_trailing_metadata()
                except GRPCError as error:
                    return error.status
        return Status.OK

    assert asyncio.run(send(b"\xff" * 50, 50)) is Status.INVALID_ARGUMENT
    assert asyncio.run(send(b"short", 5000)) is Status.INVALID_ARGUMENT
    assert asyncio.run(send(b"x", 2**31)) is Status.RESOURCE_EXHAUSTED
    for noise in (b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)) * 100):
        with socket.create_connection(("127.0.0.1", local.server.port)) as raw:
            raw.sendall(noise)
            raw.shutdown(socket.SHUT_WR)
            while raw.recv(65536):
                pass
    local.client.hello()


def test_unknown_identifiers_are_not_found(local: Local) -> None:
    with pytest.raises(modal.exception.NotFoundError):
        modal.Sandbox.from_id("sb-" + "0" * 22, client=local.client)
    with pytest.raises(modal.exception.NotFoundError):
        modal.Sandbox.from_id("sb-v2", client=local.client)
    with pytest.raises(modal.exception.NotFoundError):
        local.create("true", image=modal.Image.from_id("im-nowhere", client=local.client))


def test_the_greeting_names_a_builder_the_sdk_knows(local: Local) -> None:
    async def greet() -> api_pb2.ClientHelloResponse:
        from google.protobuf.empty_pb2 import Empty

        metadata = {"x-modal-token-id": TOKEN[0], "x-modal-token-secret": TOKEN[1]}
        async with grpclib.client.Channel("127.0.0.1", local.server.port) as channel:
            return await ModalClientStub(channel).ClientHello(Empty(), metadata=metadata)

    assert asyncio.run(greet()).image_builder_version == "2025.06"
