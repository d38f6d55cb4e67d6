"""Large values on their way to a sandbox and back, through our volume, as the real SDK and a real server do it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import modal
import numpy
import pytest
from followed import BACKENDS, Followed, Modal, strict_modal

from zenml_modal_nb.emulator.faults import LateCommits, Latency, Unavailable
from zenml_modal_nb.errors import SandboxError
from zenml_modal_nb.events import Reason, Transfer
from zenml_modal_nb.runner import digests
from zenml_modal_nb.sandboxes import blocks as blocks_of_volumes
from zenml_modal_nb.sandboxes.depot import RESULTS_VOLUME, SHIPMENTS_VOLUME, Depot
from zenml_modal_nb.sandboxes.ending import RunEndedError
from zenml_modal_nb.sandboxes.launch import Segment

BLOCK = 8 << 20


@pytest.fixture(scope="module")
def place() -> Iterator[Modal]:
    with strict_modal() as place:
        yield place


@pytest.fixture(params=["V1", "V2"])
def backend(request: pytest.FixtureRequest) -> dict[str, str]:
    return BACKENDS[request.param]


def blocks(place: Modal) -> dict[str, float]:
    """What waits in the volume: names of blocks, and when each was sent."""
    volume = modal.Volume.from_name(SHIPMENTS_VOLUME, environment_name="local", client=place.client)
    return {each.path: each.mtime for each in volume.listdir("/followed")}


def results(place: Modal) -> list[str]:
    volume = modal.Volume.from_name(RESULTS_VOLUME, environment_name="local", client=place.client)
    return [each.path for each in volume.listdir("/followed")]


def finished(run: Followed) -> dict[str, Any]:
    named, _ = run.begin().values()
    assert run.gone()
    return named


def test_a_large_input_arrives_and_a_large_result_comes_back(place: Modal, backend: dict[str, str]) -> None:
    data = numpy.random.default_rng(1).random(5_000_000)  # 40 MB: four blocks and a part of one
    run = place.follow("twice = data * 2", values={"data": data}, outputs=("twice",), **backend)
    twice = finished(run)["twice"]
    assert (twice == data * 2).all()
    assert twice.flags.writeable
    assert results(place) == []


def test_what_is_there_is_not_sent_again(place: Modal) -> None:
    data = numpy.random.default_rng(2).random(5_000_000)
    finished(place.follow("s = data.sum()", values={"data": data}, outputs=("s",)))
    before = blocks(place)
    # Another cell, another variable, beside another value: the same bytes.
    named = finished(place.follow("s = x.sum() + y", values={"x": data, "y": 1.0}, outputs=("s",)))
    assert named["s"] == data.sum() + 1
    assert blocks(place) == before
    data[0] = 7  # in one block of five
    finished(place.follow("s = data.sum()", values={"data": data}, outputs=("s",)))
    assert len(blocks(place)) == len(before) + 1


@pytest.mark.parametrize(
    ("make", "check"),
    [
        ("list(range(4_000_000))", "sum(value)"),
        ("{'a': b'x' * 20_000_000, 'b': bytearray(20_000_000)}", "[len(value['a']), value['b'][-1]]"),
        ("[numpy.full(150_000, n) for n in range(20)]", "[int(each.sum()) for each in value]"),
        ("[numpy.full(2_000_000, n) for n in range(3)] + ['small']", "[int(value[2][5]), value[3]]"),
        (
            "[numpy.zeros(4_000_000), numpy.zeros(1_500_000)]",
            "[len(value[0]), len(value[1]), float(value[1][-1])]",
        ),
        ("numpy.arange(4_000_000)", "[len(value), int(value.sum())]"),
    ],
    ids=["a long list", "bytes", "many arrays", "large and small", "zeros", "integers"],
)
def test_every_kind_of_large_value_arrives(place: Modal, make: str, check: str) -> None:
    value = eval(make)
    run = place.follow(f"import numpy\nfound = {check}", values={"value": value}, outputs=("found",))
    assert finished(run)["found"] == eval(check)


@pytest.fixture
def changed_sdk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An SDK without something that the direct way needs."""
    with monkeypatch.context() as patch:
        patch.delattr("modal._utils.grpc_utils.Retry")
        blocks_of_volumes._calls.cache_clear()
        yield
    blocks_of_volumes._calls.cache_clear()


