"""What the live panel's script is told: words and numbers, and how much of a long phase is done."""

from __future__ import annotations

import pytest

from zenml_modal_nb.events import Building, Event, Queued, Started, Target, Transfer, Waiting
from zenml_modal_nb.rendering.live import face
from zenml_modal_nb.rendering.panel import Panel, advance


def panel(target: Target, *events: Event) -> Panel:
    found: Panel | None = None
    for event in (Queued(target), *events):
        found = advance(found, event)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("event", "share"),
    [
        (Waiting("2 × A100"), -1.0),  # nobody knows
        (Building(layers=4), -1.0),  # none is done: a bar that passes says more than an empty one
        (Building(done=1, layers=4), 0.25),
        (Building(done=3, layers=4), 0.75),
        (Transfer("sending", 300, 400), 0.75),
        (Transfer("collecting", 500, 400), 1.0),
        (Started("sb-1", "3.11.7"), None),
    ],
)
def test_a_long_phase_has_a_bar_that_says_how_much_is_done(
    on_modal: Target, event: Event, share: float | None
) -> None:
    assert face(panel(on_modal, event))["share"] == share
