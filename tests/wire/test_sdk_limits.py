"""What a sandbox asks for, uses and may use; its log after the fact; environments; all through the real SDK."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import modal
import modal.exception
import pytest
from local_api import Local, StartLocal
from modal_proto import api_pb2
from raw_calls import METADATA, Stubs, converse


def test_a_memory_limit_ends_the_sandbox_and_says_so(local: Local, backend: dict[str, str]) -> None:
    hungry = "import time; held = bytearray(200_000_000); print('held', flush=True); time.sleep(60)"
    sandbox = local.create("python", "-c", hungry, memory=(64, 100), **backend)
    sandbox.wait(raise_on_termination=False)
    assert sandbox.returncode == 137
    assert status_of(local, sandbox) == api_pb2.GenericResult.GENERIC_STATUS_KERNEL_OOM_KILL
    modest = local.create("python", "-c", "held = bytearray(200_000_000)", memory=64, **backend)
    modest.wait()
    assert modest.returncode == 0  # a request is no limit


def test_a_memory_limit_counts_what_is_run_inside(local: Local, backend: dict[str, str]) -> None:
    sandbox = local.create("sleep", "60", memory=(64, 150), **backend)
    hungry = "import time; held = bytearray(300_000_000); print('held', flush=True); time.sleep(60)"
    # Without variables, and without a parent once the command that started it has ended.
    leave = f'mkfifo up; setsid env -i "$(command -v python)" -c "{hungry}" > up & read line < up'
    sandbox.exec("sh", "-c", f"{leave}; echo $line")
    sandbox.wait(raise_on_termination=False)
    assert status_of(local, sandbox) == api_pb2.GenericResult.GENERIC_STATUS_KERNEL_OOM_KILL


def status_of(local: Local, sandbox: modal.Sandbox) -> int:
    """Why a sandbox ended, as the API tells it: the SDK has 137 for all of it."""
    found: list[int] = []

    async def ask(stubs: Stubs) -> None:
        request = api_pb2.SandboxWaitRequest(sandbox_id=sandbox.object_id, timeout=0)
        found.append((await stubs.control.SandboxWait(request, metadata=METADATA)).result.status)

    converse(local, sandbox.object_id, ask)
    return found[0]


def test_a_sandbox_that_nobody_uses_ends(local: Local, backend: dict[str, str]) -> None:
    sandbox = local.create("sleep", "60", idle_timeout=1, **backend)
    busy = sandbox.exec("sh", "-c", "sleep 2; echo done")
    assert busy.stdout.read() == "done\n"
    sandbox.wait(raise_on_termination=False)
    assert sandbox.returncode == 137
    assert status_of(local, sandbox) == api_pb2.GenericResult.GENERIC_STATUS_IDLE_TIMEOUT


def test_input_is_use(local: Local, backend: dict[str, str]) -> None:
    # The input of 2.4 seconds keeps it, longer than the limit; then it ends.
    sandbox = local.create("cat", idle_timeout=1, **backend)
    lines = iter(sandbox.stdout)
    begin = time.monotonic()
    while time.monotonic() - begin < 2.4:
        sandbox.stdin.write("more\n")
        sandbox.stdin.drain()
        assert next(lines) == "more\n"
    assert sandbox.poll() is None
    sandbox.wait(raise_on_termination=False)
    assert sandbox.returncode == 137


@pytest.mark.parametrize(("cpu", "threads"), [(None, ""), (0.5, "1"), (3.0, "3"), ((2.0, 4.0), "2")])
def test_a_cpu_request_tells_libraries_how_many_threads_make_sense(
    local: Local, cpu: Any, threads: str
) -> None:
    sandbox = local.create(
        "sh", "-c", "echo $OMP_NUM_THREADS $MKL_NUM_THREADS $OPENBLAS_NUM_THREADS", cpu=cpu
    )
    assert sandbox.stdout.read().split() == [threads] * 3 * bool(threads)
    own = local.create("sh", "-c", "echo $OMP_NUM_THREADS", cpu=2.0, env={"OMP_NUM_THREADS": "7"})
    assert own.stdout.read() == "7\n"


def test_regions_and_clouds_that_modal_does_not_have_are_refused(local: Local) -> None:
    with pytest.raises(modal.exception.InvalidError, match="Did you mean 'us-east'"):
        local.create("true", region="us-eastt")
    with pytest.raises(modal.exception.InvalidError, match="cloud 'azure'"):
        local.create("true", cloud="azure")
    for region in ("us", "eu-west", "us-east-1", "europe-west4", ["us-east", "us-west"]):
        assert local.create("true", region=region, cloud="aws")


def test_a_sandbox_is_named_later_but_once(local: Local) -> None:
    sandbox = local.create("sleep", "60")
    sandbox._experimental_set_name("later")
    sandbox._experimental_set_name("later")
    found = modal.Sandbox.from_name("tests", "later", environment_name="local", client=local.client)
    assert found.object_id == sandbox.object_id
    with pytest.raises(modal.exception.ConflictError):
        sandbox._experimental_set_name("another")
    with pytest.raises(modal.exception.AlreadyExistsError):
        local.create("sleep", "60")._experimental_set_name("later")
    sandbox.terminate()


@pytest.mark.newest
def test_what_was_used_is_measured_and_priced(local: Local, backend: dict[str, str]) -> None:
    begin = datetime.now(UTC) - timedelta(seconds=1)
    app = modal.App.lookup(
        f"billed-{len(backend)}", create_if_missing=True, client=local.client, environment_name="local"
    )
    work = "import time\nwhile time.process_time() < 1.5: pass"  # however busy the machine is
    sandbox = modal.Sandbox.create(
        "python",
        "-c",
        work,
        app=app,
        client=local.client,
        image=local.image,
        memory=1024,
        cpu=0.125,
        **backend,
    )
    sandbox.wait()
    stats = sandbox._experimental_stats()
    seconds = stats.duration.total_seconds()
    assert seconds > 1.5
    # The memory request is more than it used, the CPU request less: billed is the larger.
    assert stats.billed_memory_gib_seconds == pytest.approx(seconds, rel=0.01)
    assert 0.3 < stats.billed_cpu_core_seconds <= 2 * seconds
    expected = {"CPU", "Memory", *backend.values()}
    assert set(stats.cost_by_resource) == expected
    assert stats.cost == sum(stats.cost_by_resource.values())
    if backend:
        assert stats.cost_by_resource["T4"] == pytest.approx(
            Decimal("0.000164") * Decimal(seconds), rel=Decimal("0.01")
        )
    workspace = modal.Workspace.from_context(client=local.client)
    report = workspace.billing.report(start=begin.replace(minute=0, second=0, microsecond=0), resolution="h")
    (item,) = [item for item in report if item.object_id == app.app_id]
    assert item.cost == stats.cost


@pytest.mark.newest
def test_a_bill_needs_no_sandbox_and_survives_a_restart(start_local: StartLocal) -> None:
    """The sum of what each was told to cost is what the report says, also when they are forgotten."""
    begin = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    first = start_local()
    told = Decimal(0)
    for gpu in ("T4", None, "A100"):
        sandbox = first.create("true", gpu=gpu)
        sandbox.wait()
        told += sandbox._experimental_stats().cost
    assert billed(first, begin) == pytest.approx(told, abs=Decimal("1e-8"))
    first.close()
    for forgotten in (first.state_dir / "records-1").glob("sandboxes*/*"):
        forgotten.unlink()
    second = start_local(state_dir=first.state_dir)
    with pytest.raises(modal.exception.NotFoundError):
        modal.Sandbox.from_id(sandbox.object_id, client=second.client)
    assert billed(second, begin) == pytest.approx(told, abs=Decimal("1e-8"))


def billed(local: Local, begin: datetime, **options: Any) -> Decimal:
    """What the report says that the app of these tests has cost."""
    workspace = modal.Workspace.from_context(client=local.client)
    report = workspace.billing.report(start=begin, resolution="h", **options)
    return sum((item.cost for item in report if item.object_id == local.app.app_id), Decimal(0))


def test_a_bill_is_for_the_environments_that_are_asked_for(local: Local) -> None:
    begin = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    app = modal.App.lookup(
        "billed-in-main", create_if_missing=True, client=local.client, environment_name="main"
    )
    modal.Sandbox.create("true", app=app, client=local.client, image=local.image).wait()
    local.create("true").wait()
    for name, other in (("main", "local"), ("local", "main")):
        environment = modal.Environment.from_name(name, client=local.client)
        environment.hydrate()
        found = {item.environment_name for item in environment.billing.report(start=begin, resolution="h")}
        assert name in found
        assert other not in found


def test_a_log_is_fetched_by_time_and_its_end_is_tailed(local: Local, backend: dict[str, str]) -> None:
    begin = datetime.now(UTC)
    program = "echo first; echo wrong >&2; read line; echo second; printf third"
    sandbox = local.create("sh", "-c", program, **backend)
    assert next(iter(sandbox.stdout)) == "first\n"
    assert next(iter(sandbox.stderr)) == "wrong\n"  # there is no order between the two streams
    between = datetime.now(UTC)
    sandbox.stdin.write("go\n")
    sandbox.stdin.drain()
    sandbox.wait()
    found = list(sandbox.logs.fetch(since=begin))
    assert sorted(entry.message for entry in found) == ["first\n", "second\n", "third", "wrong\n"]
    assert [entry.timestamp for entry in found] == sorted(entry.timestamp for entry in found)
    assert all(begin <= entry.timestamp <= datetime.now(UTC) for entry in found)
    later = [entry.message for entry in sandbox.logs.fetch(since=between)]
    assert later == ["second\n", "third"]
    assert [entry.message for entry in sandbox.logs.fetch(since=begin, source="stderr")] == ["wrong\n"]
    assert [entry.message for entry in sandbox.logs.fetch(since=begin, search_text="con")] == ["second\n"]
    assert [entry.message for entry in sandbox.logs.tail(1)] == ["third"]


def test_environments_are_separate(local: Local) -> None:
    objects = modal.Environment.objects
    names = [environment.name for environment in objects.list(client=local.client)]
    assert names[:2] == ["local", "main"]
    objects.create("other", client=local.client)
    with pytest.raises(modal.exception.AlreadyExistsError):
        objects.create("other", client=local.client)
    options = {"client": local.client, "environment_name": "other"}
    modal.Secret.objects.create("only-there", {"K": "v"}, **options)
    app = modal.App.lookup("only-there", create_if_missing=True, **options)
    with pytest.raises(modal.exception.NotFoundError):
        modal.App.lookup("only-there", client=local.client, environment_name="main")
    sandbox = modal.Sandbox.create("sleep", "60", app=app, client=local.client, image=local.image)
    objects.delete("other", client=local.client)
    sandbox.wait(raise_on_termination=False)
    for look_up in (
        lambda: modal.App.lookup("x", create_if_missing=True, **options),
        lambda: modal.Secret.from_name("only-there", **options).hydrate(),
        lambda: modal.Volume.from_name("x", create_if_missing=True, **options).hydrate(),
        lambda: modal.Environment.from_name("other", client=local.client).hydrate(),
        lambda: objects.delete("other", client=local.client),
    ):
        with pytest.raises(modal.exception.NotFoundError, match="Environment 'other' not found"):
            look_up()
    with pytest.raises(modal.exception.ConflictError):
        objects.delete("main", client=local.client)


def test_environments_survive_a_restart(start_local: StartLocal) -> None:
    first = start_local()
    modal.Environment.objects.create("kept", client=first.client)
    first.close()
    second = start_local(state_dir=first.state_dir)
    assert "kept" in [found.name for found in modal.Environment.objects.list(client=second.client)]


@pytest.mark.newest
def test_finished_sandboxes_survive_a_restart(start_local: StartLocal, backend: dict[str, str]) -> None:
    first = start_local()
    program = "echo printed; echo wrong >&2; exit 3"
    ended = first.create("sh", "-c", program, tags={"run": "7"}, env={"SECRET": "s3cret"}, **backend)
    ended.wait()
    stats = ended._experimental_stats()
    running = first.create("sh", "-c", "echo begun; sleep 60", **backend)
    assert next(iter(running.stdout)) == "begun\n"
    first.close()
    second = start_local(state_dir=first.state_dir)
    again = modal.Sandbox.from_id(ended.object_id, client=second.client)
    assert (again.returncode, again.stdout.read(), again.stderr.read()) == (3, "printed\n", "wrong\n")
    assert again.get_tags() == {"run": "7"}
    assert again._experimental_stats().cost == stats.cost
    assert [entry.message for entry in again.logs.tail(1, source="stdout")] == ["printed\n"]
    assert modal.Sandbox.from_id(running.object_id, client=second.client).returncode == 137
    assert not [
        path for path in first.state_dir.rglob("*") if path.is_file() and b"s3cret" in path.read_bytes()
    ]


def test_an_image_with_files_survives_a_restart(start_local: StartLocal, tmp_path: Path) -> None:
    first = start_local()
    (tmp_path / "file").write_text("content")
    image = first.image.add_local_file(str(tmp_path / "file"), "/root/file")
    assert first.create("cat", "file", image=image).stdout.read() == "content"
    first.close()
    second = start_local(state_dir=first.state_dir)
    assert second.create("cat", "file", image=image).stdout.read() == "content"
