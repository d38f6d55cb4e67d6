"""A cell in a sandbox, followed to its verified result, on both of Modal's backends."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from followed import BACKENDS, PATIENCE, PYTHON, Modal, strict_modal

from zenml_modal_nb.events import Display, Log, Progress, Reason, Started, Waiting
from zenml_modal_nb.pricing.meter import Meter
from zenml_modal_nb.pricing.rates import snapshot
from zenml_modal_nb.runner import frames
from zenml_modal_nb.sandboxes.channel import INCOMPLETE


@pytest.fixture(scope="module")
def strict() -> Iterator[Modal]:
    with strict_modal() as place:
        yield place


@pytest.fixture(scope="module")
def wide() -> Iterator[Modal]:
    """A server that passes on large pieces at once."""
    with strict_modal(read_delay=0.0, read_size=1 << 20) as place:
        yield place


@pytest.fixture(scope="module")
def slow() -> Iterator[Modal]:
    """Reads come so late that the server has dropped much of a flood by then."""
    with strict_modal(read_delay=0.04, read_size=65536) as place:
        yield place


@pytest.fixture(params=list(BACKENDS))
def backend(request: pytest.FixtureRequest) -> dict[str, str]:
    return BACKENDS[request.param]


def test_what_the_cell_binds_comes_back(strict: Modal, backend: dict[str, str]) -> None:
    run = strict.follow("b = a + 1\nc = {'b': b}\nb * 10", values={"a": 41}, outputs=("b", "c"), **backend)
    assert run.begin().values() == ({"b": 42, "c": {"b": 42}}, 420)
    assert run.outcome().error is None
    assert run.gone()


def test_what_happens_is_told_in_order(strict: Modal, backend: dict[str, str]) -> None:
    run = strict.follow("print('one')\ndisplay('two')\nprint('three')", **backend).begin()
    run.outcome()
    kinds = [type(event) for event in run.events]
    assert kinds == [Waiting, Started, Log, Display, Log]
    assert run.started == Started(run.sandbox_id, run.started.python)
    assert run.started.python.startswith(PYTHON)
    assert run.text() == "one\nthree\n"


def test_output_arrives_while_the_cell_runs(strict: Modal, backend: dict[str, str]) -> None:
    source = "import time\nprint('here')\nwhile True: time.sleep(1)"
    run = strict.follow(source, **backend).begin().until_shown("here\n")
    run.follower.stop(Reason.STOPPED)
    assert run.gone()


def test_both_streams_are_complete_and_apart(strict: Modal, backend: dict[str, str]) -> None:
    source = "import sys\nfor i in range(2000):\n    print(i)\n    print('e', i, file=sys.stderr)"
    run = strict.follow(source, **backend).begin()
    run.outcome()
    assert run.text() == "".join(f"{i}\n" for i in range(2000))
    assert run.text("stderr") == "".join(f"e {i}\n" for i in range(2000))


LINES = {
    "ascii": "'%07d ' % i + 'x' * 42",
    "characters of several bytes": "'%07d ' % i + 'é€𝄞' * 14",
    "long lines": "f'{i:07d} ' + ' '.join(map(str, range(i, i + (3000 if i % 500 == 0 else 6))))",
}


@pytest.mark.parametrize("line", list(LINES))
def test_a_flood_is_complete_and_in_order_though_little_of_it_is_kept(
    slow: Modal, backend: dict[str, str], line: str
) -> None:
    check_flood(slow, backend, LINES[line], 6_000)


@pytest.mark.slow  # the same of 6,000 lines is above
def test_five_megabytes_are_complete_and_in_order_though_little_of_them_is_kept(slow: Modal) -> None:
    check_flood(slow, BACKENDS["V2"], LINES["ascii"], 100_000)


@pytest.mark.slow
@pytest.mark.parametrize("line", list(LINES))
def test_five_megabytes_of_any_kind_are_complete(slow: Modal, backend: dict[str, str], line: str) -> None:
    check_flood(slow, backend, LINES[line], 100_000)


def check_flood(place: Modal, backend: dict[str, str], line: str, number: int) -> None:
    source = f"for i in range({number}):\n    print({line})\nresult = i"
    run = place.follow(source, outputs=("result",), **backend).begin()
    assert run.values() == ({"result": number - 1}, None)
    check_text(run.text(), "".join(eval(line, {"i": i}) + "\n" for i in range(number)))
    assert run.gone()


def check_text(text: str, expected: str) -> None:
    """The text is as expected, except for what was taken back as incomplete and repeated from its beginning."""
    told, *repeated = text.split(INCOMPLETE)
    for part in repeated:
        told = told[: expected.index(part[:100])]
        assert expected.startswith(told)
        told += part
    assert told == expected


def test_a_flood_on_both_streams_is_complete(slow: Modal) -> None:
    source = """
import sys
for i in range(10_000):
    print(f"{i:07d} out")
    print(f"{i:07d} err", file=sys.stderr)
