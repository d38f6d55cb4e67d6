"""The life of the local Modal API's process, through its command line and `emulator.running()`."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpclib.client
import modal
import psutil
import pytest
from modal_proto import api_pb2
from modal_proto.api_grpc import ModalClientStub

from zenml_modal_nb import __version__, emulator

COMMAND = [sys.executable, "-m", "zenml_modal_nb.emulator"]
# As an older release would: the same program under another version number.
OTHER_RELEASE = """
import sys, zenml_modal_nb
zenml_modal_nb.__version__ = "0.0.1"
from zenml_modal_nb.emulator.__main__ import main
sys.exit(main())
"""


@dataclass(frozen=True)
class Home:
    """One user's machine: a state directory, and the commands that the user runs there."""

    state_dir: Path
    environment: dict[str, str]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *words], env=self.environment, capture_output=True, text=True, timeout=60, check=False
        )

    def open(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*COMMAND, *words],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def start(self, *words: str) -> dict[str, Any]:
        """Start a server, and return what its state file says."""
        done = self.run("start", "--json", *words)
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        state = self.state()
        assert said["url"] == state["url"]
        assert said["state_file"] == str(self.state_file)
        return state | {"notice": said["notice"]}

    @property
    def state_file(self) -> Path:
        return self.state_dir / "server.json"

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(self.state_file.read_text())
        return state


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path / "state", os.environ | {"ZENML_MODAL_NB_STATE_DIR": str(tmp_path / "state")})
    yield home
    if not home.state_file.exists():  # no server that the test left running
        return
    done = home.run("stop")
    assert done.returncode == 0, done.stderr


def wait_for_end(pid: int) -> None:
    """Wait until a process that is not our child has ended, if only as a zombie nobody reaps here."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    import select

    with open(descriptor, "rb", closefd=True):
        assert select.select([descriptor], [], [], 15)[0], "the process did not end"


@contextmanager
def calling(state: dict[str, Any]) -> Iterator[modal.Client]:
    """The SDK's client, as a user of the server in `state` has it."""
    token = (state["token_id"], state["token_secret"])
    with modal.Client(state["url"], api_pb2.CLIENT_TYPE_CLIENT, token) as client:
        yield client


def lives(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_start_status_and_stop_agree(home: Home) -> None:
    assert home.run("status").returncode == 3
    state = home.start()
    status = home.run("status")
    assert status.returncode == 0
    assert state["url"] in status.stdout
    facts = json.loads(home.run("status", "--json").stdout)
    assert facts["running"]
    assert facts["pid"] == state["pid"]
    assert not {"token_id", "token_secret"} & facts.keys()
    assert home.start()["pid"] == state["pid"]
    assert home.run("stop").returncode == 0
    assert not lives(state["pid"])
    assert not home.state_file.exists()
    assert home.run("status").returncode == 3


def test_the_packages_own_command_leads_to_the_same(home: Home) -> None:
    """`zenml-modal-nb emulator start|status|fault|stop`, as the user types it."""
    program = str(Path(sys.executable).with_name("zenml-modal-nb"))

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, "emulator", *words],
            env=home.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert run("status").returncode == 3
    started = run("start")
    assert started.returncode == 0, started.stderr
    state = home.state()
    assert state["url"] in started.stdout
    assert json.loads(run("status", "--json").stdout)["pid"] == state["pid"]
    assert run("fault", "add", "lost-worker").returncode == 0
    assert "lost-worker" in run("fault", "list").stdout
    assert run("fault", "clear", "fault-77").returncode == 1
    wrong = run("nonsense")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("usage: zenml-modal-nb emulator [-h]")
    assert run("start", "--help").stdout.startswith("usage: zenml-modal-nb emulator start")
    assert run("stop").returncode == 0
    assert not lives(state["pid"])
    assert run("status").returncode == 3
    told = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60, check=True)
    assert told.stdout == f"zenml-modal-nb {__version__}\n"
    itself = home.run("--help").stdout
    assert itself.startswith("usage: python -m zenml_modal_nb.emulator [-h]")


