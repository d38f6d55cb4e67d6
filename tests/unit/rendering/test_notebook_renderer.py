"""What stands under a cell in a notebook while its run goes on, and after."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from zenml_modal_nb.events import (
    Building,
    Cleared,
    Cost,
    Display,
    Event,
    Failed,
    File,
    Files,
    Finished,
    Log,
    Progress,
    Queued,
    Reason,
    Recorded,
    Started,
    Stopped,
    Target,
    Waiting,
)
from zenml_modal_nb.rendering.notebook import NotebookRenderer
from zenml_modal_nb.rendering.page import HtmlPage

if TYPE_CHECKING:
    from pages import Page


def shown(page: Page, *events: Event) -> NotebookRenderer:
    renderer = NotebookRenderer(HtmlPage(page), clock=page.clock)
    for event in events:
        renderer.show(event)
    return renderer


def panel(page: Page) -> str:
    return str(page.displays()[-1][2]["text/plain"])


def page_text(page: Page) -> str:
    """The panel's HTML as a reader sees it."""
    words: list[str] = []

    class Reader(HTMLParser):
        styling = False

        def handle_starttag(self, tag: str, attrs: object) -> None:
            self.styling = tag == "style"

        def handle_endtag(self, tag: str) -> None:
            self.styling = False

        def handle_data(self, data: str) -> None:
            if not self.styling:
                words.append(data)

    Reader().feed(page.displays()[-1][2]["text/html"])
    return " ".join(words)


def test_the_header_says_where_the_step_runs_and_what_it_costs_an_hour(page: Page, on_modal: Target) -> None:
    shown(page, Queued(on_modal))
    for text in (panel(page), page_text(page)):
        assert "train" in text
        assert "Modal main/prod" in text
        assert "2 × A100 · 4 cores · 8 GiB · us-east" in text
        assert "$3.15/h (snapshot of November 2026)" in text
        assert "timeout 1 h 30 min" in text
        assert "packaging" in text


def test_on_this_machine_nothing_is_billed_and_the_gpu_is_not_promised(
    page: Page, on_this_machine: Target
) -> None:
    renderer = shown(page, Queued(on_this_machine), Started("sb-1", "3.11.7"))
    renderer.show(Cost(0.0123, 12.0))
    renderer.show(Finished(12.5, 0.0124, ("model",)))
    for text in (panel(page), page_text(page)):
        assert "this machine (local Modal API), not billed" in text
        assert "would cost $0.98/h on Modal" in text
        assert "GPU recorded and priced, not provided here" in text
        assert "≈ $0.0124 on Modal (estimate), not billed" in text


def test_a_gpu_without_a_price_says_so(page: Page) -> None:
    shown(page, Queued(Target("train", "Modal main/prod", True, gpu="B300")))
    assert "price per hour unknown" in panel(page)


def test_one_display_is_updated_in_place_through_every_state(
    page: Page, on_modal: Target, recorded: Recorded
) -> None:
    renderer = shown(page, Queued(on_modal))
    states = [panel(page).splitlines()[-1]]
    for event in (
        Building(),
        Waiting("2 × A100"),
        Cost(None, 35),
        Started("sb-1", "3.11.7", "NVIDIA A100"),
        Cost(0.0123, 130.4),
    ):
        page.advance(1)
        renderer.show(event)
        states.append(panel(page).splitlines()[-1])
    assert states == [
        "packaging",
        "building image",
        "waiting for 2 × A100",
        "waiting for 2 × A100 0:35",
        "running 0:35",
        "running 2:10 · ≈ $0.0123 (estimate)",
    ]
    renderer.show(Finished(131.0, 0.0125, ("model", "accuracy"), recorded))
    kinds = [kind for kind, *_ in page.displays()]
    assert kinds == ["display"] + ["update"] * (len(kinds) - 1)
    assert len({display_id for _, display_id, *_ in page.displays()}) == 1


