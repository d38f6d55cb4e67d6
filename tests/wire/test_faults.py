"""What the SDK's user sees when something goes wrong at Modal, made to happen on demand."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import modal
import modal.exception
import pytest
from local_api import TOKEN, Local, StartLocal, connect

from zenml_modal_nb.emulator import faults, running
from zenml_modal_nb.emulator.faults import Fault, FaultControl
from zenml_modal_nb.emulator.faults.latencies import ROUND_TRIP, milliseconds_of

GPU = {"gpu": "A100"}


@pytest.fixture
def control(local: Local) -> Iterator[FaultControl]:
    """The local server's faults; all are cleared after each test."""
    control = FaultControl(local.server.url, *TOKEN)
    yield control
    control.clear()


@contextmanager
def planned(control: FaultControl, fault: Fault) -> Iterator[None]:
    """Let a fault happen, and prove that it did."""
    fault_id = control.add(fault)
    yield
    (listed,) = (item for item in control.list() if item.id == fault_id)
    assert listed.happened > 0


def test_a_gpu_without_capacity_is_waited_for(local: Local, control: FaultControl) -> None:
    shortage = control.add(faults.NoCapacity(gpu="a100", seconds=1))
    begin = time.monotonic()
    assert local.create("echo", "other", gpu="T4").stdout.read() == "other\n"
    assert local.create("echo", "none").stdout.read() == "none\n"
    sandbox = local.create("echo", "late", **GPU)
    assert time.monotonic() - begin >= 1
    assert sandbox.stdout.read() == "late\n"
    assert [item.id for item in control.list()] == [shortage]


def test_a_shortage_that_ends_lets_the_sandbox_start(local: Local, control: FaultControl) -> None:
    control.add(faults.NoCapacity())
    control.add(faults.SlowScheduling(seconds=0.2))
    app = modal.App.lookup("waiting", create_if_missing=True, client=local.client, environment_name="local")
    creating = local.loop.start(_create(local, app, "echo", "at last", **GPU))
    while not (waiting := list(modal.Sandbox.list(app_id=app.app_id, client=local.client))):
        pass
    assert waiting[0].poll() is None
    control.clear()
    assert creating.result(10) == "at last\n"


async def _create(local: Local, app: modal.App, *command: str, **options: Any) -> str:
    sandbox = await modal.Sandbox.create.aio(
        *command, app=app, client=local.client, image=local.image, **options
    )
    text: str = await sandbox.stdout.read.aio()
    return text


def test_a_sandbox_that_waits_can_be_terminated(local: Local, control: FaultControl) -> None:
    control.add(faults.SlowScheduling(seconds=600))
    sandbox = local.create("echo", "never")  # V2: made at once, started later
    assert sandbox.poll() is None
    assert sandbox.terminate(wait=True) == 137
    assert sandbox.stdout.read() == ""


def test_the_sdk_gives_up_on_a_gpu_at_last(local: Local, control: FaultControl) -> None:
    control.add(faults.NoCapacity(gpu="A100", refuse=True))
    with pytest.raises(modal.exception.ResourceExhaustedError, match="Insufficient capacity"):
        local.create("true", **GPU)
    assert local.create("true", gpu="T4")


def test_scheduling_can_be_slow(local: Local, control: FaultControl, backend: dict[str, str]) -> None:
    control.add(faults.SlowScheduling(seconds=0.7))
    begin = time.monotonic()
    sandbox = local.create("cat", **backend)
    # V2's create answers at once; its input is taken once there is somebody to read it.
    sandbox.stdin.write("typed early")
    sandbox.stdin.write_eof()
    sandbox.stdin.drain()
    assert sandbox.stdout.read() == "typed early"
    assert time.monotonic() - begin >= 0.7


def test_a_call_is_refused_in_the_words_of_the_fault(local: Local, control: FaultControl) -> None:
    with (
        planned(control, faults.Refusal("AppGetOrCreate", "Not on this plan.")),
        pytest.raises(modal.exception.PermissionDeniedError, match="Not on this plan"),
    ):
        modal.App.lookup("tests", client=local.client, environment_name="local")
    with pytest.raises(ValueError, match="one of the statuses"):
        control.add(faults.Refusal(status="TEAPOT"))