def test_every_port_is_on_loopback_the_one_with_tls_too(home: Home) -> None:
    state = home.start()
    process = psutil.Process(state["pid"])

    def listening() -> list[tuple[str, int]]:
        found = process.net_connections(kind="inet")
        return [tuple(socket.laddr) for socket in found if socket.status == psutil.CONN_LISTEN]

    before = listening()
    assert len(before) == 2  # the API's, and the one of contents

    async def ask_as_an_old_sdk() -> str:
        address = urlsplit(state["url"])
        metadata = {
            "x-modal-token-id": state["token_id"],
            "x-modal-token-secret": state["token_secret"],
            "x-modal-client-version": "1.4.0",
        }
        async with grpclib.client.Channel(address.hostname, address.port) as channel:
            calls = ModalClientStub(channel)
            app = await calls.AppGetOrCreate(
                api_pb2.AppGetOrCreateRequest(app_name="old", object_creation_type=1), metadata=metadata
            )
            image = await calls.ImageGetOrCreate(
                api_pb2.ImageGetOrCreateRequest(
                    app_id=app.app_id, image=api_pb2.Image(dockerfile_commands=["FROM scratch"])
                ),
                metadata=metadata,
            )
            sandbox = api_pb2.Sandbox(image_id=image.image_id, entrypoint_args=["true"], timeout_secs=9)
            request = api_pb2.SandboxCreateV2Request(app_id=app.app_id, definition=sandbox)
            created = await calls.SandboxCreateV2(request, metadata=metadata)
            return str(created.command_router_access.url)

    url = asyncio.run(ask_as_an_old_sdk())
    assert url.startswith("https://127.0.0.1:")
    after = listening()
    assert len(after) == 3
    assert urlsplit(url).port in [port for _, port in after]
    assert {host for host, _ in after} == {"127.0.0.1"}


def test_two_starts_at_once_lead_to_one_server(home: Home) -> None:
    both = [home.open("start", "--json") for _ in range(2)]
    said = [json.loads(process.communicate(timeout=60)[0]) for process in both]
    assert said[0]["url"] == said[1]["url"] == home.state()["url"]
    family = [
        process
        for process in psutil.process_iter(["cmdline"])
        if {"serve", str(home.state_dir)} <= set(process.info["cmdline"] or ())
    ]
    assert [process.pid for process in family] == [home.state()["pid"]]


def test_a_killed_server_is_succeeded_and_its_process_number_is_not_mistaken_for_it(home: Home) -> None:
    killed = home.start()
    os.kill(killed["pid"], signal.SIGKILL)
    wait_for_end(killed["pid"])
    # After a reboot, say, the number is somebody else's.
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    stale = json.dumps(killed | {"pid": stranger.pid})
    home.state_file.write_text(stale)
    assert home.run("status").returncode == 3
    assert home.run("stop").returncode == 0
    assert not home.state_file.exists()
    home.state_file.write_text(stale)
    new = home.start()
    assert new["pid"] not in (killed["pid"], stranger.pid)
    assert new["token_secret"] != killed["token_secret"]
    stranger.communicate()
    assert stranger.returncode == 1  # the end of its input, not a signal


def test_a_garbled_state_file_is_replaced(home: Home) -> None:
    home.state_dir.mkdir(mode=0o700)
    home.state_file.touch(mode=0o600)
    for garbage in (b"", b"[1]", b'{"url": 7}', b"\xff", b"{"):
        home.state_file.write_bytes(garbage)
        assert home.run("status").returncode == 3
    assert home.start()["pid"]


def test_a_server_brings_its_state_file_back_and_ends_when_its_directory_is_gone(home: Home) -> None:
    state = home.start()
    home.state_file.write_text("{")
    assert home.start() == state
    home.state_dir.rename(home.state_dir.with_name("removed"))
    wait_for_end(state["pid"])


def test_the_token_is_the_users_only(home: Home) -> None:
    state = home.start()
    assert stat.S_IMODE(home.state_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.state_dir.stat().st_mode) == 0o700
    process = psutil.Process(state["pid"])
    readable = (
        " ".join(process.cmdline()) + str(process.environ()) + (home.state_dir / "server.log").read_text()
    )
    assert state["token_secret"] not in readable
    assert state["token_id"] not in readable
    assert len(state["token_secret"]) > 32


def test_a_state_directory_that_others_can_read_is_refused(home: Home) -> None:
    home.state_dir.mkdir(mode=0o755)
    (home.state_dir / "something").touch()
    done = home.run("start")
    assert done.returncode == 1
    assert "chmod 700" in done.stderr