def test_the_footer_tells_duration_cost_outputs_and_where_the_run_is_in_zenml(
    page: Page, on_modal: Target, recorded: Recorded
) -> None:
    shown(
        page,
        Queued(on_modal),
        Started("sb-1", "3.11.7"),
        Finished(131.0, 1.25, ("model", "accuracy"), recorded),
    )
    for text in (panel(page), page_text(page)):
        assert "done in 2:11" in text
        assert "≈ $1.25 (estimate)" in text
        assert "model" in text
        assert "accuracy" in text
        assert 'Client().get_pipeline_run("modal_step-train-7")' in text
        assert "sandbox sb-1 · Python 3.11.7" in text
    assert 'href="https://zenml.example/runs/1f2e"' in page.displays()[-1][2]["text/html"]


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (Failed(Reason.CELL_FAILED, "ValueError: no", 3, 0.01), "failed in the cell after 0:03"),
        (
            Failed(Reason.OUT_OF_MEMORY, "Use --memory 16GB.", 60, 0.01),
            "failed: killed, probably out of memory after 1:00",
        ),
        (Failed(Reason.TIMED_OUT, "Use --timeout 2h.", 3600, 9.0), "failed: timed out after 1:00:00"),
        (Stopped(Reason.STOPPED, 5, 0.01), "stopped by the user after 0:05"),
        (Stopped(Reason.COST_CAP, 5, 2.5), "stopped: cost cap reached after 0:05"),
    ],
)
def test_why_a_run_ended_is_said(page: Page, on_modal: Target, event: Failed | Stopped, said: str) -> None:
    shown(page, Queued(on_modal), event)
    assert said in panel(page)
    assert said in page_text(page)
    if isinstance(event, Failed):
        assert event.message in panel(page)


def test_a_last_estimate_stands_when_the_end_brings_none(page: Page, on_modal: Target) -> None:
    shown(page, Queued(on_modal), Cost(0.5, 60), Failed(Reason.LOST_CONTACT, "", 61, None))
    assert "≈ $0.5000 (estimate)" in panel(page)


def test_the_first_line_of_the_log_is_sent_at_once_and_the_rest_a_few_times_a_second(page: Page) -> None:
    renderer = shown(page, Log("0\n"))
    assert page.text("stdout") == "0\n"
    for line in range(1, 101):
        page.advance(0.01)
        renderer.show(Log(f"{line}\n"))
    messages = [message for message in page.sent if message[0] == "stream"]
    assert len(messages) <= 70
    page.advance(0.1)
    assert page.text("stdout") == "".join(f"{line}\n" for line in range(101))


def test_a_page_that_holds_much_is_written_to_less_often(page: Page) -> None:
    renderer = shown(page, Log("x" * HtmlPage.pace.quick + "\n"))
    for line in range(100):
        page.advance(0.01)
        renderer.show(Log(f"{line}\n"))
    assert len(page.sent) <= 22


def test_a_line_before_silence_is_not_held_back(page: Page) -> None:
    renderer = shown(page, Log("first\n"))
    renderer.show(Log("last words\n"))
    assert "last words" not in page.text()
    page.advance(0.06)
    assert page.text("stdout") == "first\nlast words\n"


def test_the_end_waits_for_no_timer(page: Page, on_modal: Target) -> None:
    shown(page, Queued(on_modal), Log("a\n"), Log("b\n"), Finished(1, 0.1))
    assert page.text("stdout") == "a\nb\n"
    assert page.sent[-1][0] == "update"


def test_the_two_streams_stay_apart_and_in_order(page: Page) -> None:
    shown(page, Log("a\n"), Log("b\n"), Log("warning\n", stream="stderr"), Log("c\n"))
    page.advance(1)
    assert [(name, text) for _, name, text, _ in page.sent] == [
        ("stdout", "a\n"),
        ("stdout", "b\n"),
        ("stderr", "warning\n"),
        ("stdout", "c\n"),
    ]


def folded(text: str) -> list[str]:
    """The lines as a front end shows them: a carriage return overwrites what stands there."""
    lines = []
    for raw in text.split("\n"):
        line = ""
        for part in raw.split("\r"):
            line = part + line[len(part) :]
        lines.append(line.rstrip())
    return lines


def test_a_progress_bar_moves_on_one_line_and_leaves_its_last_state(page: Page) -> None:
    renderer = shown(page, Log("start\n", stream="stderr"))
    for percent in (5, 50, 100):
        page.advance(0.2)
        renderer.show(Progress(f"{percent}% of a long description that gets {'shorter' * (percent < 50)}"))
        assert folded(page.text("stderr"))[-1].startswith(f"{percent}% of")
    page.advance(0.2)
    renderer.show(Log("done\n", stream="stderr"))
    page.advance(0.2)
    assert folded(page.text("stderr")) == ["start", "done", ""]


def test_only_the_newest_progress_is_sent(page: Page) -> None:
    renderer = shown(page, Log("start\n", stream="stderr"))
    for percent in range(100):
        renderer.show(Progress(f"{percent}%"))
    page.advance(0.1)
    assert "98%" not in page.text()
    assert folded(page.text("stderr"))[-1] == "99%"


def test_a_plot_appears_between_what_was_printed_before_and_after_it(page: Page) -> None:
    shown(
        page,
        Log("a\n"),
        Log("before\n"),
        Display({"image/png": "iVBOR", "text/plain": "<Figure>"}),
        Log("after\n"),
    )
    page.advance(1)
    assert [message[2] for message in page.sent] == [
        "a\n",
        "before\n",
        {"image/png": "iVBOR", "text/plain": "<Figure>"},
        "after\n",
    ]