@pytest.mark.usefixtures("changed_sdk")
def test_an_sdk_that_has_changed_inside_is_used_as_it_is_documented(place: Modal) -> None:
    data = numpy.arange(5_000_000) + 11  # of this test only; blocks that end with zeros
    run = place.follow("twice = data * 2", values={"data": data}, outputs=("twice",))
    assert (finished(run)["twice"] == data * 2).all()
    with pytest.raises(blocks_of_volumes.UnavailableError, match="the SDK has changed"):
        blocks_of_volumes._calls()
    assert results(place) == []


def test_a_large_array_that_is_changed_in_place_is_changed_here(place: Modal) -> None:
    data, other = numpy.zeros(5_000_000), numpy.ones(5_000_000)
    run = place.follow("data[4_999_999] = other.sum()", values={"data": data, "other": other})
    run.begin().values()
    assert data[4_999_999] == 5_000_000
    assert run.outcome().result.fields["size"] < 2 * data.nbytes  # the other one has not come back


def test_nothing_of_ours_is_in_a_cells_environment(place: Modal) -> None:
    run = place.follow(
        "import os\nours = [k for k in os.environ if k.startswith('ZENML_MODAL')]",
        values={"data": numpy.ones(2_000_000)},
        outputs=("ours",),
    )
    assert finished(run)["ours"] == []


def test_a_large_result_comes_back_without_a_large_input_too(place: Modal, backend: dict[str, str]) -> None:
    source = "import numpy\ndata = numpy.arange(5_000_000.0)"
    run = place.follow(source, outputs=("data",), large_results=True, **backend)
    assert (finished(run)["data"] == numpy.arange(5_000_000.0)).all()


def test_a_result_that_nobody_has_read_for_a_week_is_removed(place: Modal) -> None:
    volume = modal.Volume.from_name(
        RESULTS_VOLUME, environment_name="local", create_if_missing=True, version=2, client=place.client
    )
    leave = (
        "import os\nos.chdir(os.environ['MOUNT'])\nos.makedirs('followed', exist_ok=True)\n"
        "for name, age in (('left.zmnb', 8), ('recent.zmnb', 6)):\n"
        "    path = f'followed/{name}'\n"
        "    open(path, 'wb').close()\n"
        "    then = os.stat(path).st_mtime - age * 86400\n"
        "    os.utime(path, (then, then))\n"
    )
    modal.Sandbox.create(
        "python",
        "-c",
        leave,
        app=place.app,
        image=place.image,
        client=place.client,
        volumes={"/mnt/left": volume},
        env={"MOUNT": "/mnt/left"},
    ).wait()
    assert sorted(results(place)) == ["followed/left.zmnb", "followed/recent.zmnb"]
    run = place.follow("data = bytes(40_000_000)", outputs=("data",), large_results=True)
    finished(run)
    assert results(place) == ["followed/recent.zmnb"]
    volume.remove_file("/followed/recent.zmnb")


def test_a_result_whose_commit_is_late_is_waited_for(place: Modal) -> None:
    with place.fault(LateCommits(seconds=1.0)):
        source = "import numpy\ndata = numpy.arange(5_000_000.0)"
        run = place.follow(source, outputs=("data",), large_results=True)
        assert (finished(run)["data"] == numpy.arange(5_000_000.0)).all()


# A cell that takes our volume away as soon as the first part of its result is there.
WITHOUT_VOLUME = """
import os, threading
[volume] = [each.partition("=")[2] for each in open("/proc/self/environ").read().split(chr(0))
            if each.startswith("ZENML_MODAL_NB_RESULTS=")]
def take_away():
    while not any(name.endswith("-0.zmnb") for name in os.listdir(volume)):
        pass
    os.rename(volume, volume + "-away")
threading.Thread(target=take_away, daemon=True).start()
data = bytes(range(250)) * 200_000
"""


def test_a_result_that_the_volume_takes_in_part_only_comes_from_the_sandbox() -> None:
    with strict_modal(read_delay=0.0, read_size=1 << 20) as quick:
        run = quick.follow(WITHOUT_VOLUME, outputs=("data",), large_results=True)
        assert finished(run)["data"] == bytes(range(250)) * 200_000
        assert "file" in run.outcome().result.fields


def test_a_run_that_is_stopped_while_its_result_comes_is_gone(place: Modal) -> None:
    with place.fault(Latency(milliseconds=1100, call="TransferGet")):
        run = place.follow("data = bytes(100_000_000)", outputs=("data",), large_results=True).begin()
        run.until(lambda events: any(isinstance(event, Transfer) for event in events))
        run.follower.stop(Reason.STOPPED)
        assert run.ended().reason is Reason.STOPPED
    assert run.gone()