def test_the_default_state_directory_is_taken_as_a_server_that_lost_it_has_made_it(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ZENML", "XDG"))}
    user = Home(tmp_path / ".local/state/zenml-modal-nb/emulator", environment | {"HOME": str(tmp_path)})
    (user.state_dir / "records-1").mkdir(parents=True)
    user.state_dir.chmod(0o755)
    user.start()
    assert stat.S_IMODE(user.state_dir.stat().st_mode) == 0o700
    assert user.run("stop").returncode == 0


def test_a_server_survives_the_process_group_that_started_it(home: Home) -> None:
    kernel = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import subprocess; subprocess.run({[*COMMAND, 'start']!r}); print('up'); input()",
        ],
        env=home.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert kernel.stdout is not None
    while kernel.stdout.readline() != "up\n":
        assert kernel.poll() is None
    state = home.state()
    os.killpg(kernel.pid, signal.SIGINT)
    os.killpg(kernel.pid, signal.SIGKILL)
    kernel.communicate()
    assert home.start() == state | {"notice": None}


def test_an_idle_server_of_another_release_is_replaced(home: Home) -> None:
    old = subprocess.Popen(
        [sys.executable, "-c", OTHER_RELEASE, "serve"],
        env=home.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert old.stdout is not None
    assert "answers at" in old.stdout.readline()
    new = home.start()
    assert new["pid"] != old.pid
    assert "version 0.0.1" in new["notice"]
    assert "replaced" in new["notice"]
    old.communicate()
    assert old.returncode == 0


@pytest.mark.slow  # the test above replaces a server that ends at once
def test_an_idle_server_that_has_something_to_finish_is_waited_for(home: Home, tmp_path: Path) -> None:
    gate, python = tmp_path / "gate", tmp_path / "python"
    os.mkfifo(gate)
    wait = f"[ ! -p '{gate}' ] || read opened < '{gate}'"
    python.write_text(f"#!/bin/sh\n{wait}\nexec '{sys.executable}' \"$@\"\n")
    python.chmod(0o700)
    old = home.start("--python", str(python))  # and is asked for its version, for the first sandbox
    starting = home.open("start", "--json", "--python", sys.executable)
    with pytest.raises(subprocess.TimeoutExpired):
        starting.communicate(timeout=8)
    assert lives(old["pid"])
    with gate.open("w") as opened:
        gate.unlink()  # nothing later waits there
        opened.write("go\n")
    said = json.loads(starting.communicate(timeout=60)[0])
    assert home.state()["pid"] != old["pid"]
    assert home.state()["url"] == said["url"]
    assert "replaced" in said["notice"]
    assert not lives(old["pid"])


@pytest.mark.slow
def test_a_server_that_neither_ends_nor_refuses_to_is_not_taken_for_one_that_answers(home: Home) -> None:
    state = home.start()
    server = psutil.Process(state["pid"])
    server.suspend()
    try:
        done = home.run("start", "--python", psutil.Process().exe())
        assert done.returncode == 1
        assert "emulator stop" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    finally:
        server.resume()
    server.wait(30)  # it hears then what it was asked


def test_an_idle_server_for_another_interpreter_is_replaced_unless_the_user_chose_it(
    home: Home, tmp_path: Path
) -> None:
    other = tmp_path / "python"
    other.symlink_to(sys.executable)
    chosen = home.start("--python", str(other))
    assert chosen["python"] == str(other)
    assert home.start()["pid"] == chosen["pid"]
    new = home.start("--python", sys.executable)
    assert new["python"] == sys.executable
    assert str(other) in new["notice"]


def test_a_server_with_a_sandbox_is_neither_idle_nor_replaced_and_ends_it_when_stopped(home: Home) -> None:
    state = home.start("--idle-timeout", "1.5")
    with calling(state) as client:
        app = modal.App.lookup("lifecycle", client=client, create_if_missing=True, environment_name="local")
        command = ("sh", "-c", "echo $$; exec sleep 600")
        sandbox = modal.Sandbox.create(*command, app=app, client=client, name="counted")
        pid = int(next(iter(sandbox.stdout)))
        started = home.start("--python", psutil.Process().exe())
        assert started["pid"] == state["pid"]
        assert "sandboxes run in it" in started["notice"]
        with pytest.raises(psutil.TimeoutExpired):
            psutil.Process(state["pid"]).wait(1.8)
        shown = home.run("status").stdout
        assert "1 sandboxes active" in shown
        assert re.search(rf"{sandbox.object_id} 'counted' of app 'lifecycle', for \d+ s", shown)
        (listed,) = json.loads(home.run("status", "--json").stdout)["sandboxes"]
        assert (listed["id"], listed["name"], listed["app"]) == (sandbox.object_id, "counted", "lifecycle")
    assert home.run("stop").returncode == 0
    assert not lives(pid)


def test_a_server_ends_by_itself_when_requests_with_its_token_stop(home: Home) -> None:
    state = home.start("--idle-timeout", "1")
    process = psutil.Process(state["pid"])
    with calling(state) as client:
        for _ in range(3):
            with pytest.raises(psutil.TimeoutExpired):
                process.wait(0.4)
            client.hello()
    guessed = calling(state | {"token_secret": "as-guessed"})
    with pytest.raises(modal.exception.AuthError), guessed as stranger:
        stranger.hello()
    wait_for_end(state["pid"])
    assert not home.state_file.exists()
    assert home.run("status").returncode == 3


def test_a_signal_ends_a_server_in_the_foreground_cleanly(home: Home) -> None:
    server = home.open("serve")
    assert server.stdout is not None
    assert "answers at" in server.stdout.readline()
    second = home.run("serve")
    assert second.returncode == 1
    assert "already runs" in second.stderr
    server.send_signal(signal.SIGINT)
    server.communicate()
    assert server.returncode == 0
    assert not home.state_file.exists()


def test_options_that_make_no_sense_are_named(home: Home) -> None:
    for words in (["--read-size", "0"], ["--idle-timeout", "nan"], ["--python", "/no/such/python"]):
        done = home.run("start", *words)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


def test_no_address_that_others_can_reach_is_accepted(tmp_path: Path) -> None:
    from zenml_modal_nb.emulator.settings import ServerSettings

    for host in ("0.0.0.0", "::", "192.0.2.1"):
        with pytest.raises(ValueError, match="loopback"):
            ServerSettings(tmp_path, "ak", "as", host=host)


@pytest.mark.parametrize("failure", [None, ZeroDivisionError])
def test_a_private_server_ends_with_its_block(failure: type[Exception] | None) -> None:
    with pytest.raises(failure) if failure else nullcontext(), emulator.running(idle_timeout=60) as server:
        assert server.environment["MODAL_SERVER_URL"] == server.url
        assert server.environment["MODAL_ENVIRONMENT"] == "local"
        assert server.environment["MODAL_TOKEN_SECRET"] not in repr(server)
        assert json.loads(server.state_file.read_text())["url"] == server.url
        if failure:
            raise failure
    assert not lives(server.pid)
    assert not server.state_dir.exists()


def test_a_private_server_ends_with_the_process_that_started_it() -> None:
    program = """
import os
from zenml_modal_nb import emulator
with emulator.running() as server:
    print(server.pid, server.state_dir, flush=True)
    os.abort()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGABRT, done.stderr
    pid, state_dir = done.stdout.split(maxsplit=1)
    wait_for_end(int(pid))
    assert not Path(state_dir.rstrip("\n")).exists()


def test_images_can_be_built_instead_of_taken_from_here(home: Home) -> None:
    with emulator.running(images="venv", state_dir=home.state_dir) as server:
        program = (
            "import modal\n"
            "app = modal.App.lookup('a', create_if_missing=True)\n"
            "sandbox = modal.Sandbox.create('python', '-c', 'import modal', app=app)\n"
            "print(sandbox.stderr.read())\n"
        )
        variables = os.environ | server.environment
        done = subprocess.run([sys.executable, "-c", program], env=variables, capture_output=True, text=True)
    assert "No module named 'modal'" in done.stdout, done.stderr
    without = {"PATH": "/usr/bin:/bin", "HOME": str(home.state_dir)}
    program = (
        "import sys; sys.executable = '/usr/bin/python3'; "
        "from zenml_modal_nb.emulator.__main__ import main; main()"
    )
    command = [sys.executable, "-c", program, "start", "--images", "venv", "--state-dir", str(home.state_dir)]
    refused = subprocess.run(command, env=without, capture_output=True, text=True)
    assert "uv, which is not installed" in refused.stderr