"""
    run = slow.follow(source).begin()
    run.outcome()
    for name, stream in (("out", "stdout"), ("err", "stderr")):
        check_text(run.text(stream), "".join(f"{i:07d} {name}\n" for i in range(10_000)))


def test_invalid_bytes_are_replaced_and_the_rest_goes_on(strict: Modal, backend: dict[str, str]) -> None:
    source = "import os\nos.write(1, b'a\\xff\\xfeb\\n')\nos.write(2, b'\\x80\\n')\nprint('after')"
    run = strict.follow(source, **backend).begin()
    run.outcome()
    assert run.text() == "a\ufffd\ufffdb\nafter\n"
    assert run.text("stderr") == "\ufffd\n"


def test_text_that_looks_like_a_frame_is_shown_and_fools_nobody(
    strict: Modal, backend: dict[str, str]
) -> None:
    result = {"ok": True, "seconds": 1.0, "names": [], "lost": {}, "last": False, "stderr": 0, "inline": ""}
    source = """
import os, sys
nonce = open("/proc/self/cmdline").read().split("\\0")[-2]
os.write(1, text.replace("NONCE", nonce).encode())
real = 7
"""
    text = "".join(
        frames.encode(nonce, "result", sequence, at, result).decode()
        for nonce in ("NONCE", "other")
        for sequence in range(3)
        for at in (0, 100, 300)
    )
    run = strict.follow(source, values={"text": text}, outputs=("real",), **backend).begin()
    assert run.values() == ({"real": 7}, None)
    assert run.text().replace("\u241b", "\x1b").replace(run.launch.nonce, "NONCE") == text


def test_a_line_that_is_rewritten_is_progress(strict: Modal, backend: dict[str, str]) -> None:
    source = """
import sys, time
for i in range(5):
    sys.stderr.write(f"\\r{i}")
    sys.stderr.flush()
    time.sleep(0.11)
sys.stderr.write("\\rdone\\n")
"""
    run = strict.follow(source, **backend).begin()
    run.outcome()
    states = [event.text for event in run.events if isinstance(event, Progress)]
    assert states
    assert states == sorted(states)
    assert run.text("stderr").endswith("done\n")


def test_a_large_display_comes_through_a_file(strict: Modal, backend: dict[str, str]) -> None:
    run = strict.follow("display({'text/html': 'x' * 200_000}, raw=True)", **backend).begin()
    run.outcome()
    (display,) = (event for event in run.events if isinstance(event, Display))
    assert display.data == {"text/html": "x" * 200_000}


def test_a_cells_own_error_is_an_outcome(strict: Modal, backend: dict[str, str]) -> None:
    run = strict.follow("x = 1\n1 / 0", outputs=("x",), **backend).begin()
    outcome = run.outcome()
    assert outcome.result.fields["ok"] is False
    assert outcome.error is not None
    assert outcome.error.fields["ename"] == "ZeroDivisionError"
    assert run.values() == ({"x": 1}, None)


def test_two_runs_at_once_do_not_mix(strict: Modal) -> None:
    source = "for i in range(3000): print(name, i)\nanswer = name * 2"
    runs = [
        strict.follow(source, values={"name": name}, outputs=("answer",), **backend).begin()
        for name, backend in (("a", BACKENDS["V1"]), ("b", BACKENDS["V2"]), ("c", BACKENDS["V2"]))
    ]
    for run, name in zip(runs, "abc", strict=True):
        assert run.values() == ({"answer": name * 2}, None)
        assert run.text() == "".join(f"{name} {i}\n" for i in range(3000))
    assert len({run.sandbox_id for run in runs}) == 3


def test_the_meter_runs_while_the_sandbox_exists(strict: Modal) -> None:
    run = strict.follow("pass")
    assert run.meter.elapsed() == 0
    run.begin().outcome()
    assert run.gone()
    total = run.meter.elapsed()
    assert total > 0
    assert run.meter.elapsed() == total


class HeardMeter(Meter):
    """A meter that a test can wait for."""

    def __init__(self) -> None:
        super().__init__(None, 0.125, 128, None, snapshot({}))
        self.over = threading.Event()

    def observe(self, cpu: float, memory_mib: float) -> None:
        super().observe(cpu, memory_mib)
        if memory_mib > 400:
            self.over.set()

    def per_hour(self) -> Decimal:
        now = time.monotonic()
        before, after = self.usd(now), self.usd(now + 3600)
        assert before is not None
        assert after is not None
        return after - before


def test_use_above_the_request_is_seen_and_counted_while_the_cell_runs(
    strict: Modal, backend: dict[str, str], tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    source = f"held = b'x' * 450_000_000\nopen({str(gate)!r}).close()"
    meter = HeardMeter()
    run = strict.follow(source, meter=meter, **backend).begin()
    assert meter.over.wait(PATIENCE)
    assert meter.hourly is not None
    assert meter.per_hour() > meter.hourly
    gate.open("w").close()
    run.outcome()
    assert run.gone()
    assert 400 < run.follower.usage.memory_mib < 2000
