"""What somebody sees who runs cells in a browser: while they run, when they are stopped, and when they are over."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from frontend import Gate
from jupyter_site import PATIENCE, Notebook, Site
from playwright.sync_api import Browser, Dialog, expect

expect.set_options(timeout=PATIENCE)

LOAD = "%load_ext zenml_modal_nb\nfrom zenml.client import Client"
JOURNEY = """\
%%modal_step --name train --gpu A100 --gpu-count 2
import sys
for epoch in range(1, 4):
    print(f'\\x1b[32mepoch {epoch}\\x1b[0m loss {1 / epoch:.3f}')
    sum(range(30_000_000))
print('careful', file=sys.stderr)
open(gate).close()
import matplotlib.pyplot as plt
plt.plot([3, 1, 2]); plt.show()
print('after the plot')
model = 42"""


@pytest.mark.parametrize("app", ["lab", pytest.param("notebook", marks=pytest.mark.slow)])
def test_the_log_grows_the_cost_ticks_and_all_of_it_is_there_after_a_reload(
    site: Site, browser: Browser, gate: Gate, pictures: Path, app: str
) -> None:
    path = site.write(f"journey-{app}", f"{LOAD}\ngate = {str(gate.path)!r}", JOURNEY)
    page = browser.new_page(viewport={"width": 1100, "height": 900})
    errors: list[str] = []
    # Our scripts are modules of their own, loaded from blobs; the front end has errors of its own.
    page.on("pageerror", lambda error: errors.append(error.stack) if "blob:" in error.stack else None)
    notebook = Notebook(page, site.url(path.stem, app))
    notebook.run(0)
    notebook.finish(0)
    output = notebook.run(1)
    expect(output.locator(".zmnb-log")).to_contain_text("epoch 3 loss 0.333")
    expect(output.locator(".zmnb-f2").first).to_have_text("epoch 1")
    expect(output.locator(".zmnb-l.zmnb-err")).to_have_text("careful")
    expect(output.locator(".zmnb-name")).to_have_text("train")
    expect(output.locator(".zmnb-state")).to_contain_text("running 0:")
    cost = output.locator(".zmnb-cost")
    expect(cost).to_contain_text("$")
    earlier = cost.inner_text()
    expect(cost).not_to_have_text(earlier)  # the job stands at the gate
    # Three times the sandbox has told what it uses: its curves are drawn.
    expect(output.locator(".zmnb polyline").first).to_have_attribute("points", re.compile(r"(\S+ ){2}"))
    notebook.cell(1).screenshot(path=pictures / f"{app}-light.png")
    if app == "lab":
        notebook.choose_theme("JupyterLab Dark")
        notebook.cell(1).screenshot(path=pictures / "lab-dark.png")
        notebook.choose_theme("JupyterLab Light")
        page.evaluate("jupyterapp.commands.execute('application:toggle-left-area')")
        page.set_viewport_size({"width": 480, "height": 900})
        output.locator(".zmnb-name").scroll_into_view_if_needed()
        overflow = "each => each.scrollWidth - each.clientWidth"
        assert output.locator(".zmnb").evaluate(overflow) <= 0
        page.screenshot(path=pictures / "lab-narrow.png")
        page.set_viewport_size({"width": 1100, "height": 900})
        page.evaluate("jupyterapp.commands.execute('application:toggle-left-area')")
    panels = output.locator(".zmnb, .zmnb-box")
    width = "all => all.map(each => each.getBoundingClientRect().width)"
    widths = panels.evaluate_all(width)
    gate.open()
    notebook.finish(1)

    def finished() -> None:
        expect(output.locator(".zmnb-state")).to_contain_text("done in")
        logs = output.locator("pre.zmnb-log")
        expect(logs.nth(0)).to_contain_text("epoch 3 loss 0.333")
        expect(logs.nth(1)).to_have_text("after the plot")
        expect(output.locator("img[src^='data:image/png']")).to_be_visible()
        kind = "querySelector('img') ? 'plot' : each.querySelector('.zmnb-log') ? 'log' : 'panel'"
        kinds = output.locator(".jp-OutputArea-output").evaluate_all(f"all => all.map(each => each.{kind})")
        assert kinds == ["panel", "log", "plot", "log"]

    finished()
    assert set(panels.evaluate_all(width)) == set(widths)
    notebook.save()
    page.screenshot(path=pictures / f"{app}-finished.png")
    saved = json.loads(path.read_text("utf-8"))["cells"][1]["outputs"]
    assert all("application/vnd.jupyter.widget-view+json" not in each["data"] for each in saved)
    notebook.open(site.url(path.stem, app))
    finished()
    assert errors == []
    page.close()


@pytest.mark.slow  # tests/kernel/test_live_widgets.py asks for the same pages
@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_a_page_that_is_loaded_again_while_the_cell_runs_shows_its_end_and_no_error(
    site: Site, browser: Browser, gate: Gate, app: str
) -> None:
    cell = f"%%modal_step --name reloaded\nprint('before')\n{gate.wait}\nprint('<i>after</i>')\nreloaded = 7"
    path = site.write(f"reloaded-{app}", LOAD, cell, "reloaded")
    page = browser.new_page()
    notebook = Notebook(page, site.url(path.stem, app))
    notebook.run(0)
    notebook.finish(0)
    expect(notebook.run(1).locator("div.zmnb-log")).to_contain_text("before")
    notebook.save()
    page.reload()
    output = notebook.cell(1).locator(".jp-Cell-outputArea")
    expect(output).to_contain_text("Loading widget")  # the kernel answers a page when it is free
    gate.open()
    expect(output.locator(".zmnb-state")).to_contain_text("done in")
    expect(output.locator("pre.zmnb-log")).to_have_text("before\n<i>after</i>")
    expect(output).not_to_contain_text("Error")
    notebook.run(2)
    expect(notebook.cell(2).locator(".jp-OutputArea-output")).to_have_text("7")
    page.close()


@pytest.mark.slow  # tests/kernel/test_live_widgets.py stops a run by the same message
def test_the_stop_button_ends_a_run_while_its_cell_runs_and_the_cell_can_run_again(
    site: Site, browser: Browser, gate: Gate
) -> None:
    path = site.write(
        "stopped", LOAD, f"%%modal_step --name again\nprint('waits')\n{gate.wait}\nended = True"
    )
    page = browser.new_page()
    notebook = Notebook(page, site.url(path.stem))
    notebook.run(0)
    notebook.finish(0)
    output = notebook.run(1)
    expect(output.locator(".zmnb-log")).to_contain_text("waits")
    output.get_by_role("button", name="Stop").click()
    expect(output.locator(".zmnb-state")).to_contain_text("stopped by the user")
    notebook.finish(1)
    output = notebook.run(1)
    expect(output.locator("div.zmnb-log")).to_contain_text("waits")
    gate.open()
    expect(output.locator(".zmnb-state")).to_contain_text("done in")
    page.close()


HOSTILE = (
    "<img src=x onerror=alert(1)><script>alert(2)</script><svg onload=alert(3)>&\x1b]0;title\x07\x1b[31m"
)


@pytest.mark.slow
def test_nothing_that_is_printed_becomes_markup_in_a_browser(
    site: Site, browser: Browser, gate: Gate
) -> None:
    cell = (
        "%%modal_step\n"
        f"import sys\nhostile = {HOSTILE!r}\n"
        "class Hostile:\n    def __repr__(self): return hostile\n"
        "print(hostile)\nprint(hostile, file=sys.stderr)\nprint('\\r' + hostile, end='')\n"
        f"{gate.wait}\ndisplay(Hostile())\nraise ValueError(hostile)"
    )
    path = site.write("hostile", LOAD, cell)
    page = browser.new_page()
    alerts: list[str] = []

    def asked(dialog: Dialog) -> None:
        if dialog.type != "beforeunload":  # the page's own, on leaving it
            alerts.append(dialog.message)
        dialog.accept()

    page.on("dialog", asked)
    notebook = Notebook(page, site.url(path.stem))
    notebook.run(0)
    notebook.finish(0)
    output = notebook.run(1)
    expect(output.locator("div.zmnb-log")).to_contain_text("<script>alert(2)</script>")
    assert output.locator(".zmnb-box img, .zmnb-box script, .zmnb-log svg, .zmnb img").count() == 0
    gate.open()
    notebook.finish(1)
    expect(output.locator("pre.zmnb-log").first).to_contain_text("<script>alert(2)</script>")
    assert output.locator(".zmnb-box img, .zmnb-box script, .zmnb-log svg, .zmnb img").count() == 0
    notebook.save()
    notebook.open(site.url(path.stem))
    expect(output.locator("pre.zmnb-log").first).to_contain_text("<script>alert(2)</script>")
    assert alerts == []
    page.close()


@pytest.mark.slow
def test_the_log_can_be_searched_timed_and_downloaded_by_keyboard_while_it_grows(
    site: Site, browser: Browser, gate: Gate
) -> None:
    cell = f"%%modal_step --name tools\nfor n in range(3000):\n    print('line', n)\n{gate.wait}"
    path = site.write("tools", LOAD, cell)
    page = browser.new_page()
    notebook = Notebook(page, site.url(path.stem))
    notebook.run(0)
    notebook.finish(0)
    output = notebook.run(1)
    log = output.locator("div.zmnb-log")
    expect(log).to_contain_text("line 2999")
    expect(log).to_contain_text("lines are not shown here")
    assert log.locator(".zmnb-l").count() == 1000
    assert log.evaluate("each => each.scrollTop + each.clientHeight >= each.scrollHeight - 4")
    expect(output.get_by_role("button", name="Stop")).to_be_enabled()
    search = output.get_by_role("searchbox", name="Search the log")
    search.focus()
    page.keyboard.type("line 299")
    expect(output.locator(".zmnb-said")).to_have_text("10 lines")
    assert log.locator(".zmnb-l:visible").count() == 10
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(output.get_by_role("button", name="Times")).to_have_attribute("aria-pressed", "true")
    stamp = "each => getComputedStyle(each, '::before').content"
    assert log.locator(".zmnb-l:visible").first.evaluate(stamp).count(":") == 2
    download = output.get_by_role("button", name="Download")
    download.focus()
    with page.expect_download() as saved:
        page.keyboard.press("Enter")
    assert saved.value.suggested_filename == "tools-log.txt"
    assert Path(saved.value.path()).read_text() == "".join(f"line {n}\n" for n in range(3000))
    gate.open()
    expect(output.locator(".zmnb-state")).to_contain_text("done in")
    page.close()


@pytest.mark.slow
def test_the_log_follows_until_somebody_scrolls_and_can_be_copied(
    site: Site, browser: Browser, gate: Gate
) -> None:
    cell = f"%%modal_step --name followed\nfor n in range(500):\n    print('line', n)\n{gate.wait}\nprint('the last')"
    path = site.write("followed", LOAD, cell)
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    notebook = Notebook(page, site.url(path.stem))
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=site.address)
    notebook.run(0)
    notebook.finish(0)
    output = notebook.run(1)
    panel = output.get_by_role("group", name="Modal step followed")
    log = output.get_by_role("log", name="Log")
    expect(panel.get_by_role("status").filter(has_text="followed: running")).to_have_count(1)
    expect(log).to_contain_text("line 499")
    dot = "each => getComputedStyle(each, '::before').animationName"
    assert output.locator(".zmnb-state").evaluate(dot) == "none"
    page.emulate_media(reduced_motion="no-preference")
    assert output.locator(".zmnb-state").evaluate(dot) == "zmnb-breathe"
    follow = output.get_by_role("button", name="Follow")
    expect(follow).to_have_attribute("aria-pressed", "true")
    log.focus()
    page.keyboard.press("Home")
    expect(follow).to_have_attribute("aria-pressed", "false")
    top = "each => each.scrollTop < 50"
    page.wait_for_function(f"({top})(document.querySelector('div.zmnb-log'))")
    output.get_by_role("button", name="Copy").click()
    expect(output.locator(".zmnb-said")).to_have_text("copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == "\n".join(f"line {n}" for n in range(500))
    log.focus()
    page.keyboard.press("End")
    expect(follow).to_have_attribute("aria-pressed", "true")
    gate.open()
    expect(output.locator(".zmnb-state")).to_contain_text("done in")
    context.close()
