"""What is left of a run, and what the doctor says, as a browser lays it out: no server, no kernel, no script."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from zenml_modal_nb.doctor.finding import ok, problem, skipped, warning
from zenml_modal_nb.doctor.report import Report
from zenml_modal_nb.events import Event, Finished, Queued, Target
from zenml_modal_nb.rendering.lines import Lines
from zenml_modal_nb.rendering.markup import html, log_html
from zenml_modal_nb.rendering.panel import Panel, advance

# Where the text of an element begins, and on how many lines it stands.
TEXT = """each => {
  const range = document.createRange();
  range.selectNodeContents(each);
  const rects = [...range.getClientRects()];
  return [rects[0].left, new Set(rects.map(rect => Math.round(rect.top))).size];
}"""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1000, "height": 700})
    yield page
    page.close()


def ended(*events: Event) -> Panel:
    panel = None
    for event in (Queued(Target("train", "Modal", True)), *events, Finished(5.0, 0.1)):
        panel = advance(panel, event)
    assert panel is not None
    return panel


def test_a_printed_page_has_the_whole_log(page: Page) -> None:
    lines = Lines()
    lines.write("stdout", "".join(f"line {n}\n" for n in range(900)))
    page.set_content(html(ended()) + log_html(lines))
    (pages,) = [re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4"))]
    assert len(pages) > 12  # at 70 lines a page
    page.emulate_media(media="print")
    shown = page.locator(".zmnb-log").bounding_box()
    assert shown is not None
    assert shown["height"] > 900 * 12


def test_the_stripe_of_standard_error_stands_clear_of_its_text_which_is_in_line_with_the_rest(
    page: Page,
) -> None:
    lines = Lines()
    lines.write("stdout", "\x1b[32mplain\x1b[0m\n")
    lines.write("stderr", "careful\n")
    page.set_content(html(ended()) + log_html(lines))
    plain, _ = page.locator(".zmnb-f2").evaluate(TEXT)
    careful, _ = page.locator(".zmnb-err").evaluate(TEXT)
    assert careful == plain
    stripe = page.locator(".zmnb-err").bounding_box()
    assert stripe is not None
    assert careful - stripe["x"] >= 6  # the stripe itself takes three


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 480])
def test_the_doctor_breaks_no_word_of_its_verdicts_and_marks_what_is_a_problem(
    page: Page, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 700})
    found = "a long sentence about " + "what was found " * 20
    findings = (ok("python", found), skipped("modal", found), warning("zenml", found, "do this"))
    page.set_content(Report(findings)._repr_html_())
    calm = page.locator(".zmnb").evaluate("each => getComputedStyle(each).borderLeftColor")
    page.set_content(Report((*findings, problem("artifact store", found, "x" * 200)))._repr_html_())
    verdicts = page.locator("tr > :first-child")
    assert [verdicts.nth(n).evaluate(TEXT)[1] for n in range(4)] == [1, 1, 1, 1]
    alarmed = page.locator(".zmnb").evaluate("each => getComputedStyle(each).borderLeftColor")
    assert alarmed != calm
    colours = verdicts.evaluate_all("all => all.map(each => getComputedStyle(each).color)")
    assert colours[3] not in colours[:3]
    assert page.locator(".zmnb").evaluate("each => each.scrollWidth - each.clientWidth") <= 0
