"""What every state of a run looks like, as HTML and as text, held against files that a person has looked at.

ZENML_MODAL_NB_GOLDEN=write writes them anew; the difference is then to be read, not only committed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from zenml_modal_nb.events import (
    Building,
    Cost,
    Event,
    Failed,
    File,
    Files,
    Finished,
    Queued,
    Reason,
    Recorded,
    Resources,
    Started,
    Stopped,
    Target,
    Transfer,
    Waiting,
)
from zenml_modal_nb.rendering.markup import STYLE, html
from zenml_modal_nb.rendering.notebook import NotebookRenderer
from zenml_modal_nb.rendering.page import HtmlPage, text
from zenml_modal_nb.rendering.panel import Panel, advance

if TYPE_CHECKING:
    from pages import Page

GOLDEN = Path(__file__).parent / "golden"
STARTED = Started("sb-1a2b", "3.11.7", "NVIDIA A100-SXM4-40GB")
USED = tuple(
    Resources(cpu, mib, ((gpu, 900),)) for cpu, mib, gpu in ((0.2, 300, 0), (3.5, 900, 97), (1, 700, 5))
)
RECORDED = Recorded("1f2e", "nb-train-7", "train", "https://zenml.example/runs/1f2e")
FILES = Files((File("out/a.csv", 4711),), 2, fetched=(File("model.pt", 5 << 30),), unmatched=("*.log",))

STATES: dict[str, tuple[Event, ...]] = {
    "packaging": (),
    "building": (Building(why="pandas added"),),
    "building-layer": (Building(why="pandas added", done=1, layers=3),),
    "building-line": (Building("Collecting torch"),),
    "waiting": (Waiting("2 × A100"), Cost(None, 35)),
    "sending": (Transfer("sending", 312 << 20, 1 << 30),),
    "running": (STARTED, *USED, Cost(0.0123, 130.4)),
    "collecting": (STARTED, Transfer("collecting", 1 << 20, 1 << 30), Cost(0.2, 200)),
    "done": (STARTED, *USED, Finished(131.0, 1.25, ("model", "accuracy"), RECORDED, FILES)),
    "cached": (Finished(0.4, 0.0, ("model",), cached="run nb-7 of 2026-11-26 10:00 UTC"),),
    **{
        f"failed-{reason.name.lower()}": (
            STARTED,
            Failed(reason, "What happened. What to do.", 60, 0.4, RECORDED),
        )
        for reason in Reason
        if reason not in (Reason.FINISHED, Reason.STOPPED, Reason.COST_CAP)
    },
    "stopped": (STARTED, Stopped(Reason.STOPPED, 5, 0.01, RECORDED)),
    "stopped-cost-cap": (STARTED, Stopped(Reason.COST_CAP, 3600, 2.5)),
}


def panel(target: Target, events: tuple[Event, ...]) -> Panel:
    found: Panel | None = None
    for event in (Queued(target), *events):
        found = advance(found, event)
    assert found is not None
    return found


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("place", ["modal", "here"])
def test_each_state_looks_as_it_did(
    state: str, place: str, on_modal: Target, on_this_machine: Target
) -> None:
    shown = panel(on_modal if place == "modal" else on_this_machine, STATES[state])
    page = html(shown).replace(STYLE, "").replace("<div", "\n<div").lstrip("\n")
    seen = f"{text(shown)}\n\n{page}\n"
    path = GOLDEN / f"{state}-{place}.txt"
    if os.environ.get("ZENML_MODAL_NB_GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(seen, "utf-8")
    assert seen == path.read_text("utf-8")


def test_a_request_that_was_far_off_is_remarked_upon_at_the_end_only(page: Page) -> None:
    target = Target("train", "Modal main/prod", True, gpu="A100", cpu=8, memory_mib=64 << 10)
    renderer = NotebookRenderer(HtmlPage(page), clock=page.clock)
    for event in (Queued(target), STARTED, *(Resources(1.0, 3 << 10, ((4, 900),)) for _ in range(3))):
        page.advance(5)
        renderer.show(event)
    assert "3 GiB of 64 GiB" in page.displays()[-1][2]["text/html"]
    assert "asked for" not in page.displays()[-1][2]["text/plain"]
    renderer.show(Finished(20, 0.1))
    told = "asked for 64 GiB of memory, used 3 GiB; asked for 8 cores, used 1.0; the GPU was at 4 % at most"
    assert told in page.displays()[-1][2]["text/plain"]
    assert told in page.displays()[-1][2]["text/html"]


def test_more_than_was_asked_for_is_told_since_it_is_billed(on_modal: Target) -> None:
    used = tuple(Resources(1.0, 9000.0) for _ in range(3))
    assert "used 8.79 GiB of memory, asked for 8 GiB: what is used is billed" in text(
        panel(on_modal, (*used, Finished(20, 0.1)))
    )
