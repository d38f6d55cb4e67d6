"""What people do with Modal's SDK, written against its public API alone: one body for every version of it.

Run by `test_conformance.py`, in process with the newest SDK and, as a program of its own, in the environments of
older ones: `python journeys.py URL TOKEN_ID TOKEN_SECRET`, which prints a line of JSON for each journey. Imports
nothing but the SDK, so that those environments need nothing else.
"""

from __future__ import annotations

import json
import sys
import tempfile
import traceback
import uuid
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import modal
import modal.exception

ENVIRONMENT = "local"


@dataclass(frozen=True)
class Session:
    """A client of the server at `url`, and an app to create things in."""

    url: str
    client: modal.Client
    app: modal.App

    def create(self, *command: str, **options: Any) -> modal.Sandbox:
        options.setdefault("image", modal.Image.debian_slim())
        return modal.Sandbox.create(*command, app=self.app, client=self.client, **options)


Journey = Callable[[Session], None]


def refusal_of(attempt: Callable[[], object], kind: type[Exception]) -> str:
    """What the SDK says when it refuses; pytest, which has something like this, is not there with an older SDK."""
    try:
        attempt()
    except kind as error:
        return str(error)
    raise AssertionError(f"there was no {kind.__name__}")


def follows_output(session: Session) -> None:
    sandbox = session.create("sh", "-c", "echo one; read line; echo got $line; echo wrong >&2; exit 7")
    lines = iter(sandbox.stdout)
    assert next(lines) == "one\n"
    assert sandbox.poll() is None
    sandbox.stdin.write("a line\n")
    sandbox.stdin.write_eof()
    sandbox.stdin.drain()
    assert list(lines) == ["got a line\n"]
    sandbox.wait(raise_on_termination=False)
    assert (sandbox.returncode, sandbox.stderr.read()) == (7, "wrong\n")


def uses_a_gpu(session: Session) -> None:
    sandbox = session.create("echo", "on a T4", gpu="T4", cpu=1.0, memory=512)
    assert sandbox.stdout.read() == "on a T4\n"
    sandbox.wait()
    assert sandbox.poll() == 0
    assert "A1000" in refusal_of(lambda: session.create("true", gpu="A1000"), modal.exception.InvalidError)


def sends_and_receives_much(session: Session) -> None:
    sandbox = session.create("cat")
    for _ in range(3):
        sandbox.stdin.write(b"x" * 999_999 + b"\n")
        sandbox.stdin.drain()
    sandbox.stdin.write_eof()
    sandbox.stdin.drain()
    assert len(sandbox.stdout.read()) == 3_000_000


def is_timed_out(session: Session) -> None:
    sandbox = session.create("sleep", "60", timeout=1)
    refusal_of(sandbox.wait, modal.exception.SandboxTimeoutError)
    assert sandbox.returncode == 124


def is_terminated(session: Session) -> None:
    sandbox = session.create("sleep", "60")
    sandbox.terminate()
    sandbox.wait(raise_on_termination=False)
    again = modal.Sandbox.from_id(sandbox.object_id, client=session.client)
    assert again.poll() == 137


def is_found_again(session: Session) -> None:
    name = f"named-{uuid.uuid4().hex[:8]}"
    sandbox = session.create("sh", "-c", "echo here; sleep 60", name=name)
    sandbox.set_tags({"run": name})
    found = modal.Sandbox.from_name("conformance", name, environment_name=ENVIRONMENT, client=session.client)
    assert found.object_id == sandbox.object_id
    assert next(iter(found.stdout)) == "here\n"
    listed = modal.Sandbox.list(app_id=session.app.app_id, tags={"run": name}, client=session.client)
    assert [item.object_id for item in listed] == [sandbox.object_id]
    sandbox.terminate()
    sandbox.wait(raise_on_termination=False)
    listed = modal.Sandbox.list(app_id=session.app.app_id, tags={"run": name}, client=session.client)
    assert list(listed) == []