def test_a_transfer_that_takes_long_is_told(place: Modal) -> None:
    data = numpy.random.default_rng(3).random(5_000_000)
    with place.fault(Latency(milliseconds=1100, call="TransferPut")):
        run = place.follow("pass", values={"data": data})
        finished(run)
    told = [event for event in run.events if isinstance(event, Transfer)]
    assert [event.direction for event in told] == ["sending"] * len(told)
    assert told[-1].done == told[-1].total == data.nbytes
    assert [event.done for event in told] == sorted(event.done for event in told)


# From the sandbox itself less is enough: the strict server's pieces are small, and each comes late.
@pytest.mark.parametrize(
    ("large_results", "call", "length"),
    [(False, "TaskExecStdioRead", 10_000_000), (True, "TransferGet", 40_000_000)],
    ids=["by the sandbox", "by the volume"],
)
def test_a_result_that_takes_long_to_come_is_told(
    place: Modal, large_results: bool, call: str, length: int
) -> None:
    with place.fault(Latency(milliseconds=1100, call=call)):
        run = place.follow(f"data = bytes({length})", outputs=("data",), large_results=large_results)
        assert finished(run)["data"] == bytes(length)
    told = [event for event in run.events if isinstance(event, Transfer)]
    assert {event.direction for event in told} == {"collecting"}
    done = [event.done for event in told]
    assert len(done) > 1
    assert done == sorted(set(done))
    size = run.outcome().result.fields["size"]
    assert size > length
    assert {event.total for event in told} == {size}
    assert done[-1] == size


def test_a_volume_that_refuses_ends_the_run_before_anything_is_started(place: Modal) -> None:
    data = numpy.random.default_rng(4).random(2_000_000)
    with place.fault(Unavailable("VolumePutFiles2", times=20)):
        run = place.follow("pass", values={"data": data}).begin()
        error = run.follower._outcome.exception(60)
    assert "large inputs could not be put into the volume" in str(error)
    assert run.gone()


@pytest.mark.parametrize("sdk", ["as it is", "changed"])
def test_an_input_that_changes_after_it_was_packaged_is_not_put_under_its_old_name(
    place: Modal, request: pytest.FixtureRequest, sdk: str
) -> None:
    if sdk == "changed":
        request.getfixturevalue("changed_sdk")
    data = numpy.random.default_rng(6 if sdk == "changed" else 7).random(2_000_000)
    run = place.follow("s = data[0]", values={"data": data}, outputs=("s",))
    data[0] += 1
    error = run.begin().follower._outcome.exception(60)
    assert "changed while it was sent" in str(error)
    assert run.gone()
    data[0] -= 1
    assert finished(place.follow("s = data[0]", values={"data": data}, outputs=("s",)))["s"] == data[0]


@pytest.mark.usefixtures("changed_sdk")
async def test_nothing_is_ever_put_under_the_name_of_something_else(place: Modal) -> None:
    content = bytearray(os.urandom(BLOCK))
    depot = Depot(place.client, "local", "flipping")
    over = threading.Event()

    def flip() -> None:
        while not over.wait(0.001):
            content[0] ^= 1

    thread = threading.Thread(target=flip)
    thread.start()
    try:
        for at in range(1, 11):
            content[at] ^= 1
            segment = Segment((memoryview(content),), BLOCK, tuple(digests.of_blocks([content])))
            with suppress(SandboxError):  # one that is told
                await depot.ship([segment], lambda event: None)
    finally:
        over.set()
        thread.join()
    volume = modal.Volume.from_name(SHIPMENTS_VOLUME, environment_name="local", client=place.client)
    sent = [each.path async for each in volume.iterdir.aio("/flipping")]
    assert sent
    for path in sent:
        held = b"".join([piece async for piece in volume.read_file.aio(path)])
        assert digests.of_blocks([held]) == [path.rpartition("/")[2]]


def test_a_run_that_is_stopped_while_it_sends_starts_nothing(place: Modal) -> None:
    data = numpy.random.default_rng(5).random(20_000_000)
    with place.fault(Latency(milliseconds=600, call="TransferPut")):
        run = place.follow("pass", values={"data": data}).begin()
        run.until(lambda events: any(isinstance(event, Transfer) for event in events))
        run.follower.stop(Reason.STOPPED)
        assert isinstance(run.follower._outcome.exception(60), RunEndedError)
    assert run.gone()