def test_a_call_that_is_unavailable_is_repeated_by_the_sdk(local: Local, control: FaultControl) -> None:
    with planned(control, faults.Unavailable("AppGetOrCreate", times=2)):
        assert modal.App.lookup("tests", client=local.client, environment_name="local").app_id


def test_a_call_that_stays_unavailable_is_an_error(local: Local, control: FaultControl) -> None:
    with (
        planned(control, faults.Unavailable("AppGetOrCreate", times=100)),
        pytest.raises(modal.exception.ServiceError, match="not available"),
    ):
        modal.App.lookup("tests", client=local.client, environment_name="local")


def test_added_latency_delays_what_goes_over_http_too(local: Local, control: FaultControl) -> None:
    volume = modal.Volume.from_name(
        "far-away", create_if_missing=True, client=local.client, environment_name="local", version=2
    )
    control.add(faults.Latency(milliseconds=400, call="TransferPut"))
    control.add(faults.Latency(milliseconds=300, call="TransferGet"))
    begin = time.monotonic()
    with volume.batch_upload() as batch:
        batch.put_file(io.BytesIO(os.urandom(100)), "/f")
    there = time.monotonic()
    assert len(b"".join(volume.read_file("f"))) == 100
    assert there - begin >= 0.4
    assert time.monotonic() - there >= 0.3
    assert milliseconds_of("modal", "TransferPut") > ROUND_TRIP


@pytest.mark.parametrize("break_kind", [faults.Unavailable, faults.DroppedConnection])
@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_broken_stream_is_read_to_its_end(
    start_local: StartLocal,
    backend: dict[str, str],
    break_kind: type[faults.Unavailable | faults.DroppedConnection],
    after: int,
) -> None:
    local = start_local(read_size=1000)
    control = FaultControl(local.server.url, *TOKEN)
    sandbox = local.create("python", "-c", "for n in range(2000): print(f'{n:09}')", **backend)
    call = "SandboxGetLogs" if backend else "SandboxStdioReadV2"
    with planned(control, break_kind(call, after=after, times=2)):
        assert sandbox.stdout.read() == "".join(f"{n:09}\n" for n in range(2000))


def test_a_rate_limit_is_waited_out(
    local: Local, control: FaultControl, caplog: pytest.LogCaptureFixture
) -> None:
    begin = time.monotonic()
    with planned(control, faults.RateLimit("SecretList", retry_after=0.4)):
        modal.Secret.objects.list(environment_name="local", client=local.client)
    assert time.monotonic() - begin >= 0.4
    assert "called too often" in caplog.text


def test_a_preempted_sandbox_is_asked_to_end_first(
    local: Local, control: FaultControl, backend: dict[str, str]
) -> None:
    program = (
        "import time\ntry: print('up', flush=True); time.sleep(60)\nexcept KeyboardInterrupt: print('saved')"
    )
    sandbox = local.create("python", "-c", program, **backend)
    lines = iter(sandbox.stdout)
    assert next(lines) == "up\n"
    with planned(control, faults.Preemption()):
        sandbox.wait()
    assert list(lines) == ["saved\n"]
    assert sandbox.returncode == 137


def test_a_preempted_sandbox_that_stays_is_killed(local: Local, control: FaultControl) -> None:
    sandbox = local.create("sh", "-c", "trap '' INT; echo up; sleep 60")
    assert next(iter(sandbox.stdout)) == "up\n"
    with planned(control, faults.Preemption(grace=0.1)):
        sandbox.wait()
    assert sandbox.returncode == 137


def test_a_sandbox_out_of_memory_ends_with_137(
    local: Local, control: FaultControl, backend: dict[str, str]
) -> None:
    with planned(control, faults.OutOfMemory(after=0.1)):
        first, second = local.create("sleep", "60", **backend), local.create("sleep", "60", **backend)
        first.wait()
    assert first.returncode == 137
    assert second.poll() is None  # one sandbox at a time
    second.terminate()


