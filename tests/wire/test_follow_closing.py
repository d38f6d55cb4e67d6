"""What is said of a sandbox's end is true: a termination is confirmed, or it is not said to be."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import psutil
import pytest
from followed import BACKENDS, PATIENCE, Modal, strict_modal

from zenml_modal_nb.emulator import faults
from zenml_modal_nb.events import Reason, Waiting

FOREVER = "import time\nprint('here')\nwhile True: time.sleep(1)"


@pytest.fixture(scope="module")
def strict() -> Iterator[Modal]:
    with strict_modal() as place:
        yield place


@pytest.fixture(params=list(BACKENDS))
def backend(request: pytest.FixtureRequest) -> dict[str, str]:
    return BACKENDS[request.param]


def test_a_termination_that_fails_for_a_while_is_repeated(strict: Modal, backend: dict[str, str]) -> None:
    run = strict.follow(FOREVER, **backend).begin().until_shown("here\n")
    with strict.fault(faults.Unavailable("SandboxTerminate*", times=6)):  # more than the SDK itself repeats
        run.follower.stop(Reason.STOPPED)
        assert run.follower.closed(PATIENCE)
    assert run.left() == []


def test_a_termination_that_cannot_be_made_is_not_said_to_be(strict: Modal, backend: dict[str, str]) -> None:
    run = strict.follow(FOREVER, **backend).begin().until_shown("here\n")
    with strict.fault(faults.Unavailable("SandboxTerminate*", times=1000)):
        run.follower.stop(Reason.STOPPED)
        assert not run.follower.closed(PATIENCE)
        assert run.follower._gone.is_set()  # it has not waited in vain
    assert run.left() == [run.sandbox_id]
    strict.sandbox(run.sandbox_id).terminate()


def test_a_sandbox_that_ended_by_itself_is_gone_without_a_termination(
    strict: Modal, backend: dict[str, str]
) -> None:
    with strict.fault(faults.Unavailable("SandboxTerminate*", times=1000)):
        run = strict.follow("import os\nos._exit(3)", **backend).begin()
        assert run.follower.closed(PATIENCE)


def test_a_creation_that_cannot_be_undone_is_not_said_to_be(strict: Modal, backend: dict[str, str]) -> None:
    with (
        strict.fault(faults.SlowScheduling(600)),
        strict.fault(faults.Unavailable("SandboxTerminate*", times=1000)),
        strict.fault(faults.Unavailable("SandboxList", times=1000)),
    ):
        run = strict.follow(FOREVER, **backend).begin().until(lambda events: Waiting() in events)
        run.follower.stop(Reason.STOPPED)
        assert not run.follower.closed(PATIENCE)
    for sandbox_id in run.left():
        strict.sandbox(sandbox_id).terminate()


def test_a_server_that_is_gone_confirms_nothing() -> None:
    with strict_modal() as place:
        run = place.follow(FOREVER, grace=1.0).begin().until_shown("here\n")
        psutil.Process(place.server.pid).send_signal(signal.SIGKILL)
        run.follower.stop(Reason.STOPPED)
        assert not run.follower.closed(PATIENCE)
        assert run.follower._gone.is_set()
