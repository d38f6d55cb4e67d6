"""What the panel draws of a run's numbers, and of texts that others have chosen: bars, small curves, and text alone."""

from __future__ import annotations

import re

import pytest
from frontend import Gate
from jupyter_site import PATIENCE, Notebook, Site
from playwright.sync_api import Browser, Locator, expect

expect.set_options(timeout=PATIENCE)

pytestmark = pytest.mark.slow

LOAD = "%load_ext zenml_modal_nb\nfrom zenml.client import Client"
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>&amp;"
# The events of a run as they come, each shown at once, and the gate between them.
PLAYED = """\
import itertools
from zenml_modal_nb.events import *
from zenml_modal_nb.rendering.live import WidgetPage
from zenml_modal_nb.rendering.notebook import NotebookRenderer
from zenml_modal_nb.rendering.publisher import KernelPublisher
seconds = itertools.count(step=60)
page = WidgetPage(KernelPublisher(get_ipython()), stop=lambda: None)
shows = NotebookRenderer(page, clock=lambda: next(seconds))
target = Target({hostile!r}, {hostile!r}, True, region={hostile!r}, cpu=4.0, memory_mib=4096, timeout=100,
    hourly_rate=1.0, rate_source={hostile!r})
def show(*events):
    for event in events:
        shows.show(event)
    {wait}
show(Queued(target, log={hostile!r}))
show(Building("Step " + {hostile!r}, why={hostile!r}, done=1, layers=4))
show(Transfer("sending", 100 << 20, 400 << 20))
show(Started({hostile!r}, {hostile!r}, {hostile!r}), Resources(1, 1024), Resources(4, 2048), Resources(2, 4096),
    Cost(0.01, 50))
show(Finished(60.0, 0.01, ({hostile!r},), Recorded("1", {hostile!r}, {hostile!r}, "javascript:alert(3)")))
"""


def points(curve: Locator) -> list[tuple[float, float]]:
    drawn = curve.locator("polyline").get_attribute("points") or ""
    return [(float(x), float(y)) for x, y in (each.split(",") for each in drawn.split())]


def test_bars_and_curves_say_how_far_and_how_much_and_no_name_becomes_markup(
    site: Site, browser: Browser, gate: Gate
) -> None:
    path = site.write("drawings", PLAYED.format(hostile=HOSTILE, wait=gate.wait))
    page = browser.new_page(viewport={"width": 1100, "height": 900})
    alerts: list[str] = []
    page.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.accept()))
    notebook = Notebook(page, site.url(path.stem))
    output = notebook.run(0)
    panel, state = output.locator(".zmnb"), output.locator(".zmnb-state")
    bar = panel.locator(".zmnb-bar")

    def is_text() -> None:
        assert panel.locator("img, script, a[href^=javascript]").count() == 0
        assert HOSTILE[:40] in panel.inner_text()

    expect(state).to_contain_text("packaging")
    expect(bar).to_have_class(re.compile("zmnb-unknown"))
    is_text()
    gate.open()
    expect(state).to_contain_text("building image")
    expect(bar.locator("div")).to_have_attribute("style", "width: 25%;")
    is_text()
    gate.open()
    expect(state).to_contain_text("sending")
    expect(bar.locator("div")).to_have_attribute("style", "width: 25%;")
    share = "each => each.firstChild.getBoundingClientRect().width / each.getBoundingClientRect().width"
    page.wait_for_function(f"each => Math.abs(({share})(each) - 0.25) < 0.01", arg=bar.element_handle())
    gate.open()
    expect(state).to_contain_text("running 0:5")
    page.wait_for_function(f"each => ({share})(each) >= 0.5", arg=bar.element_handle())
    curves = panel.locator(".zmnb-spark")
    expect(curves).to_have_count(2)
    assert points(curves.nth(0)) == [
        (0.0, 11.5),
        (30.0, 1.0),
        (60.0, 8.0),
    ]  # 1, 4 and 2 of 4 cores, 14 pixels
    assert [y for _, y in points(curves.nth(1))] == sorted([11.5, 8.0, 1.0], reverse=True)
    is_text()
    gate.open()
    expect(state).to_contain_text("done in")
    is_text()
    gate.open()
    notebook.finish(0)
    assert alerts == []
    page.close()


def test_the_curves_of_a_run_grow_while_it_goes_on_and_its_bar_nears_the_time_limit(
    site: Site, browser: Browser, gate: Gate
) -> None:
    path = site.write("curves", LOAD, f"%%modal_step --timeout 2m\n{gate.wait}")
    page = browser.new_page()
    notebook = Notebook(page, site.url(path.stem))
    notebook.run(0)
    notebook.finish(0)
    output = notebook.run(1)
    curve = output.locator(".zmnb-spark polyline").first
    expect(curve).to_have_attribute("points", re.compile(r"^\S+,\S+ \S+,\S+ \S+,\S+"))
    width = output.locator(".zmnb-bar > div")
    earlier = width.get_attribute("style") or ""
    assert "width" in earlier
    expect(width).not_to_have_attribute("style", earlier)
    gate.open()
    expect(output.locator(".zmnb-state")).to_contain_text("done in")
    expect(output.locator(".zmnb-spark polyline").first).to_have_attribute("points", re.compile(" "))
    page.close()


@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_a_step_is_coloured_as_python(site: Site, browser: Browser, app: str) -> None:
    code = "for each in 'abc':\n    pass"
    path = site.write(f"coloured-{app}", code, f"%%modal_step --gpu T4\n{code}", f"%%modal_pick\n{code}")
    page = browser.new_page()
    notebook = Notebook(page, site.url(path.stem, app))
    colour = "each => getComputedStyle(each).color"
    expected = None
    for number in range(3):
        words = [
            notebook.cell(number).locator(".cm-line span").get_by_text(word, exact=True).first
            for word in ("for", "'abc'", "pass")
        ]
        found = [each.evaluate(colour) for each in words]
        expected = expected or found
        assert found == expected
        assert found[0] == found[2] != found[1]
        assert notebook.cell(number).locator(".cm-content").evaluate(colour) not in found
    page.close()