def runs_commands_inside(session: Session) -> None:
    sandbox = session.create("sleep", "60", env={"OUTER": "1"})
    process = sandbox.exec("sh", "-c", "echo $OUTER; echo err >&2; cat; exit 3")
    process.stdin.write("typed")
    process.stdin.write_eof()
    process.stdin.drain()
    assert (process.stdout.read(), process.stderr.read(), process.wait()) == ("1\ntyped", "err\n", 3)
    assert sandbox.exec("pwd", workdir="/some/where").stdout.read().endswith("/some/where\n")
    assert sandbox.exec("no-such-command").wait() == 127
    sandbox.terminate()


def keeps_files(session: Session) -> None:
    sandbox = session.create("sleep", "60")
    files = sandbox.filesystem
    with tempfile.TemporaryDirectory() as directory:
        target = f"{directory}/new/data.bin"
        content = bytes(range(256)) * 5000
        files.write_bytes(content, target)
        assert files.read_bytes(target) == content
        files.write_text("short", target)
        assert files.read_text(target) == "short"
        if hasattr(files, "list_files"):  # since 1.4.1
            (entry,) = files.list_files(f"{directory}/new")
            assert (entry.name, entry.size) == ("data.bin", 5)
            files.remove(target)
        Path(target).unlink(missing_ok=True)
        refusal_of(lambda: files.read_bytes(target), modal.exception.SandboxFilesystemNotFoundError)
    sandbox.terminate()


def builds_images(session: Session) -> None:
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "module.py").write_text("VALUE = 42\n", encoding="utf-8")
        image = (
            modal.Image.debian_slim()
            .run_commands("true")
            .env({"PLAIN": "a b"})
            .workdir("/work")
            .add_local_file(f"{directory}/module.py", "/work/module.py", copy=True)
        )
        program = "import os, module; print(module.VALUE, os.environ['PLAIN'], os.getcwd()[-5:])"
        assert session.create("python", "-c", program, image=image).stdout.read() == "42 a b /work\n"


def refuses_another_python(session: Session) -> None:
    other = "3.12" if sys.version_info[:2] == (3, 11) else "3.11"
    # Before 1.6 the SDK had no exception of its own for a build that fails.
    kind = getattr(modal.exception, "ImageBuildError", modal.exception.RemoteError)
    image = modal.Image.debian_slim(other)
    assert other in refusal_of(lambda: session.create("true", image=image), kind)


def keeps_secrets(session: Session) -> None:
    name = f"secret-{uuid.uuid4().hex[:8]}"
    options = {"environment_name": ENVIRONMENT, "client": session.client}
    modal.Secret.objects.create(name, {"KEY": "v4lue"}, **options)
    named = modal.Secret.from_name(name, required_keys=["KEY"], environment_name=ENVIRONMENT)
    given = modal.Secret.from_dict({"OTHER": "given"})
    sandbox = session.create("sh", "-c", "echo $KEY $OTHER", secrets=[named, given])
    assert sandbox.stdout.read() == "v4lue given\n"
    assert name in [secret.name for secret in modal.Secret.objects.list(**options)]
    modal.Secret.objects.delete(name, **options)
    deleted = modal.Secret.from_name(name, environment_name=ENVIRONMENT)
    refusal_of(lambda: session.create("true", secrets=[deleted]), modal.exception.NotFoundError)


def is_told_what_does_not_exist(session: Session) -> None:
    look_ups: tuple[Callable[[], object], ...] = (
        lambda: modal.Sandbox.from_id("sb-" + "0" * 22, client=session.client),
        lambda: modal.App.lookup("absent", client=session.client, environment_name=ENVIRONMENT),
        lambda: session.create("true", image=modal.Image.from_id("im-nowhere", client=session.client)),
    )
    for look_up in look_ups:
        refusal_of(look_up, modal.exception.NotFoundError)


