"""What Modal refuses, or needs time for before there is a sandbox, is told with what to do."""

from __future__ import annotations

import asyncio
import logging
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import cloudpickle
import modal
import pytest
from followed import Modal, strict_modal

from zenml_modal_nb.emulator import faults
from zenml_modal_nb.events import Building, Reason, Started, Waiting
from zenml_modal_nb.sandboxes import image as images
from zenml_modal_nb.sandboxes.image import ImageSpec
from zenml_modal_nb.sandboxes.layers import Layer
from zenml_modal_nb.sandboxes.loop import start


@pytest.fixture(scope="module")
def strict() -> Iterator[Modal]:
    with strict_modal() as place:
        yield place


def test_a_build_that_takes_time_is_told(strict: Modal) -> None:
    image = modal.Image.debian_slim().run_commands("echo one that takes its time")
    with strict.fault(faults.Latency(2500, call="ImageGetOrCreate")):
        run = strict.follow("pass", image=image).begin()
        run.outcome()
    told = [event for event in run.events if isinstance(event, Waiting | Building)]
    # What comes after the image may be there at once.
    assert told[:2] == [Waiting(), Building()]
    assert told[2:] in ([], [Waiting()])


def test_the_layers_of_a_build_are_told_as_they_are_done(strict: Modal) -> None:
    spec = ImageSpec(pip=("layered",), apt=("ffmpeg",))
    stages = images.stages(spec, [Layer("apt", ("ffmpeg",)), Layer("pip", ("layered",))])
    with strict.fault(faults.Latency(1500, call="ImageGetOrCreate")):
        run = strict.follow("pass", image=stages[-1], stages=stages).begin()
        run.outcome()
    told = [(each.done, each.layers) for each in run.events if isinstance(each, Building)]
    assert told[-1] == (2, 3)
    assert told == sorted(set(told))
    assert len(told) >= 2


def test_an_image_that_is_there_is_not_built(strict: Modal) -> None:
    strict.follow("pass").begin().outcome()
    with strict.fault(faults.SlowScheduling(1.5)):
        run = strict.follow("pass", gpu="T4").begin()
        run.outcome()
    assert not any(isinstance(event, Building) for event in run.events)


def test_a_run_stopped_while_its_image_is_built_leaves_nothing(strict: Modal) -> None:
    image = modal.Image.debian_slim().run_commands("echo one that is not waited for")
    with strict.fault(faults.Latency(2500, call="ImageGetOrCreate")):
        run = strict.follow("pass", image=image).begin().until(lambda events: Building() in events)
        run.follower.stop(Reason.STOPPED)
        assert run.ended().reason is Reason.STOPPED
        assert run.gone()
    assert not run.follower.asked


def test_why_a_build_failed_is_told(strict: Modal) -> None:
    with strict.fault(faults.BuildFailure("ERROR: No matching distribution found for nump")):
        image = modal.Image.debian_slim().pip_install("nump")
        run = strict.follow("pass", image=image).begin()
        assert run.ended().reason is Reason.BUILD_FAILED
    assert "No matching distribution found for nump" in str(run.ended())
    assert "--pip" in str(run.ended())


def test_an_image_without_python_is_told_when_it_is_built(strict: Modal) -> None:
    with strict.fault(faults.BuildFailure("/bin/sh: 1: python: not found")):
        image = modal.Image.from_registry("ubuntu:24.04").pip_install("numpy")
        run = strict.follow("pass", image=image).begin()
        assert run.ended().reason is Reason.BUILD_FAILED
    assert "The image has no Python" in str(run.ended())
    assert "--image python:3.11-slim" in str(run.ended())


def test_an_image_without_python_is_told_when_it_runs(strict: Modal) -> None:
    image = modal.Image.debian_slim().entrypoint(["sh", "-c", "exit 127"])
    run = strict.follow("pass", image=image).begin()
    assert run.ended().reason is Reason.NOT_STARTED
    assert "The image has no Python" in str(run.ended())


