"""Sandboxes through the real SDK, on both of Modal's backends."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import modal
import modal.exception
import psutil
import pytest
from local_api import TOKEN, Local, StartLocal, connect

from zenml_modal_nb.emulator import running
from zenml_modal_nb.emulator.places import HOME
from zenml_modal_nb.emulator.private_server import PrivateServer

ENVIRONMENT = (
    "import json, os; os.environ['TMPDIR'] = os.path.realpath(os.environ['TMPDIR'])\n"  # its path is kept short
    "print(json.dumps([os.getcwd(), dict(os.environ)]))"
)


@dataclass(frozen=True)
class Own:
    """A server in a process of its own, as users have it: nothing of what it starts may become anybody else's."""

    server: PrivateServer
    client: modal.Client

    def create(self, *command: str, **options: Any) -> modal.Sandbox:
        app = modal.App.lookup("own", create_if_missing=True, client=self.client, environment_name="local")
        return modal.Sandbox.create(
            *command, app=app, client=self.client, image=modal.Image.debian_slim(), **options
        )


@contextmanager
def own_server() -> Iterator[Own]:
    with running() as server:
        token = (server.environment["MODAL_TOKEN_ID"], server.environment["MODAL_TOKEN_SECRET"])
        client = connect(server.url, token)
        yield Own(server, client)
        client.__exit__(None, None, None)


@pytest.fixture(scope="module")
def own() -> Iterator[Own]:
    with own_server() as own:
        yield own


def test_what_a_command_prints_arrives_while_it_runs(local: Local, backend: dict[str, str]) -> None:
    sandbox = local.create("sh", "-c", "echo one; read line; echo got $line; exit 7", **backend)
    lines = iter(sandbox.stdout)
    assert next(lines) == "one\n"
    assert sandbox.poll() is None
    sandbox.stdin.write("a line\n")
    sandbox.stdin.drain()
    assert next(lines) == "got a line\n"
    sandbox.wait()
    assert sandbox.returncode == 7


def test_both_streams_and_every_byte_of_them_come_through(local: Local, backend: dict[str, str]) -> None:
    program = "import sys; print('é' * 100_000); print('wrong', file=sys.stderr)"
    sandbox = local.create("python", "-c", program, **backend)
    assert sandbox.stdout.read() == "é" * 100_000 + "\n"
    assert sandbox.stderr.read() == "wrong\n"
    again = modal.Sandbox.from_id(sandbox.object_id, client=local.client)
    assert again.stdout.read() == "é" * 100_000 + "\n"


def test_characters_split_by_reads_stay_whole(start_local: StartLocal, backend: dict[str, str]) -> None:
    slow = start_local(read_size=5, read_delay=0.001)
    sandbox = slow.create("python", "-c", "print('a€é𝄞' * 20)", **backend)
    assert sandbox.stdout.read() == "a€é𝄞" * 20 + "\n"
    sandbox.wait()  # when all of it is there, its pieces are read as carefully
    again = modal.Sandbox.from_id(sandbox.object_id, client=slow.client)
    assert again.stdout.read() == "a€é𝄞" * 20 + "\n"


def test_large_input_reaches_the_command_and_ends(local: Local, backend: dict[str, str]) -> None:
    sandbox = local.create("python", "-c", "import sys; print(len(sys.stdin.buffer.read()))", **backend)
    for _ in range(3):
        sandbox.stdin.write(b"x" * 1_000_000)
        sandbox.stdin.drain()
    sandbox.stdin.write_eof()
    sandbox.stdin.drain()
    assert sandbox.stdout.read() == "3000000\n"


def test_input_after_its_end_is_refused(local: Local, backend: dict[str, str]) -> None:
    sandbox = local.create("true", **backend)
    sandbox.wait()
    sandbox.stdin.write(b"late")
    with pytest.raises(ValueError, match="closed"):
        sandbox.stdin.drain()


def test_a_second_handle_cannot_continue_the_input_of_the_first(local: Local) -> None:
    sandbox = local.create("cat")
    sandbox.stdin.write("first")
    sandbox.stdin.drain()
    other = modal.Sandbox.from_id(sandbox.object_id, client=local.client)
    other.stdin.write("xxxxx")  # the same positions again: taken for a repetition
    other.stdin.write_eof()
    other.stdin.drain()
    assert sandbox.stdout.read() == "first"


