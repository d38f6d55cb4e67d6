"""What a log file and a terminal show."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from zenml_modal_nb.events import (
    Building,
    Cost,
    Display,
    Event,
    Failed,
    Finished,
    Log,
    Progress,
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
from zenml_modal_nb.rendering.choice import choose
from zenml_modal_nb.rendering.plain import PlainRenderer
from zenml_modal_nb.rendering.publisher import TextPublisher
from zenml_modal_nb.rendering.renderer import Renderer
from zenml_modal_nb.rendering.terminal import TerminalRenderer

if TYPE_CHECKING:
    from pages import Page


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        """The lines that stand there: the only sequences expected are erase-line and colour-off."""
        raw = self.getvalue().replace("\x1b[0m", "").split("\n")
        lines = [line.split("\r\x1b[2K")[-1] for line in raw]
        assert "\x1b" not in "".join(lines)
        return [line for line in lines if line]


def play(renderer: Renderer, *events: Event) -> None:
    for event in events:
        renderer.show(event)


def test_a_transfer_is_one_line_of_a_log_file_and_moves_in_a_terminal(on_modal: Target) -> None:
    transfers = [Transfer("sending", part << 20, 400 << 20) for part in (100, 200, 400)]
    out, err, terminal = io.StringIO(), io.StringIO(), Terminal()
    play(choose(None, stdout=out, stderr=err, environ={}), Queued(on_modal), *transfers, Waiting())
    play(choose(None, stdout=terminal, stderr=terminal, environ={}), Queued(on_modal), *transfers)
    assert [line.partition("] ")[2] for line in out.getvalue().splitlines()][-2:] == [
        "sending 100 MiB of 400 MiB (25 %)",
        "waiting for a sandbox",
    ]
    assert "sending 400 MiB of 400 MiB (100 %)" in terminal.screen()[-1]


def test_a_log_file_holds_each_state_once_the_log_and_the_footer(
    on_modal: Target, recorded: Recorded
) -> None:
    out, err = io.StringIO(), io.StringIO()
    play(
        choose(None, stdout=out, stderr=err, environ={}),
        Queued(on_modal),
        Building(),
        Building("Collecting torch"),
        Waiting("2 × A100"),
        Waiting("2 × A100"),
        Cost(None, 3),
        Started("sb-1", "3.11.7", "NVIDIA A100"),
        Log("epoch 1\n"),
        Log("careful\n", stream="stderr"),
        Progress("50%"),
        Cost(0.01, 10),
        Log("100%\n", stream="stderr"),
        Display({"text/plain": "<Figure size 640x480>", "image/png": "iVBOR"}),
        Finished(131.0, 1.25, ("model", "accuracy"), recorded),
    )
    assert out.getvalue().splitlines() == [
        "[train] Modal main/prod",
        "[train] 2 × A100 · 4 cores · 8 GiB · us-east · $3.15/h (snapshot of November 2026)"
        " · timeout 1 h 30 min",
        "[train] building image",
        "[train]   Collecting torch",
        "[train] waiting for 2 × A100",
        "[train] running · sandbox sb-1 · Python 3.11.7 · NVIDIA A100",
        "epoch 1",
        "<Figure size 640x480>",
        "[train] done in 2:11 · ≈ $1.25 (estimate) · outputs: model, accuracy",
        '[train] ZenML run: Client().get_pipeline_run("modal_step-train-7")',
        "[train] https://zenml.example/runs/1f2e",
    ]
    assert err.getvalue() == "careful\n100%\n"


def test_outputs_of_an_earlier_run_say_which_and_that_nothing_ran(page: Page, on_modal: Target) -> None:
    play(
        PlainRenderer(page),
        Queued(on_modal),
        Finished(0.4, 0.0, ("model",), cached="run nb-7 of 2026-11-26 10:00 UTC"),
    )
    last = "[train] cached: outputs of run nb-7 of 2026-11-26 10:00 UTC, no sandbox, $0 · outputs: model"
    assert page.text().splitlines()[-1] == last


def test_an_unfinished_line_is_ended_before_something_else_is_said(page: Page, on_modal: Target) -> None:
    renderer = PlainRenderer(page)
    play(
        renderer,
        Queued(on_modal),
        Log("loading… "),
        Log("oh\n", stream="stderr"),
        Log("more"),
        Stopped(Reason.STOPPED, 1, 0.1),
    )
    assert page.text().endswith(
        "loading… \noh\nmore\n[train] stopped by the user after 0:01 · ≈ $0.1000 (estimate)\n"
    )


def test_colours_of_the_log_survive_and_other_sequences_do_not(page: Page) -> None:
    renderer = PlainRenderer(page)
    play(
        renderer,
        Log("\x1b[31mred\x1b[0m\n"),
        Log("\x1b["),
        Log("32mgreen\x1b[m\n"),
        Log("\x1b[2J\x1b[Hgone\x07\n"),
    )
    assert page.text() == "\x1b[31mred\x1b[0m\n\x1b[32mgreen\x1b[m\ngone\n"


def test_a_terminal_keeps_the_state_in_its_last_line(on_modal: Target) -> None:
    terminal = Terminal()
    renderer = choose(None, stdout=terminal, environ={"TERM": "xterm"})
    assert isinstance(renderer, TerminalRenderer)
    play(
        renderer, Queued(on_modal), Started("sb-1", "3.11.7"), Cost(0.01, 9), Log("epoch 1\n"), Cost(0.02, 10)
    )
    assert terminal.screen()[-2:] == ["epoch 1", "train · running 0:10 · ≈ $0.0200 (estimate)"]
    play(renderer, Progress("50%|###     | 5/10"), Cost(0.03, 11))
    assert terminal.screen()[-2:] == ["epoch 1", "50%|###     | 5/10"]
    play(renderer, Log("100%|########| 10/10\n"), Finished(12, 0.03))
    assert terminal.screen()[-3:] == [
        "epoch 1",
        "100%|########| 10/10",
        "[train] done in 0:12 · ≈ $0.0300 (estimate)",
    ]


def test_the_last_line_stays_when_the_use_of_resources_is_told(on_modal: Target) -> None:
    terminal = Terminal()
    renderer = TerminalRenderer(TextPublisher(terminal, terminal), lambda: 80)
    play(renderer, Queued(on_modal), Started("sb-1", "3.11.7"), Cost(0.02, 10), Resources(1.0, 300.0))
    assert terminal.screen()[-1] == "train · running 0:10 · ≈ $0.0200 (estimate)"
    play(renderer, Finished(12, 0.03))
    assert (
        terminal.screen()[-1] == "[train] used: CPU at most 1.0 of 4 cores · memory at most 300 MiB of 8 GiB"
    )


def test_the_state_is_not_written_into_an_unfinished_line(on_modal: Target) -> None:
    terminal = Terminal()
    renderer = TerminalRenderer(TextPublisher(terminal, terminal), lambda: 80)
    play(renderer, Queued(on_modal), Started("sb-1", "3.11.7"), Log("loading"), Cost(0.01, 9), Log(" done\n"))
    assert "loading done\n" in terminal.getvalue()


def test_the_state_never_wraps(on_modal: Target) -> None:
    terminal = Terminal()
    renderer = TerminalRenderer(TextPublisher(terminal, terminal), lambda: 10)
    play(renderer, Queued(on_modal), Cost(0.01, 9))
    assert terminal.screen()[-1] == "train · p"


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("漢" * 60, 39),  # two columns each, and the last one of 80 stays free
        ("x" + "漢" * 60, 40),  # half a character cannot be drawn
        ("e\u0301" * 100, 2 * 79),  # an accent takes no column of its own
        ("\u2764\ufe0f" * 60, 2 * 39 + 1),  # a heart as an emoji takes two, and one without
        ("a\t" * 20, 79),  # the tenth tab ends in the eightieth column
    ],
    ids=["wide", "odd", "combining", "emoji", "tabs"],
)
def test_a_progress_line_is_cut_by_columns_and_not_by_characters(text: str, whole: int) -> None:
    terminal = Terminal()
    renderer = TerminalRenderer(TextPublisher(terminal, terminal), lambda: 80)
    play(renderer, Progress(text))
    assert terminal.screen()[-1] == text.expandtabs()[:whole]


def test_dumb_terminals_and_those_who_ask_get_plain_lines() -> None:
    assert isinstance(choose(None, stdout=Terminal(), environ={"TERM": "dumb"}), PlainRenderer)
    assert isinstance(choose(None, stdout=Terminal(), environ={"ZENML_MODAL_NB_PLAIN": "1"}), PlainRenderer)
    assert isinstance(
        choose(None, stdout=Terminal(), environ={"ZENML_MODAL_NB_PLAIN": "0"}), TerminalRenderer
    )


def test_an_error_before_the_run_has_a_name_shows_nothing_of_its_own(page: Page) -> None:
    play(PlainRenderer(page), Failed(Reason.NOT_STARTED, "no", 0, None))
    assert page.sent == []
