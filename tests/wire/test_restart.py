"""A server that is killed in the middle of everything is succeeded by one that knows what had been finished."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import modal
import modal.exception
import psutil
import pytest
from local_api import connect

from zenml_modal_nb.emulator import running
from zenml_modal_nb.emulator.private_server import PrivateServer


class Life:
    """One life of a server on a state directory, and the SDK connected to it."""

    def __init__(self, server: PrivateServer, client: modal.Client) -> None:
        self.server = server
        self.client = client
        self.app = modal.App.lookup(
            "restarted", create_if_missing=True, client=client, environment_name="local"
        )

    def create(self, *command: str, image: modal.Image | None = None, **options: object) -> modal.Sandbox:
        built = image or modal.Image.debian_slim()
        return modal.Sandbox.create(*command, app=self.app, client=self.client, image=built, **options)

    def kill(self) -> None:
        """As the system does when it is out of memory: no goodbye."""
        process = psutil.Process(self.server.pid)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)


@contextmanager
def life(state_dir: Path, **options: Any) -> Iterator[Life]:
    with running(state_dir=state_dir, **options) as server:
        token = (server.environment["MODAL_TOKEN_ID"], server.environment["MODAL_TOKEN_SECRET"])
        client = connect(server.url, token)
        try:
            yield Life(server, client)
        finally:
            client.__exit__(None, None, None)


def test_what_was_made_is_there_and_what_ran_is_gone(tmp_path: Path, backend: dict[str, str]) -> None:
    state_dir = tmp_path / "state"
    image = modal.Image.debian_slim().env({"KEPT": "yes"})
    with life(state_dir) as first:
        options = {"environment_name": "local", "client": first.client}
        modal.Secret.objects.create("kept", {"KEY": "v4lue"}, **options)
        app_id = first.app.app_id
        image.build(first.app)
        # One process in the sandbox's group, one that has left it, one that a command inside started.
        busy = first.create("sh", "-c", "setsid sleep 71 & echo $$; sleep 72", **backend)
        pid = int(next(iter(busy.stdout)))
        inside = busy.exec("sh", "-c", "echo $$; sleep 73")
        orphans = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        orphans.append(psutil.Process(int(next(iter(inside.stdout)))))
        assert len(orphans) >= 3
        first.kill()
        assert [process for process in orphans if not process.is_running()] == []
    with life(state_dir) as second:
        assert psutil.wait_procs(orphans, timeout=10)[1] == []
        assert list((state_dir / "sandboxes").iterdir()) == []
        assert second.app.app_id == app_id
        secret = modal.Secret.from_name("kept", environment_name="local")
        kept = second.create("sh", "-c", "echo $KEPT $KEY", image=image, secrets=[secret], **backend)
        assert kept.stdout.read() == "yes v4lue\n"
        listed = modal.Sandbox.list(app_id=app_id, client=second.client)
        assert busy.object_id not in [sandbox.object_id for sandbox in listed]


def test_a_volume_holds_what_was_committed_and_nothing_half_written(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    content = os.urandom(3_000_000)
    with life(state_dir) as first:
        volume = modal.Volume.from_name(
            "kept", create_if_missing=True, client=first.client, environment_name="local", version=2
        )
        with volume.batch_upload() as batch:
            batch.put_file(_file(tmp_path, content), "/committed.bin")
        first.create(
            "sh", "-c", "echo lost > /data/lost; echo written; sleep 60", volumes={"/data": volume}
        ).stdout.__next__()
        first.kill()
    with life(state_dir) as second:
        volume = modal.Volume.from_name("kept", client=second.client, environment_name="local")
        assert b"".join(volume.read_file("/committed.bin")) == content
        assert [entry.path for entry in volume.listdir("/", recursive=True)] == ["committed.bin"]


def _file(directory: Path, content: bytes) -> Path:
    path = directory / "content"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("moment", range(3))
def test_a_server_killed_while_it_writes_starts_again(tmp_path: Path, moment: int) -> None:
    """Killed at any moment among hundreds of writes, it finds what it reported as written, and no damage."""
    state_dir = tmp_path / "state"
    with life(state_dir) as first:
        token = [first.server.environment[name] for name in ("MODAL_TOKEN_ID", "MODAL_TOKEN_SECRET")]
        program = (
            "import sys, modal\n"
            "from modal_proto import api_pb2\n"
            "client = modal.Client(sys.argv[1], api_pb2.CLIENT_TYPE_CLIENT, tuple(sys.argv[2:4]))\n"
            "client.__enter__()\n"
            "for number in range(1000):\n"
            "    modal.Secret.objects.create(f'{sys.argv[4]}-{number}', {'K': 'x' * 20_000},\n"
            "        environment_name='local', client=client)\n"
            "    print(number, flush=True)\n"
        )
        name = uuid.uuid4().hex[:8]
        command = [sys.executable, "-c", program, first.server.url, *token, name]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as writer:
            assert writer.stdout is not None
            for _ in range(15 * moment + 1):
                last = int(writer.stdout.readline())
            first.kill()
            writer.kill()
            told = [last, *(int(line) for line in writer.stdout if line.strip())]
    drafts = list(state_dir.glob("records-*/*/.*"))  # of what was being written
    with life(state_dir) as second:
        options = {"environment_name": "local", "client": second.client}
        listed = {secret.name for secret in modal.Secret.objects.list(**options)}
        assert {f"{name}-{number}" for number in range(told[-1] + 1)} <= listed
        assert second.create("echo", "well").stdout.read() == "well\n"
        assert not [draft for draft in drafts if draft.exists()]


def test_a_finished_run_can_still_be_read(tmp_path: Path, backend: dict[str, str]) -> None:
    state_dir = tmp_path / "state"
    with life(state_dir) as first:
        finished = first.create("sh", "-c", "echo result; echo trouble >&2; exit 5", **backend)
        finished.wait()
        assert finished.stdout.read() == "result\n"
        first.kill()
    with life(state_dir) as second:
        again = modal.Sandbox.from_id(finished.object_id, client=second.client)
        assert again.poll() == 5
        assert (again.stdout.read(), again.stderr.read()) == ("result\n", "trouble\n")


@pytest.mark.newest
def test_a_running_sandbox_is_told_as_lost_and_billed(tmp_path: Path, backend: dict[str, str]) -> None:
    state_dir = tmp_path / "state"
    begin = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    with life(state_dir) as first:
        running_one = first.create("sh", "-c", "echo up; sleep 74", **backend)
        assert next(iter(running_one.stdout)) == "up\n"
        measured = running_one._experimental_stats().duration
        while running_one._experimental_stats().duration == measured:
            pass
        first.kill()
    with life(state_dir) as second:
        again = modal.Sandbox.from_id(running_one.object_id, client=second.client)
        assert again.poll() == 137
        stats = again._experimental_stats()
        assert stats.cost > 0
        report = modal.Workspace.from_context(client=second.client).billing.report(
            start=begin, resolution="h"
        )
        assert [item.cost for item in report] == [stats.cost]


@pytest.mark.newest
@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit set for another process")
def test_a_server_whose_disk_is_full_goes_on_and_writes_down_later_what_it_could_not(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    # Its memory is looked at after the meter has tried to write down what it found, which it does every 5 s.
    hungry = "import time; input(); time.sleep(5.5); kept = bytearray(400 << 20); time.sleep(60)"
    with life(state_dir) as first:
        done = first.create("sh", "-c", "read line; echo done; exit 5")
        limited = first.create("python", "-c", hungry, memory=(128, 200))
        last = first.create("cat")
        server = psutil.Process(first.server.pid)
        _, hard = server.rlimit(psutil.RLIMIT_FSIZE)
        server.rlimit(psutil.RLIMIT_FSIZE, (0, hard))  # nothing can be written to a file from here on
        for sandbox in (done, limited):
            sandbox.stdin.write("\n")
            sandbox.stdin.write_eof()
            sandbox.stdin.drain()
        for sandbox, code in ((done, 5), (limited, 137)):
            sandbox.wait(raise_on_termination=False)
            assert sandbox.returncode == code
        assert done.stdout.read() == "done\n"
        drafts = [path for path in (state_dir / "records-1").rglob(".*") if path.is_file()]
        assert not drafts
        server.rlimit(psutil.RLIMIT_FSIZE, (hard, hard))
        while _outcomes(state_dir, done, limited) != ["EXITED", "OUT_OF_MEMORY"]:
            assert last.poll() is None
        first.kill()
    with life(state_dir) as second:
        again = modal.Sandbox.from_id(done.object_id, client=second.client)
        assert again.poll() == 5
        assert again.stdout.read() == "done\n"
        assert again._experimental_stats().cost > 0


@pytest.mark.newest
@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit set for another process")
def test_what_a_full_disk_had_no_room_for_is_written_down_though_nothing_runs_any_more(
    tmp_path: Path,
) -> None:
    state_dir = tmp_path / "state"
    with life(state_dir) as first:
        done = first.create("sh", "-c", "read line; echo done; exit 5")
        server = psutil.Process(first.server.pid)
        _, hard = server.rlimit(psutil.RLIMIT_FSIZE)
        server.rlimit(psutil.RLIMIT_FSIZE, (100, hard))  # bytes: enough for its output, not for its record
        done.stdin.write("\n")
        done.stdin.write_eof()
        done.stdin.drain()
        done.wait(raise_on_termination=False)
        server.rlimit(psutil.RLIMIT_FSIZE, (hard, hard))
        until = datetime.now(UTC) + timedelta(seconds=60)
        while _outcomes(state_dir, done) != ["EXITED"]:
            assert done.poll() == 5
            assert datetime.now(UTC) < until
        first.kill()
    with life(state_dir) as second:
        again = modal.Sandbox.from_id(done.object_id, client=second.client)
        assert again.poll() == 5
        assert again.stdout.read() == "done\n"
        assert again._experimental_stats().cost > 0


def _outcomes(state_dir: Path, *sandboxes: modal.Sandbox) -> list[str]:
    records = state_dir / "records-1" / "sandboxes-2"
    facts = [json.loads((records / f"{sandbox.object_id}.json").read_text()) for sandbox in sandboxes]
    return [told["outcome"]["end"] if told["outcome"] else "" for told in facts]


def _running(*command: str) -> list[psutil.Process]:
    return [
        process for process in psutil.process_iter(["cmdline"]) if process.info["cmdline"] == list(command)
    ]


@pytest.mark.slow  # the fast subset is test_a_server_killed_while_it_writes_starts_again
def test_a_server_killed_during_an_upload_has_all_of_the_file_or_none(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    source = tmp_path / "source"
    with source.open("wb") as file:
        for _ in range(8):
            file.write(os.urandom(8 * 1024 * 1024))
    program = (
        "import sys, modal\n"
        "volume = modal.Volume.from_name('kept', create_if_missing=True, version=2)\n"
        "with volume.batch_upload() as batch:\n"
        "    batch.put_file(sys.argv[1], '/file')\n"
    )
    with life(state_dir) as first:
        command = [sys.executable, "-c", program, str(source)]
        with subprocess.Popen(
            command, env=os.environ | first.server.environment, stderr=subprocess.DEVNULL
        ) as uploading:
            while not any(path.is_file() for path in (state_dir / "blocks").rglob("*")):
                assert uploading.poll() is None
            first.kill()
            uploading.kill()
    with life(state_dir) as second:
        options = {"client": second.client, "environment_name": "local"}
        volume = modal.Volume.from_name("kept", create_if_missing=True, version=2, **options)
        assert [entry.path for entry in volume.listdir("/")] == []
        assert not any(path.is_file() for path in (state_dir / "blocks").rglob("*")), "blocks nobody needs"
        with volume.batch_upload() as batch:
            batch.put_file(source, "/file")
        assert b"".join(volume.read_file("/file")) == source.read_bytes()


@pytest.mark.slow  # the fast subset is test_what_was_made_is_there_and_what_ran_is_gone
def test_a_server_killed_during_a_build_builds_again(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    image = modal.Image.debian_slim().run_commands("test -e done || { touch done; sleep 75; }")
    with life(state_dir, images="venv") as first, ThreadPoolExecutor(1) as pool:
        building = pool.submit(image.build, first.app)
        while not (builds := _running("sleep", "75")):
            assert not building.done()
        first.kill()
        assert building.exception(60) is not None
    with life(state_dir, images="venv") as second:
        assert psutil.wait_procs(builds, timeout=10)[1] == []
        plain = modal.Image.debian_slim().run_commands("true")
        assert second.create("echo", "well", image=plain).stdout.read() == "well\n"
        known = {path.stem for path in (state_dir / "records-1" / "images-venv").iterdir()}
        found = {path.name.partition(".")[0] for path in (state_dir / "images" / "venv").glob("im-*")}
        assert found <= known, "half a build is left"


def test_damaged_records_keep_no_server_from_starting(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    with life(state_dir) as first:
        app_id = first.app.app_id
        (tmp_path / "added").write_text("added")
        image = (
            modal.Image.debian_slim().env({"A": "1"}).add_local_file(tmp_path / "added", "/added", copy=True)
        )
        first.create("echo", "x", image=image, gpu="T4").wait()
        make(first)
    kinds = [path for path in (state_dir / "records-1").iterdir() if path.is_dir()]
    assert {kind.name.partition("-")[0] for kind in kinds} == KINDS
    damaged = [path for kind in kinds for path in _damage(kind)]
    assert len(damaged) > 100
    with life(state_dir) as second:
        assert second.app.app_id == app_id
        assert second.create("echo", "well").stdout.read() == "well\n"
        assert second.create("cat", "/v/f", volumes={"/v": volume(second)}).stdout.read() == "kept"
    left = [path for path in damaged if path.exists()]
    assert not left, "counted as whole"
    assert all(path.with_name(f"{path.name}.damaged").exists() for path in damaged)


KINDS = {"apps", "environments", "secrets", "images", "mounts", "volumes", "sandboxes", "ledger"}


def volume(on: Life) -> modal.Volume:
    return modal.Volume.from_name(
        "kept", create_if_missing=True, client=on.client, environment_name="local", version=2
    )


def make(on: Life) -> None:
    """A record of each kind that a sandbox does not make."""
    with volume(on).batch_upload() as batch:
        batch.put_file(io.BytesIO(b"kept"), "/f")
    modal.Secret.objects.create("kept", {"K": "v"}, client=on.client, environment_name="local")
    modal.Environment.objects.create("kept", client=on.client)


def _damage(kind: Path) -> Iterator[Path]:
    """Records that are none beside a whole one, and each of its values as one of another type."""
    whole = json.loads(next(kind.glob("*.json")).read_text())
    texts = ["{", "[]", "null", '{"id": "x"}', json.dumps({**whole, "odd": 1})]
    texts += [json.dumps(wrong) for wrong in _wrong(whole)]
    for number, text in enumerate(texts):
        path = kind / f"damaged-{number}.json"
        path.write_text(text)
        yield path


def _wrong(whole: Any) -> Iterator[Any]:
    items = whole.items() if isinstance(whole, dict) else enumerate(whole)
    for key, value in items:
        if value is None:
            continue
        others = [7.5] if isinstance(value, str) else ["x"]
        for other in [*others, *(_wrong(value) if isinstance(value, dict | list) else ())]:
            changed = whole.copy()
            changed[key] = other
            yield changed


def test_what_a_damaged_record_counts_on_is_kept_until_it_is_mended(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    with life(state_dir) as first:
        make(first)
    (record,) = (state_dir / "records-1" / "volumes").glob("vo-*.json")
    whole = record.read_text()
    record.write_text(whole[:-5])
    with life(state_dir) as second:
        with volume(second).batch_upload() as batch:
            batch.put_file(io.BytesIO(b"kept"), "/same")
        modal.Volume.objects.delete("kept", client=second.client, environment_name="local")
    with life(state_dir):
        pass
    record.write_text(whole)
    with life(state_dir) as mended:
        assert b"".join(volume(mended).read_file("f")) == b"kept"


def test_an_image_whose_base_is_lost_is_built_again(tmp_path: Path) -> None:
    def image() -> modal.Image:
        return modal.Image.debian_slim().env({"KEPT": "yes"})

    state_dir = tmp_path / "state"
    with life(state_dir, images="venv") as first:
        built = image().build(first.app)
    records = state_dir / "records-1" / "images-venv"
    base = json.loads((records / f"{built.object_id}.json").read_text())["base"]
    (records / f"{base}.json").write_text("{")
    with life(state_dir, images="venv") as second:
        with pytest.raises(modal.exception.NotFoundError, match=built.object_id):
            second.create("true", image=modal.Image.from_id(built.object_id, client=second.client))
        sandbox = second.create("python", "-c", "import os; print(os.environ['KEPT'])", image=image())
        assert sandbox.stdout.read() == "yes\n"


def test_an_image_whose_record_makes_it_its_own_base_is_built_again(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"

    def image() -> modal.Image:
        return modal.Image.debian_slim().env({"KEPT": "yes"})

    with life(state_dir) as first:
        built = image().build(first.app)
    record = state_dir / "records-1" / "images-host" / f"{built.object_id}.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "base": built.object_id}))
    with life(state_dir) as second:
        sandbox = second.create("python", "-c", "import os; print(os.environ['KEPT'])", image=image())
        assert sandbox.stdout.read() == "yes\n"


def test_a_bill_is_whole_though_the_record_of_an_app_is_lost(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    begin = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    with life(state_dir) as first:
        first.create("true").wait()
        app_id = first.app.app_id
    (state_dir / "records-1" / "apps" / f"{app_id}.json").write_text("{")
    with life(state_dir) as second:
        second.create("true").wait()
        billing = modal.Workspace.from_context(client=second.client).billing
        report = billing.report(start=begin, resolution="h")
        assert {item.object_id: item.cost > 0 for item in report} == {app_id: True, second.app.app_id: True}