def test_the_identifier_tells_the_backend(local: Local) -> None:
    v1, v2 = local.create("true", gpu="T4"), local.create("true")
    assert re.fullmatch(r"sb-[0-9A-Za-z]{22}", v1.object_id)
    assert not re.fullmatch(r"sb-[0-9A-Za-z]{22}", v2.object_id)


def test_a_timeout_ends_the_sandbox_with_124(local: Local, backend: dict[str, str]) -> None:
    sandbox = local.create("sleep", "60", timeout=1, **backend)
    with pytest.raises(modal.exception.SandboxTimeoutError):
        sandbox.wait()
    assert sandbox.returncode == 124


def test_terminating_ends_everything_the_command_started(own: Own, backend: dict[str, str]) -> None:
    # One child stays in the group, one leaves it for a session of its own.
    program = "sleep 61 & setsid sleep 62 & echo $$; wait"
    sandbox = own.create("sh", "-c", program, **backend)
    pid = int(next(iter(sandbox.stdout)))
    family = [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    assert sandbox.terminate(wait=True) == 137
    assert not [pid for pid in family if psutil.pid_exists(pid)]  # a zombie would exist
    with pytest.raises(modal.exception.SandboxTerminatedError):
        sandbox.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere orphans are the system's first process's")
def test_no_zombies_are_left_of_what_a_sandbox_started(own: Own, backend: dict[str, str]) -> None:
    # The second leads a session of its own; the third's leader has ended already.
    program = "sleep 60 & echo $!; setsid sleep 61 & echo $!; setsid sh -c 'sleep 62 & echo $$ $!'"
    sandbox = own.create("sh", "-c", program, **backend)
    sandbox.wait()
    command = own.create(**backend)
    inside = command.exec("sh", "-c", program)
    inside.wait()
    command.terminate(wait=True)
    pids = [int(line) for line in (sandbox.stdout.read() + inside.stdout.read()).split()]
    assert len(pids) == 8
    assert not [pid for pid in pids if psutil.pid_exists(pid)]
    assert psutil.Process(own.server.pid).children() == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere orphans are the system's first process's")
def test_an_orphan_that_ends_in_a_running_sandbox_is_no_zombie_for_long(
    own: Own, backend: dict[str, str]
) -> None:
    program = "(setsid sh -c 'exit 3' & echo $!); (true & echo $!); read line"
    sandbox = own.create("sh", "-c", program, **backend)
    lines = iter(sandbox.stdout)
    pids = [int(next(lines)), int(next(lines))]
    deadline = time.monotonic() + 20
    while left := [pid for pid in pids if psutil.pid_exists(pid)]:
        assert time.monotonic() < deadline, left
    assert sandbox.poll() is None
    sandbox.stdin.write("go\n")
    sandbox.stdin.drain()
    sandbox.wait()
    assert sandbox.returncode == 0


def test_a_background_child_does_not_outlive_the_command(own: Own, backend: dict[str, str]) -> None:
    sandbox = own.create("sh", "-c", "sleep 63 & echo $!", **backend)
    sandbox.wait()
    assert not psutil.pid_exists(int(sandbox.stdout.read()))


def test_what_leaves_everything_behind_does_not_outlive_the_sandbox(
    own: Own, backend: dict[str, str]
) -> None:
    """Two processes without parent, session and variables; one is met at once, one has left its directory too."""
    leave = "env -i setsid sleep 64 & echo $!"
    sandbox = own.create("sh", "-c", leave, **backend)
    sandbox.wait()
    assert not psutil.pid_exists(int(sandbox.stdout.read()))
    sandbox = own.create("sh", "-c", f"cd /; {leave}; read line; exit", **backend)
    left = int(next(iter(sandbox.stdout)))
    for _ in range(2):  # the first measurement may have begun before there was anything to find
        measured = sandbox._experimental_stats().duration
        while sandbox._experimental_stats().duration == measured:
            pass
    sandbox.stdin.write("go\n")
    sandbox.stdin.drain()
    sandbox.wait()
    assert not psutil.pid_exists(left)


def test_a_signal_is_told_by_the_exit_code(local: Local, backend: dict[str, str]) -> None:
    sandbox = local.create("sh", "-c", "kill -TERM $$", **backend)
    sandbox.wait()
    assert sandbox.returncode == 128 + 15


def test_a_command_that_does_not_exist_fails_as_in_a_shell(local: Local, backend: dict[str, str]) -> None:
    sandbox = local.create("no-such-command", **backend)
    sandbox.wait()
    assert sandbox.returncode == 127
    assert "no-such-command: command not found" in sandbox.stderr.read()


def test_the_environment_is_clean(
    local: Local, backend: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USERS_OWN", "private")
    image = local.image.env({"PLAIN": "a b", "PATH": "/extra:$PATH"}).run_commands("true")
    secret = modal.Secret.from_dict({"HIDDEN": "s3cret"})
    sandbox = local.create(
        "python", "-c", ENVIRONMENT, image=image, env={"GIVEN": "1"}, secrets=[secret], **backend
    )
    _, environment = json.loads(sandbox.stdout.read())
    python, *path = environment.pop("PATH").split(":")
    assert python.startswith(str(local.state_dir))
    assert path == ["/extra", "$PATH"]  # the SDK quotes the value, so a real build keeps it as it is, too
    place = environment.pop("HOME").removesuffix(str(HOME))
    assert place.startswith(str(local.state_dir))
    assert environment == {
        "GIVEN": "1",
        "HIDDEN": "s3cret",
        "LANG": "C.UTF-8",
        "MODAL_SANDBOX_ID": sandbox.object_id,
        "PLAIN": "a b",
        "TMPDIR": f"{place}/tmp",
    }
    sandbox.wait()
    assert not Path(place).exists()


def test_the_working_directory_is_private_whatever_it_is_called(
    local: Local, backend: dict[str, str]
) -> None:
    image = local.image.workdir("/my work")
    program = f"{ENVIRONMENT}; open('made', 'w')"
    inherited = local.create("python", "-c", program, image=image, **backend)
    assert json.loads(inherited.stdout.read())[0].endswith("/my work")
    given = local.create("python", "-c", program, image=image, workdir=str(HOME), **backend)
    directory, environment = json.loads(given.stdout.read())
    assert directory == environment["HOME"]
    given.wait()
    assert not Path(HOME, "made").exists()


def test_packages_a_real_image_would_not_have_cannot_be_imported(local: Local) -> None:
    program = (
        "import importlib.util as u, numpy; "
        "print(*[u.find_spec(n) is not None for n in ('zenml', 'zenml_modal_nb', 'cloudpickle', 'modal')])"
    )
    for python in ("python", "python3", f"python3.{sys.version_info.minor}"):
        plain = local.create(python, "-c", program)
        assert plain.stdout.read() == "False False False True\n", plain.stderr.read()
    installed = local.create("python", "-c", program, image=local.image.pip_install("cloudpickle>=3"))
    assert installed.stdout.read() == "False False True True\n"
    # ZenML requires cloudpickle, so a real image with ZenML has both.
    with_zenml = local.create("python", "-c", program, image=local.image.pip_install("zenml==0.98"))
    assert with_zenml.stdout.read() == "True False True True\n"


def test_tags_find_running_sandboxes_of_both_backends(local: Local) -> None:
    app = modal.App.lookup("tagged", create_if_missing=True, client=local.client, environment_name="local")
    options = {"app": app, "client": local.client, "image": local.image, "tags": {"run": "1", "who": "me"}}
    v1 = modal.Sandbox.create("sleep", "60", gpu="T4", **options)
    v2 = modal.Sandbox.create("sleep", "60", **options)
    ended = modal.Sandbox.create("true", **options)
    ended.wait()

    def found(**tags: str) -> set[str]:
        listed = modal.Sandbox.list(app_id=app.app_id, tags=tags, client=local.client)
        return {sandbox.object_id for sandbox in listed}

    assert found(run="1") == {v1.object_id, v2.object_id}
    assert found(run="1", who="you") == set()
    v2.set_tags({"run": "2"})
    assert v2.get_tags() == {"run": "2"}
    assert v1.get_tags() == {"run": "1", "who": "me"}
    assert found(run="1") == {v1.object_id}
    v1.terminate()
    assert found() == {v2.object_id}


def test_a_name_is_taken_while_its_sandbox_runs(local: Local, backend: dict[str, str]) -> None:
    first = local.create("sleep", "60", name="one", **backend)
    with pytest.raises(modal.exception.AlreadyExistsError):
        local.create("sleep", "60", name="one", **backend)
    found = modal.Sandbox.from_name("tests", "one", environment_name="local", client=local.client)
    assert found.object_id == first.object_id
    first.terminate(wait=True)
    with pytest.raises(modal.exception.NotFoundError):
        modal.Sandbox.from_name("tests", "one", environment_name="local", client=local.client)


def test_a_gpu_that_modal_does_not_have_is_refused(local: Local) -> None:
    with pytest.raises(modal.exception.InvalidError, match="Did you mean 'A100'"):
        local.create("true", gpu="A1000")
    with pytest.raises(modal.exception.InvalidError, match="1 to 4 GPUs of type A10"):
        local.create("true", gpu="A10:5")
    assert local.create("true", gpu="a100-80gb:8")


def test_only_the_most_recent_output_of_v2_is_kept_and_all_of_v1(start_local: StartLocal) -> None:
    small = start_local(log_retention=1000)
    program = "for number in range(1000): print(f'{number:06}')"
    v1, v2 = small.create("python", "-c", program, gpu="T4"), small.create("python", "-c", program)
    v1.wait()
    v2.wait()
    assert len(v1.stdout.read()) == 7000
    recent = v2.stdout.read()
    assert len(recent) == 1000
    assert recent.endswith("000999\n")


def test_a_sandbox_without_a_command_stays_until_it_is_ended(local: Local, backend: dict[str, str]) -> None:
    sandbox = local.create(**backend)
    assert sandbox.exec("echo", "here").stdout.read() == "here\n"
    assert sandbox.poll() is None
    assert sandbox.terminate(wait=True) == 137


def test_what_a_subprocess_cannot_be_given_is_refused_not_ignored(local: Local) -> None:
    with pytest.raises(modal.exception.UnimplementedError, match="network"):
        local.create("true", block_network=True)
    with pytest.raises(modal.exception.UnimplementedError, match="tunnels"):
        local.create("true", encrypted_ports=[80])


def test_closing_leaves_no_process_and_no_file(start_local: StartLocal) -> None:
    other = start_local()
    sandbox = other.create("sleep", "64")
    sandbox.exec("sleep", "65")
    assert other.server.active == 1
    other.close()
    assert other.server.active == 0
    assert not list((other.state_dir / "sandboxes").iterdir())
    assert not [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["sleep", "65"]]


def test_a_server_that_ends_leaves_no_process() -> None:
    with own_server() as own:
        # Nothing tells whose this one is once its sandbox has ended, but that the server has adopted it.
        lost = own.create("sh", "-c", "cd /; env -i setsid sleep 67 & echo $!")
        lost.wait()
        left = int(lost.stdout.read())
        sandbox = own.create("sh", "-c", "setsid sleep 64 & echo $$; wait")
        pid = int(next(iter(sandbox.stdout)))
        family = [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    remaining = [pid for pid in (*family, own.server.pid) if psutil.pid_exists(pid)]
    assert not remaining
    assert sys.platform != "linux" or not psutil.pid_exists(left)


def test_what_a_killed_server_left_behind_is_ended_by_the_next(
    tmp_path: Path, start_local: StartLocal
) -> None:
    program = (
        "import asyncio, sys; from pathlib import Path\n"
        "from zenml_modal_nb.emulator.server import serve\n"
        "from zenml_modal_nb.emulator.settings import ServerSettings\n"
        "async def main():\n"
        "    server = await serve(ServerSettings(Path(sys.argv[1]), *sys.argv[2:]))\n"
        "    print(server.url, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path), *TOKEN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        client_program = (
            "import modal\n"
            "app = modal.App.lookup('a', create_if_missing=True)\n"
            "sandbox = modal.Sandbox.create('sh', '-c', 'echo $$; sleep 66', app=app)\n"
            "print(next(iter(sandbox.stdout)))\n"
        )
        url = killed.stdout.readline().strip()
        variables = {"MODAL_SERVER_URL": url, "MODAL_TOKEN_ID": TOKEN[0], "MODAL_TOKEN_SECRET": TOKEN[1]}
        client = subprocess.run(
            [sys.executable, "-c", client_program],
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), **variables},
            capture_output=True,
            text=True,
            check=True,
        )
        killed.kill()
    orphan = psutil.Process(int(client.stdout))
    assert orphan.is_running()
    start_local(state_dir=tmp_path)
    orphan.wait(5)
    assert not list((tmp_path / "sandboxes").iterdir())