def test_a_lost_worker_takes_the_output_of_v2_with_it(local: Local, control: FaultControl) -> None:
    v1 = local.create("sh", "-c", "echo kept; sleep 60", gpu="T4")
    v2 = local.create("sh", "-c", "echo gone; sleep 60")
    assert (next(iter(v1.stdout)), next(iter(v2.stdout))) == ("kept\n", "gone\n")
    with planned(control, faults.LostWorker(times=2)):
        v1.wait()
        v2.wait()
    assert (v1.returncode, v2.returncode) == (137, 137)
    assert modal.Sandbox.from_id(v1.object_id, client=local.client).stdout.read() == "kept\n"
    with pytest.raises(modal.exception.ServiceError, match="does not answer"):
        modal.Sandbox.from_id(v2.object_id, client=local.client).stdout.read()


def test_a_build_that_fails_is_told_and_succeeds_when_repeated(
    local: Local, control: FaultControl, capsys: pytest.CaptureFixture[str]
) -> None:
    image = modal.Image.debian_slim().run_commands("echo only here")
    image.build(local.app)  # what it is based on
    broken = image.run_commands("make all")
    with (
        planned(control, faults.BuildFailure(message="make: *** no rule")),
        modal.enable_output(),
        pytest.raises(modal.exception.ImageBuildError, match="no rule"),
    ):
        broken.build(local.app)
    assert "make: *** no rule" in capsys.readouterr().out
    assert local.create("echo", "built", image=broken).stdout.read() == "built\n"


def test_a_small_retention_forgets_what_was_printed_first(local: Local, control: FaultControl) -> None:
    control.add(faults.LogRetention(size=100))
    sandbox = local.create("sh", "-c", "seq -f %09g 1000")
    sandbox.wait()
    assert sandbox.stdout.read() == "".join(f"{n:09}\n" for n in range(991, 1001))


def test_a_broken_byte_ends_the_sdks_reading_of_v2_only(local: Local, control: FaultControl) -> None:
    control.add(faults.InvalidUtf8(position=3))
    with pytest.raises(UnicodeDecodeError):
        local.create("echo", "0123456").stdout.read()
    assert local.create("echo", "0123456", gpu="T4").stdout.read() == "012\N{REPLACEMENT CHARACTER}456\n"


@pytest.mark.parametrize("version", [1, 2])
def test_a_late_commit_is_seen_late(
    local: Local, control: FaultControl, tmp_path: Path, version: int
) -> None:
    volume = modal.Volume.from_name(
        f"late-{version}",
        create_if_missing=True,
        client=local.client,
        environment_name="local",
        version=version,
    )

    def upload(content: str) -> None:
        (tmp_path / "file").write_text(content)
        with volume.batch_upload(force=True) as batch:
            batch.put_file(tmp_path / "file", "/file")

    def read() -> bytes:
        return b"".join(volume.read_file("/file"))

    upload("old")
    control.add(faults.LateCommits(seconds=1))
    begin = time.monotonic()
    upload("new")
    assert read() == b"old"
    while (found := read()) == b"old":
        assert time.monotonic() - begin < 20
    assert found == b"new"
    assert time.monotonic() - begin >= 1


def test_answers_take_their_time(local: Local, control: FaultControl) -> None:
    def seconds() -> float:
        begin = time.perf_counter()
        local.client.hello()
        return time.perf_counter() - begin

    control.add(faults.Latency(milliseconds=150, call="ClientHello"))
    assert seconds() >= 0.15
    control.clear()
    control.add(faults.Latency(profile="modal"))
    assert seconds() >= 0.04
    begin = time.perf_counter()
    assert local.create("echo", "far").stdout.read() == "far\n"
    assert time.perf_counter() - begin >= 0.3