@pytest.mark.parametrize("wait", [True, False])
def test_a_cell_can_clear_its_page_and_the_panel_stays(page: Page, on_modal: Target, wait: bool) -> None:
    renderer = shown(page, Queued(on_modal), Log("old\n"), Cleared(wait))
    assert [message[0] for message in page.sent[-2:]] == (
        ["display", "stream"] if wait else ["clear", "display"]
    )
    page.advance(1)
    renderer.show(Log("new\n"))
    page.advance(1)
    cleared = [message[0] for message in page.sent].index("clear")
    ((kind, display_id, data, _),) = [each for each in page.sent[cleared:] if each[0] == "display"]
    assert kind == "display"
    assert display_id == page.displays()[0][1]
    assert "train" in data["text/plain"]
    assert "".join(each[2] for each in page.sent[cleared:] if each[0] == "stream") == "new\n"


def test_a_progress_bar_after_a_cleared_page_is_not_padded_to_the_one_before(page: Page) -> None:
    shown(page, Log("a\n"), Progress("x" * 60), Cleared(), Progress("1%"))
    page.advance(1)
    assert page.sent[-1][2] == "\r1%"


def test_a_flood_cannot_freeze_the_browser_and_says_what_it_leaves_out(page: Page) -> None:
    renderer = shown(page)
    lines = [f"line {number:07}\n" for number in range(1_000_000)]
    for start in range(0, len(lines), 1000):
        renderer.show(Log("".join(lines[start : start + 1000])))
        page.advance(0.01)
    renderer.show(Log("the end\n"))
    page.advance(10)
    log = page.text("stdout")
    assert page.wire() < 2_000_000
    assert log.startswith(lines[0] + lines[1])
    assert log.endswith(lines[-1] + "the end\n")
    left_out = sum(
        int(line.split()[1].replace(",", "")) for line in log.splitlines() if "are not shown here" in line
    )
    assert log.count("line 0") + left_out == len(lines)


def test_an_endless_line_is_cut_not_lost(page: Page) -> None:
    shown(page, Log("x" * (HtmlPage.pace.burst + HtmlPage.pace.tail)))
    assert len(page.text()) >= HtmlPage.pace.tail
    assert page.text().startswith("…x")


def test_a_days_ticks_do_not_fill_the_page(page: Page, on_modal: Target) -> None:
    renderer = shown(page, Queued(on_modal), Started("sb-1", "3.11.7"))
    for second in range(24 * 3600):
        page.advance(1)
        renderer.show(Cost(second / 1000, float(second)))
        if second == 60:
            assert len(page.displays()) >= 60  # a short run's clock ticks every second
    assert len(page.displays()) < 8000


HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'&\x1b]0;title\x07\x1b[2J"


def test_nothing_that_others_wrote_becomes_markup_or_a_terminal_sequence(page: Page) -> None:
    target = Target(HOSTILE, HOSTILE, True, gpu=HOSTILE, region=HOSTILE, cloud=HOSTILE, rate_source=HOSTILE)
    link = Recorded(HOSTILE, HOSTILE, HOSTILE, url="javascript:alert(1)")
    file = File(HOSTILE, 1)
    hostile = Files((file,), 1, fetched=(file,), unmatched=(HOSTILE,))
    shown(
        page,
        Queued(target),
        Building(HOSTILE),
        Waiting(HOSTILE),
        Started(HOSTILE, HOSTILE, HOSTILE),
        link,
        Log(HOSTILE + "\n"),
        Progress(HOSTILE),
        Failed(Reason.CELL_FAILED, HOSTILE, 1, 1, link, hostile),
    )
    shown(
        page,
        Queued(target),
        Finished(
            1, 1, (HOSTILE,), Recorded("", HOSTILE, "", f"https://x/{HOSTILE.replace(' ', '')}"), hostile
        ),
    )
    tags: set[str] = set()
    attributes: set[str] = set()

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.add(tag)
            attributes.update(name for name, _ in attrs)

    for message in page.displays():
        Reader().feed(message[2]["text/html"])
        assert "javascript:" not in message[2]["text/html"]
        assert "\x1b" not in message[2]["text/plain"] + message[2]["text/html"]
    assert tags <= {"div", "span", "style", "code", "a"}
    assert attributes <= {"class", "role", "aria-label", "href", "target", "rel"}
    assert "\x1b" not in page.text()
    assert "\x07" not in page.text()


def test_an_enormous_message_does_not_fill_the_panel(page: Page, on_modal: Target) -> None:
    shown(page, Queued(on_modal), Failed(Reason.CELL_FAILED, "word " * 1_000_000, 1, 1))
    assert page.wire() < 20_000