def test_an_image_whose_python_starts_with_another_cloudpickle_is_refused(
    strict: Modal, tmp_path: Path
) -> None:
    package = tmp_path / "cloudpickle"
    shutil.copytree(Path(cloudpickle.__file__).parent, package)
    with (package / "__init__.py").open("a") as file:
        file.write("\n__version__ = '1.2.3'\n")
    (tmp_path / "sitecustomize.py").write_text("import cloudpickle")
    image = modal.Image.debian_slim().env({"PYTHONPATH": str(tmp_path)})
    run = strict.follow("never = 1", image=image).begin()
    assert run.ended().reason is Reason.NOT_STARTED
    for told in ("cloudpickle 1.2.3", cloudpickle.__version__, "Choose an image"):
        assert told in str(run.ended())


def test_an_image_with_another_python_is_told_before_anything_is_sent(strict: Modal) -> None:
    run = strict.follow("pass", python="3.9").begin()
    assert run.ended().reason is Reason.NOT_STARTED
    here = sys.version.split()[0]
    assert str(run.ended()).startswith(f"The image has Python {here}, the notebook 3.9: values cannot travel")
    assert "Choose an image with the notebook's Python, or leave out --image." in str(run.ended())
    assert not any(isinstance(event, Started) for event in run.events)
    assert run.gone()


def test_a_cell_that_exits_with_127_has_had_its_python(strict: Modal) -> None:
    run = strict.follow("import os\nos._exit(127)").begin()
    assert run.ended().reason is Reason.LOST_CONTACT


def test_a_rate_limit_is_not_a_lack_of_capacity(strict: Modal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODAL_MAX_THROTTLE_WAIT", "0")  # the SDK would wait for it
    with strict.fault(faults.RateLimit("SandboxCreate*", times=100)):
        run = strict.follow("pass").begin()
        assert run.ended().reason is Reason.NOT_STARTED
    assert "Wait a little" in str(run.ended())
    assert "--gpu" not in str(run.ended())


def test_an_unknown_secret_is_named(strict: Modal) -> None:
    secret = modal.Secret.from_name("no-such", client=strict.client, environment_name="local")
    run = strict.follow("pass", secrets=[secret]).begin()
    assert run.ended().reason is Reason.NOT_STARTED
    assert str(run.ended()).startswith("The local Modal API refused the sandbox: Secret 'no-such' not found")
    assert "Correct --secret no-such: `modal secret list`" in str(run.ended())


@pytest.fixture
def said() -> Iterator[list[str]]:
    """What gets through of the SDK's log, as it would to the user's cell."""
    texts: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            texts.append(record.getMessage())

    logs, handler = [logging.getLogger(name) for name in ("modal-client", "modal-utils")], Handler()
    for log in logs:
        log.addHandler(handler)
    yield texts
    for log in logs:
        log.removeHandler(handler)


@pytest.mark.parametrize(
    "call", ["SandboxCreate*", "ImageGetOrCreate", "Sandbox*Access", "SandboxTerminate*"]
)
def test_what_the_sdk_repeats_for_us_is_not_said_in_the_users_cell(
    strict: Modal, said: list[str], call: str
) -> None:
    with strict.fault(faults.RateLimit(call, retry_after=0.1, times=1)):
        run = strict.follow("answer = 42", outputs=("answer",)).begin()
        assert run.values() == ({"answer": 42}, None)
        assert run.gone()
    assert said == []


def test_what_the_sdk_repeats_for_the_user_is_said(strict: Modal, said: list[str]) -> None:
    with strict.fault(faults.RateLimit("VolumeList", retry_after=0.1, times=1)):
        run = strict.follow("import time\nprint('here')\ntime.sleep(60)").begin().until_shown("here\n")
        modal.Volume.objects.list(environment_name="local", client=strict.client)
        run.follower.stop(Reason.STOPPED)
        assert run.gone()
    start(asyncio.sleep(0)).result()  # after the follower's last step
    with strict.fault(faults.RateLimit("SecretList", retry_after=0.1, times=1)):
        modal.Secret.objects.list(environment_name="local", client=strict.client)
    assert len(said) == 2
    assert "VolumeList" in said[0]
    assert "SecretList" in said[1]