def keeps_volumes(session: Session) -> None:
    name = f"volume-{uuid.uuid4().hex[:8]}"
    volume = modal.Volume.from_name(
        name, create_if_missing=True, environment_name=ENVIRONMENT, client=session.client, version=2
    )
    with tempfile.TemporaryDirectory() as directory:
        local = Path(directory, "file")
        content = bytes(range(256)) * 50_000  # 12.8 MB, more than one block
        local.write_bytes(content)
        with volume.batch_upload() as batch:
            batch.put_file(local, "/folder/large")
        assert b"".join(volume.read_file("/folder/large")) == content
        assert [entry.path for entry in volume.listdir("/", recursive=True)] == ["folder", "folder/large"]

        sandbox = session.create("sleep", "60", volumes={"/data": volume})
        assert sandbox.exec("sh", "-c", "wc -c < /data/folder/large").stdout.read().strip() == str(
            len(content)
        )
        local.write_text("later")
        with volume.batch_upload() as batch:
            batch.put_file(local, "/later")
        assert sandbox.exec("cat", "/data/later").wait() == 1
        sandbox.reload_volumes()
        assert sandbox.exec("cat", "/data/later").stdout.read() == "later"
        assert sandbox.exec("sh", "-c", "echo written > /data/written").wait() == 0
        assert sandbox.exec("sync", "/data").wait() == 0
        assert b"".join(volume.read_file("/written")) == b"written\n"
        sandbox.terminate()
    volume.remove_file("/later")
    assert "later" not in [entry.path for entry in volume.listdir("/")]


def ends_when_nobody_uses_it(session: Session) -> None:
    sandbox = session.create("sleep", "60", idle_timeout=1)
    sandbox.wait(raise_on_termination=False)
    assert sandbox.returncode == 137


def ends_when_it_holds_too_much(session: Session) -> None:
    program = "import time; held = bytearray(200_000_000); time.sleep(60)"
    sandbox = session.create("python", "-c", program, memory=(64, 100))
    sandbox.wait(raise_on_termination=False)
    assert sandbox.returncode == 137


def fetches_a_log(session: Session) -> None:
    sandbox = session.create("sh", "-c", "echo first; echo second")
    sandbox.wait()
    if hasattr(sandbox, "logs"):  # since 1.5.5
        assert [entry.message for entry in sandbox.logs.tail(1)] == ["second\n"]
        begin = datetime.now(UTC) - timedelta(hours=1)
        assert [entry.message for entry in sandbox.logs.fetch(since=begin)] == ["first\n", "second\n"]


def is_refused_with_another_token(session: Session) -> None:
    from modal_proto import api_pb2

    def greet() -> None:
        with modal.Client(session.url, api_pb2.CLIENT_TYPE_CLIENT, ("ak-wrong", "as-wrong")) as stranger:
            stranger.hello()

    refusal_of(greet, modal.exception.AuthError)


def ends_with_its_app(session: Session) -> None:
    if not hasattr(modal.App, "stop"):  # an SDK that stops apps on its command line only
        return
    name = f"stopped-{uuid.uuid4().hex[:8]}"
    options = {"client": session.client, "environment_name": ENVIRONMENT}
    app = modal.App.lookup(name, create_if_missing=True, **options)
    sandbox = Session(session.url, session.client, app).create("sleep", "60")
    app.stop(client=session.client)
    sandbox.wait(raise_on_termination=False)
    assert sandbox.returncode == 137
    refusal_of(lambda: modal.App.lookup(name, **options), modal.exception.NotFoundError)


JOURNEYS: tuple[Journey, ...] = (
    follows_output,
    uses_a_gpu,
    sends_and_receives_much,
    is_timed_out,
    is_terminated,
    is_found_again,
    runs_commands_inside,
    keeps_files,
    builds_images,
    refuses_another_python,
    keeps_secrets,
    is_told_what_does_not_exist,
    keeps_volumes,
    ends_when_nobody_uses_it,
    ends_when_it_holds_too_much,
    fetches_a_log,
    is_refused_with_another_token,
    ends_with_its_app,
)


def open_session(url: str, client: modal.Client) -> Session:
    """The app all journeys share."""
    app = modal.App.lookup("conformance", create_if_missing=True, client=client, environment_name=ENVIRONMENT)
    return Session(url, client, app)


def main(url: str, token_id: str, token_secret: str) -> None:
    """Make every journey and print for each its name and, if it failed, where."""
    from modal_proto import api_pb2

    warnings.simplefilter("error", DeprecationWarning)
    with modal.Client(url, api_pb2.CLIENT_TYPE_CLIENT, (token_id, token_secret)) as client:
        session = open_session(url, client)
        for journey in JOURNEYS:
            failure = ""
            try:
                journey(session)
            except Exception:  # noqa: BLE001  told to the test that runs this
                failure = traceback.format_exc()
            print(json.dumps({"journey": journey.__name__, "failure": failure}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
