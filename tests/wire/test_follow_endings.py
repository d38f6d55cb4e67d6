"""Every way in which a followed sandbox can end: the reason is said, and nothing is left at Modal."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from threading import Timer
from typing import Any

import modal
import psutil
import pytest
from followed import BACKENDS, PATIENCE, Followed, Modal, strict_modal

from zenml_modal_nb.emulator import faults
from zenml_modal_nb.events import Reason, Waiting
from zenml_modal_nb.sandboxes.loop import start

FOREVER = "import time\nprint('here')\nwhile True: time.sleep(1)"


@pytest.fixture(scope="module")
def strict() -> Iterator[Modal]:
    with strict_modal() as place:
        yield place


@pytest.fixture(params=list(BACKENDS))
def backend(request: pytest.FixtureRequest) -> dict[str, str]:
    return BACKENDS[request.param]


def is_stopped(run: Followed) -> bool:
    error = run.ended()
    return error.reason is Reason.STOPPED and "stopped by the user" in str(error)


def test_a_run_stopped_before_it_began_creates_nothing(strict: Modal) -> None:
    run = strict.follow(FOREVER)
    run.follower.stop(Reason.STOPPED)
    run.begin()
    assert is_stopped(run)
    assert run.follower._created.exception(PATIENCE) is run.ended()
    assert run.gone()
    assert run.events == []


def test_a_run_stopped_while_it_begins_always_ends(strict: Modal) -> None:
    runs = [strict.follow(FOREVER) for _ in range(30)]
    for run in runs:
        run.begin()
        run.follower.stop(Reason.STOPPED)
    assert all(is_stopped(run) for run in runs)
    assert all(run.gone() for run in runs)


def test_a_run_stopped_while_its_sandbox_is_scheduled_leaves_none(
    strict: Modal, backend: dict[str, str]
) -> None:
    with strict.fault(faults.SlowScheduling(1.0)):
        run = strict.follow(FOREVER, **backend).begin().until(lambda events: Waiting() in events)
        run.follower.stop(Reason.STOPPED)
        assert is_stopped(run)
        assert run.gone()
    strict.follow("pass", **backend).begin().outcome()  # by now the other one would have been scheduled
    assert run.left() == []


@pytest.mark.parametrize("moment", range(12))
def test_a_run_stopped_at_any_moment_of_its_creation_leaves_no_sandbox(
    strict: Modal, backend: dict[str, str], moment: int
) -> None:
    run = strict.follow(FOREVER, **backend).begin().until(lambda events: Waiting() in events)
    run.follower.closed(moment * 0.01)  # no wait for anything: the moments differ on purpose
    run.follower.stop(Reason.STOPPED)
    assert is_stopped(run)
    assert run.gone()


def test_a_stopped_cell_is_terminated(strict: Modal, backend: dict[str, str]) -> None:
    run = strict.follow(FOREVER, **backend).begin().until_shown("here\n")
    run.follower.stop(Reason.STOPPED)
    assert is_stopped(run)
    assert run.gone()
    sandbox = strict.sandbox(run.sandbox_id)
    sandbox.wait(raise_on_termination=False)
    assert sandbox.returncode == 137
    assert run.meter.elapsed() == run.meter.elapsed() > 0


def test_the_first_reason_to_stop_counts(strict: Modal) -> None:
    run = strict.follow(FOREVER).begin().until_shown("here\n")
    run.follower.stop(Reason.COST_CAP)
    run.follower.stop(Reason.STOPPED)
    assert run.ended().reason is Reason.COST_CAP
    assert run.gone()


def test_a_stop_after_the_result_changes_nothing(strict: Modal) -> None:
    run = strict.follow("1").begin()
    run.outcome()
    run.follower.stop(Reason.STOPPED)
    assert run.values() == ({}, 1)
    assert run.gone()


def test_a_timeout_is_said(strict: Modal, backend: dict[str, str]) -> None:
    run = strict.follow("print('here')\nwhile True: pass", timeout=2, **backend).begin()
    assert run.ended().reason is Reason.TIMED_OUT
    assert "--timeout" in str(run.ended())
    assert run.gone()
    assert run.text() == "here\n"


@pytest.mark.parametrize(
    ("source", "reason", "words"),
    [
        ("import os\nprint('last words', flush=True)\nos._exit(3)", Reason.LOST_CONTACT, "exit code 3"),
        (
            "import os\nos.kill(os.getpid(), 9)",
            Reason.OUT_OF_MEMORY,
            "most likely because it ran out of memory",
        ),
        ("import os\nos.kill(os.getpid(), 11)", Reason.LOST_CONTACT, "exit code 139"),
    ],
    ids=["os._exit", "killed", "crashed"],
)
def test_a_process_that_ends_by_itself_is_told_with_its_exit_code(
    strict: Modal, backend: dict[str, str], source: str, reason: Reason, words: str
) -> None:
    run = strict.follow(source, **backend).begin()
    assert run.ended().reason is reason
    assert words in str(run.ended())
    assert run.gone()


def test_a_sandbox_out_of_memory_is_told(strict: Modal, backend: dict[str, str]) -> None:
    run = strict.follow(FOREVER, **backend).begin().until_shown("here\n")
    with strict.fault(faults.OutOfMemory()):
        assert run.ended().reason is Reason.OUT_OF_MEMORY
    assert run.gone()


def test_a_process_that_dies_in_a_flood_is_told_as_such(strict: Modal, backend: dict[str, str]) -> None:
    source = "import os\nfor i in range(10_000): print('é€𝄞' * 10)\nos.kill(os.getpid(), 9)"
    run = strict.follow(source, **backend).begin()
    assert run.ended().reason is Reason.OUT_OF_MEMORY
    assert run.gone()


def test_a_sandbox_terminated_from_outside_is_told(strict: Modal, backend: dict[str, str]) -> None:
    run = strict.follow(FOREVER, **backend).begin().until_shown("here\n")
    strict.sandbox(run.sandbox_id).terminate()
    assert run.ended().reason is Reason.PREEMPTED
    assert run.gone()


def test_a_sandbox_whose_input_was_closed_is_told_by_how_it_ends(strict: Modal) -> None:
    run = strict.follow("pass", values={"data": os.urandom(8_000_000)})
    with strict.fault(faults.Latency(50, call="*StdinWrite*")):  # each of eight writes
        run.begin().until(lambda events: len(events) > 1)
        server = psutil.Process(strict.server.pid)
        (process,) = (each for each in server.children() if run.launch.nonce in each.cmdline())
        process.suspend()
        other = strict.sandbox(run.sandbox_id).stdin  # of V2; a V1 sandbox takes it for a repeated write
        other.write_eof()
        other.drain()
        ending = Timer(1.0, process.resume)  # it ends a while after its input was refused
        ending.start()
        assert "ended with exit code 1 before it delivered a result" in str(run.ended())
        ending.join()
    assert run.gone()


def test_a_sandbox_that_ends_before_its_input_came_is_told(strict: Modal, backend: dict[str, str]) -> None:
    run = strict.follow("pass", values={"data": os.urandom(60_000_000)}, **backend)
    run.begin().until(lambda events: len(events) > 1)  # it has said hello
    strict.sandbox(run.sandbox_id).terminate()
    assert run.ended().reason is Reason.PREEMPTED
    assert run.gone()


def test_an_unknown_gpu_is_refused_in_the_servers_words(strict: Modal) -> None:
    run = strict.follow("pass", gpu="A1000").begin()
    assert run.ended().reason is Reason.NOT_STARTED
    assert "A1000" in str(run.ended())
    assert run.follower._created.exception(PATIENCE) is run.ended()
    assert run.gone()
    assert run.meter.elapsed() == 0


def test_no_capacity_is_told_with_what_to_try(strict: Modal) -> None:
    with strict.fault(faults.NoCapacity(refuse=True)):
        run = strict.follow("pass", gpu="H100").begin()
        assert run.ended().reason is Reason.NO_CAPACITY
    assert "--gpu" in str(run.ended())
    assert run.gone()


def test_an_image_that_cannot_be_built_is_told(strict: Modal) -> None:
    with strict.fault(faults.BuildFailure("RUN pip install nonsense failed")):
        image = modal.Image.debian_slim().run_commands("echo one that is not built yet")
        run = strict.follow("pass", image=image).begin()
        assert run.ended().reason is Reason.BUILD_FAILED
    assert "--pip" in str(run.ended())
    assert run.gone()


def test_what_the_sdk_raises_without_a_class_of_its_own_is_told_too(strict: Modal) -> None:
    run = strict.follow("pass", no_such_option=1).begin()
    assert run.ended().reason is Reason.NOT_STARTED
    assert "no_such_option" in str(run.ended())
    assert run.gone()


def test_another_python_is_refused_before_anything_is_sent(strict: Modal, backend: dict[str, str]) -> None:
    run = strict.follow("print('ran')", python="3.1", **backend).begin()
    assert run.ended().reason is Reason.NOT_STARTED
    assert "the notebook 3.1" in str(run.ended())
    assert run.text() == ""
    assert run.gone()


@pytest.mark.slow  # the SDK tries for a quarter of a minute
def test_a_server_that_is_gone_is_lost_contact() -> None:
    with strict_modal() as place:
        run = place.follow(FOREVER, grace=1.0).begin().until_shown("here\n")
        psutil.Process(place.server.pid).send_signal(signal.SIGKILL)
        assert run.ended().reason is Reason.LOST_CONTACT
        assert not run.follower.closed(PATIENCE)


def test_a_server_that_is_gone_before_the_sandbox_is_created_is_told() -> None:
    with strict_modal() as place:
        psutil.Process(place.server.pid).kill()
        run = place.follow("pass").begin()
        assert run.ended().reason is Reason.NOT_STARTED
        assert run.follower.closed(PATIENCE)


@pytest.mark.parametrize("after", [0, 3])
@pytest.mark.parametrize("kind", [faults.Unavailable, faults.DroppedConnection])
def test_a_stream_that_breaks_is_read_on_without_loss_or_repetition(
    strict: Modal, backend: dict[str, str], kind: Any, after: int
) -> None:
    source = "for i in range(2000): print('line', i)\nanswer = 42"
    with strict.fault(kind("Sandbox*Logs", after, 2)), strict.fault(kind("SandboxStdioRead*", after, 2)):
        run = strict.follow(source, outputs=("answer",), **backend).begin()
        assert run.values() == ({"answer": 42}, None)
    assert run.text() == "".join(f"line {i}\n" for i in range(2000))


def test_output_broken_on_the_way_is_read_from_the_runners_copy(strict: Modal) -> None:
    with strict.fault(faults.InvalidUtf8(5000)):
        run = strict.follow(
            "for i in range(2000): print('line', i)\nanswer = 42", outputs=("answer",)
        ).begin()
        assert run.values() == ({"answer": 42}, None)
    # This fault breaks a byte of the copy's reading too.
    assert [line[2:] for line in run.text().splitlines()] == [f"ne {i}" for i in range(2000)]


def test_signs_of_life_that_cannot_be_given_for_a_while_end_nothing(strict: Modal) -> None:
    source = "import time\nprint('here')\ntime.sleep(1)\nprint('there')\n'done'"
    run = strict.follow(source, grace=0.4).begin().until_shown("here\n")
    with strict.fault(faults.Unavailable("TaskExec*", times=1000)):
        run.until_shown("there\n")
    assert run.values() == ({}, "done")


def test_a_runner_whose_client_was_away_for_too_long_is_told(strict: Modal, backend: dict[str, str]) -> None:
    run = strict.follow(FOREVER, grace=3600.0, **backend)
    run.launch.run["grace"] = 0.3  # the client gives its sign too rarely for this runner
    assert run.begin().ended().reason is Reason.LOST_CONTACT
    assert "grace" in str(run.ended())
    assert run.gone()


def test_nothing_goes_on_in_the_background_after_the_end(strict: Modal, backend: dict[str, str]) -> None:
    runs = [
        strict.follow(source, **backend).begin() for source in ("1", "1/0", "import os; os._exit(1)", FOREVER)
    ]
    runs[-1].until_shown("here\n").follower.stop(Reason.STOPPED)
    assert all(run.gone() for run in runs)

    async def others() -> set[asyncio.Task[Any]]:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        _, pending = await asyncio.wait(tasks, timeout=5) if tasks else ((), set())
        return pending

    assert start(others()).result(PATIENCE) == set()


def test_what_is_launched_shows_neither_secrets_nor_values(strict: Modal) -> None:
    secret = modal.Secret.from_dict({"TOKEN": "s3cret-token"})
    run = strict.follow("pass", values={"data": "s3cret-value"}, secrets=[secret], env={"KEY": "s3cret-env"})
    assert "s3cret" not in repr(run.launch)
    assert len(repr(run.launch)) < 5000
    run.begin().outcome()
    assert run.gone()