def test_every_fault_tells_how_often_it_has_happened(local: Local, control: FaultControl) -> None:
    volume = modal.Volume.from_name(
        "counted", create_if_missing=True, client=local.client, environment_name="local", version=2
    )

    def refused() -> None:
        with pytest.raises(modal.exception.ResourceExhaustedError):
            local.create("true", **GPU)

    def run(**options: Any) -> None:
        local.create("echo", "0123456", **options).wait()

    def broken() -> None:
        with suppress(UnicodeDecodeError):
            local.create("echo", "0123456").stdout.read()

    def upload() -> None:
        with volume.batch_upload(force=True) as batch:
            batch.put_file(io.BytesIO(os.urandom(10)), "/file")

    def often(fault: Fault, *happenings: Callable[[], object]) -> int:
        fault_id = control.add(fault)
        for happening in happenings:
            happening()
        counted = next(item.happened for item in control.list() if item.id == fault_id)
        control.clear(fault_id)
        return counted

    on_gpu = partial(run, **GPU)
    assert often(faults.NoCapacity(gpu="A100", refuse=True), refused, run, refused) == 2
    assert often(faults.NoCapacity(gpu="A100", seconds=0.3), on_gpu, run) == 1  # on_gpu waits it out
    assert often(faults.SlowScheduling(seconds=0.01), run, on_gpu, run) == 3
    assert often(faults.LogRetention(size=5), on_gpu, run, run) == 2  # V2 only
    assert often(faults.InvalidUtf8(position=3), broken, run, broken) == 2  # `run` reads nothing
    assert often(faults.LateCommits(seconds=0.01), upload, upload) == 2
    assert often(faults.Latency(milliseconds=1, call="ClientHello"), *[local.client.hello] * 3, run) == 3
    assert often(faults.Latency(milliseconds=1, call="TransferPut"), upload, upload, run) == 2


def test_faults_are_listed_cleared_and_checked(local: Local, control: FaultControl) -> None:
    first = control.add(faults.NoCapacity(gpu="H100", seconds=5))
    second = control.add(faults.Latency(milliseconds=0))
    listed = control.list()
    assert [item.id for item in listed] == [first, second]
    assert listed[0].fault == faults.NoCapacity(gpu="H100", seconds=5)
    assert control.clear(first) == 1
    assert [item.id for item in control.list()] == [second]
    for senseless in (faults.Latency(), faults.Latency(profile="mars"), faults.SlowScheduling(float("nan"))):
        with pytest.raises(ValueError):
            control.add(senseless)


def test_faults_need_the_servers_token(local: Local) -> None:
    from grpclib import GRPCError, Status

    with pytest.raises(GRPCError) as caught:
        FaultControl(local.server.url, "ak-tests", "as-guessed").add(faults.LostWorker())
    assert caught.value.status is Status.UNAUTHENTICATED


def test_a_private_server_can_have_faults_from_the_start() -> None:
    with running(faults=[faults.Unavailable("ClientHello", times=3)]) as server:
        token = (server.environment["MODAL_TOKEN_ID"], server.environment["MODAL_TOKEN_SECRET"])
        client = connect(server.url, token)
        client.hello()
        client.__exit__(None, None, None)
        assert [(item.happened, item.fault) for item in server.faults.list()] == [
            (3, faults.Unavailable("ClientHello", times=3))
        ]


def test_faults_are_planned_on_the_command_line(tmp_path: Path) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "zenml_modal_nb.emulator", "fault", *words]
        return subprocess.run(
            [*command, "--state-dir", str(tmp_path)], capture_output=True, text=True, check=False
        )

    assert run("list").returncode == 3
    with running(state_dir=tmp_path) as server:
        first = run("add", "no-capacity", "--gpu", "H100", "--seconds", "30")
        assert first.returncode == 0, first.stderr
        second = run("add", "latency", "--profile", "modal")
        assert [item.id for item in server.faults.list()] == [first.stdout.strip(), second.stdout.strip()]
        assert server.faults.list()[0].fault == faults.NoCapacity(gpu="H100", seconds=30)
        assert "no-capacity" in run("list").stdout
        shown = json.loads(run("list", "--json").stdout)
        assert [item["kind"] for item in shown] == ["no-capacity", "latency"]
        senseless = run("add", "latency", "--profile", "mars")
        assert (senseless.returncode, "Traceback" in senseless.stderr) == (1, False)
        assert "profiles" in senseless.stderr
        unknown = run("clear", "fault-77")
        assert (unknown.returncode, unknown.stderr) == (1, "There is no fault 'fault-77'.\n")
        assert run("clear").stdout == "Cleared: 2.\n"
        assert server.faults.list() == []
