"""What tells that a front end shows no widgets, and what does not."""

from __future__ import annotations

from datetime import UTC, datetime

from zenml_modal_nb.rendering.front import PATIENCE, Front


def sent(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_panel_that_stood_and_was_never_heard_means_a_page_without_widgets() -> None:
    clock = Clock()
    front = Front(clock)
    assert front.shows_widgets(sent(999.9))
    front.stand(PATIENCE)
    clock.now = 1010.0
    assert not front.shows_widgets(sent(1009.9))
    front.hear()
    assert front.shows_widgets(sent(1009.9))


def test_a_short_run_says_nothing_about_the_page() -> None:
    front = Front(Clock())
    front.stand(PATIENCE / 2)
    assert front.shows_widgets(sent(999.9))


def test_cells_that_were_queued_together_say_nothing_about_the_page() -> None:
    clock = Clock()
    front = Front(clock)
    assert front.shows_widgets(sent(999.9))
    front.stand(60)
    clock.now = 1060.0
    assert front.shows_widgets(sent(999.9))  # what the script has said may stand behind this request


def test_clocks_that_differ_do_not_matter() -> None:
    clock = Clock()
    front = Front(clock)
    assert front.shows_widgets(sent(5000))
    front.stand(PATIENCE)
    clock.now = 1060.0
    assert not front.shows_widgets(sent(5060))
    assert front.shows_widgets(sent(5001))
