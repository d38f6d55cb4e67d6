"""How much of a log a live page is sent, and how soon, on a clock that moves by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pages import Page

from zenml_modal_nb.events import Stream
from zenml_modal_nb.rendering.batch import Batch
from zenml_modal_nb.rendering.live import WidgetPage
from zenml_modal_nb.rendering.page import Pace

ENVELOPE = 800  # bytes of a message without its text, at most
LIMIT = 2_000_000  # bytes on the kernel's output channel that a flood may cost


class LivePage(Page):
    """What a page is sent and what it is told to hold."""

    def __init__(self, pace: Pace = WidgetPage.pace) -> None:
        super().__init__()
        self.pace = pace
        self.left_out: Counter[Stream] = Counter()
        self.held: Counter[Stream] = Counter()

    def hold(self, name: Stream, text: str) -> None:
        self.held[name] += text.count("\n")

    def stream(self, name: Stream, text: str, left_out: int = 0) -> None:
        super().stream(name, text)
        self.left_out[name] += left_out

    def panel(self, panel: object) -> None: ...

    def cost(self) -> int:
        return self.wire() + ENVELOPE * len(self.sent)


@contextmanager
def paced(pace: Pace = WidgetPage.pace) -> Iterator[tuple[LivePage, Batch]]:
    page = LivePage(pace)
    yield page, Batch(page, page.clock)


def say(page: LivePage, batch: Batch, *, lines: int, pause: float, width: int) -> None:
    """Print lines that begin with the moment at which each was printed."""
    for _ in range(lines):
        batch.write("stdout", f"{page.now:.4f}".ljust(width - 1) + "\n")
        page.advance(pause)
    page.advance(1)


def delays(page: LivePage, since: float = 0) -> list[float]:
    times = [
        (float(line), at) for _, _, text, at in page.sent for line in text.split("\n") if line[:1].isdigit()
    ]
    return sorted(at - time for time, at in times if time >= since)


@pytest.mark.parametrize("width", [18, 80, 200])
def test_lines_that_can_be_read_come_at_once_however_long_the_run_lasts(width: int) -> None:
    with paced() as (page, batch):
        say(page, batch, lines=50 * 1200, pause=0.02, width=width)
    assert page.left_out.total() == 0
    found = delays(page, since=1100)
    assert len(found) == 50 * 100
    assert found[-1] < 0.02
    # So an hour costs 50 messages a second and their text: 158 MB at 80 characters, of which the text is 14.
    assert page.cost() <= 1200 * 50 * (ENVELOPE + width)


def test_after_a_flood_lines_come_at_once_again() -> None:
    with paced() as (page, batch):
        for _ in range(600):
            batch.write("stdout", "flood\n" * 5000)
            page.advance(0.1)
        page.sent.clear()
        calm = page.now
        say(page, batch, lines=500, pause=0.02, width=80)
    assert delays(page, since=calm + 1)[-1] < 0.02


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        (1_000_000, 10),
        (1_000_000, 100),
        (10_000, 10),
    ],  # on a fast machine, on a slow one, one per millisecond
)
def test_a_flood_costs_less_than_its_limit(lines: int, seconds: int) -> None:
    with paced() as (page, batch):
        steps = seconds * 100
        for step in range(steps):
            first, last = step * lines // steps, (step + 1) * lines // steps
            batch.write("stdout", "".join(f"line {n}\n" for n in range(first, last)))
            page.advance(1 / 100)
        batch.flush()
    assert page.cost() < LIMIT
    assert page.text().endswith(f"line {lines - 1}\n")
    assert page.text().count("\n") + page.left_out.total() == lines


TEXTS = st.lists(
    st.tuples(
        st.sampled_from(["stdout", "stderr"]),
        st.text(alphabet=["a", "\n"], min_size=1, max_size=60),
        st.sampled_from([0.0, 0.01, 0.3]),
    ),
    max_size=40,
)


@given(TEXTS)
def test_every_line_is_sent_or_counted(pieces: list[tuple[Stream, str, float]]) -> None:
    with paced(Pace(burst=50, rate=40, tail=20, quick=1000, interval=0.02)) as (page, batch):
        for stream, text, pause in pieces:
            batch.write(stream, text)
            page.advance(pause)
        batch.flush()
    for name in ("stdout", "stderr"):
        printed = sum(text.count("\n") for stream, text, _ in pieces if stream == name)
        assert page.text(name).count("\n") + page.left_out[name] == printed
        assert page.held[name] == printed


def test_a_line_whose_start_was_left_out_says_so() -> None:
    with paced(Pace(burst=50, rate=40, tail=20, quick=1000, interval=0.02)) as (page, batch):
        batch.write("stdout", "x" * 100)
        batch.write("stdout", "y\n")
        batch.flush()
    assert page.text().endswith("xy\n")
    assert page.text().startswith("…x")
