"""What somebody does with a log that grows: scroll, search, copy, read it by keyboard, and go on when it has ended."""

from __future__ import annotations

import json
import re

import pytest
from frontend import Gate
from jupyter_site import PATIENCE, Notebook, Site
from playwright.sync_api import Browser, Locator, Page, expect

expect.set_options(timeout=PATIENCE)
pytestmark = pytest.mark.slow

LOAD = "%load_ext zenml_modal_nb\nfrom zenml.client import Client"
FOCUSED = "each => document.activeElement === each"
ACTIVE = "jupyterapp.shell.currentWidget.content.activeCellIndex"


def begun(page: Page, site: Site, name: str, cell: str) -> tuple[Notebook, Locator]:
    """A notebook whose second cell runs."""
    path = site.write(name, LOAD, cell, "print('below')")
    notebook = Notebook(page, site.url(path.stem))
    notebook.run(0)
    notebook.finish(0)
    return notebook, notebook.run(1)


def lines_told(log: Locator) -> int:
    """How many lines a log shows or says that it does not show."""
    gaps = log.locator(".zmnb-gap").all_inner_texts()
    told = [
        int(found[1].replace(",", "")) for found in map(re.compile(r"([\d,]+) line").search, gaps) if found
    ]
    return sum(told) + log.locator(".zmnb-l").count()


def test_what_a_page_does_not_show_of_a_flood_is_counted_to_the_line(
    site: Site, browser: Browser, gate: Gate
) -> None:
    cell = f"%%modal_step\nfor n in range(200_000):\n    print('line', n, 'x' * 50)\n{gate.wait}"
    page = browser.new_page()
    _, output = begun(page, site, "counted", cell)
    log = output.locator("div.zmnb-log")
    expect(log).to_contain_text("line 199999")
    assert lines_told(log) == 200_000
    assert log.locator(".zmnb-l").first.inner_text().startswith("line 0 ")
    gate.open()
    finished = output.locator("pre.zmnb-log")
    expect(finished).to_contain_text("[… 199,000 lines are not shown here; the whole log is in ZenML …]")
    page.close()


def test_a_long_line_is_not_cut_in_a_colour_sequence(site: Site, browser: Browser, gate: Gate) -> None:
    cell = (
        "%%modal_step\nfor cut in range(12):\n"
        f"    print('a' * 50 + '\\x1b[38;5;208m' + 'b' * (2000 - cut))\nprint('all')\n{gate.wait}"
    )
    page = browser.new_page()
    _, output = begun(page, site, "cut", cell)
    log = output.locator("div.zmnb-log")
    expect(log).to_contain_text("all")
    *long, _ = log.locator(".zmnb-l").all_text_contents()
    assert [line.strip("ab") for line in long] == [""] * 12
    gate.open()
    expect(output.locator(".zmnb-state")).to_contain_text("done in")
    page.close()


def test_arrow_keys_move_in_the_log_and_not_through_the_notebook(
    site: Site, browser: Browser, gate: Gate
) -> None:
    cell = f"%%modal_step\nfor n in range(500):\n    print('line', n)\n{gate.wait}"
    page = browser.new_page()
    _, output = begun(page, site, "arrows", cell)
    for log in (output.get_by_role("log", name="Log"), output.get_by_role("region", name="Log")):
        expect(log).to_contain_text("line 499")
        log.focus()
        active = page.evaluate(ACTIVE)
        there = log.evaluate("each => each.scrollTop")
        page.keyboard.press("ArrowUp")
        page.wait_for_function(
            "([top]) => document.activeElement.scrollTop < top", arg=[there], polling="raf"
        )
        above = log.evaluate("each => each.scrollTop")
        page.keyboard.press("ArrowDown")
        page.wait_for_function(
            "([top]) => document.activeElement.scrollTop > top", arg=[above], polling="raf"
        )
        assert page.evaluate(ACTIVE) == active
        assert log.evaluate(FOCUSED)
        if log.get_attribute("role") == "log":
            gate.open()
            expect(output.locator(".zmnb-state")).to_contain_text("done in")
    page.close()


@pytest.mark.parametrize("by", ["finger", "scrollbar"])
def test_a_log_that_is_scrolled_up_stays_there_while_lines_come(
    site: Site, browser: Browser, gate: Gate, by: str
) -> None:
    cell = (
        f"%%modal_step\nimport time\nfor n in range(300):\n    print('line', n)\n{gate.wait}\n"
        f"for n in range(60):\n    print('more', n)\n    time.sleep(0.05)\n{gate.wait}"
    )
    context = browser.new_context(has_touch=True, viewport={"width": 1100, "height": 900})
    page = context.new_page()
    _, output = begun(page, site, f"scrolled-{by}", cell)
    log = output.locator("div.zmnb-log")
    follow = output.get_by_role("button", name="Follow")
    expect(log).to_contain_text("line 299")
    log.scroll_into_view_if_needed()
    gate.open()
    expect(log).to_contain_text("more 3")
    expect(follow).to_have_attribute("aria-pressed", "true")
    box = log.bounding_box()
    assert box is not None
    if by == "finger":
        session = context.new_cdp_session(page)
        for moved in range(0, 400, 20):
            points = [{"x": box["x"] + 100, "y": box["y"] + 40 + moved}]
            kind = "touchMove" if moved else "touchStart"
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    else:  # which a browser without a screen does not have: what reaches the page is the same
        log.evaluate("each => { each.scrollTop -= 300; }")
    expect(follow).to_have_attribute("aria-pressed", "false")
    expect(log).to_contain_text("more 59")
    away = "each => each.scrollHeight - each.clientHeight - each.scrollTop"
    assert log.evaluate(away) > 250
    follow.click()
    page.wait_for_function(f"({away})(document.querySelector('div.zmnb-log')) < 4")
    gate.open()
    expect(output.locator(".zmnb-state")).to_contain_text("done in")
    context.close()


def test_one_notch_of_the_wheel_leaves_the_end_and_the_end_key_goes_back_while_lines_come(
    site: Site, browser: Browser, gate: Gate
) -> None:
    cell = (
        f"%%modal_step\nimport os, time\nfor n in range(300):\n    print('line', n)\n{gate.wait}\n"
        f"n = 0\nwhile not os.path.exists({str(gate.path.with_suffix('.end'))!r}):\n"
        "    print('more', n)\n    n += 1\n    time.sleep(0.02)"
    )
    page = browser.new_page()
    _, output = begun(page, site, "wheel", cell)
    log = output.locator("div.zmnb-log")
    follow = output.get_by_role("button", name="Follow")
    expect(log).to_contain_text("line 299")
    gate.open()
    expect(log).to_contain_text("more 3")
    log.hover()
    away = "each => each.scrollHeight - each.clientHeight - each.scrollTop"
    for _ in range(5):
        expect(follow).to_have_attribute("aria-pressed", "true")
        page.mouse.wheel(0, -100)
        expect(follow).to_have_attribute("aria-pressed", "false")
        # Three more lines, which is when a view that snaps back has done so.
        last = log.locator(".zmnb-l").last.inner_text()
        seen = int(last.split()[1])
        expect(log).to_contain_text(f"more {seen + 20}")
        assert follow.get_attribute("aria-pressed") == "false"
        assert log.evaluate(away) > 100
        log.focus()
        page.keyboard.press("End")
        expect(follow).to_have_attribute("aria-pressed", "true")
        page.wait_for_function(f"({away})(document.querySelector('div.zmnb-log')) < 40")
    gate.path.with_suffix(".end").touch()
    expect(output.locator(".zmnb-state")).to_contain_text("done in")
    page.close()


def test_what_is_copied_is_what_the_search_shows_and_its_count_grows_with_the_log(
    site: Site, browser: Browser, gate: Gate
) -> None:
    cell = f"%%modal_step\nfor n in range(200):\n    print('line', n)\n{gate.wait}\nprint('line 14 again')\n{gate.wait}"
    context = browser.new_context()
    page = context.new_page()
    _, output = begun(page, site, "copied", cell)
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=site.address)
    expect(output.locator("div.zmnb-log")).to_contain_text("line 199")
    output.get_by_role("searchbox").fill("line 14")
    said = output.locator(".zmnb-said")
    expect(said).to_have_text("11 lines")
    gate.open()
    expect(said).to_have_text("12 lines")
    output.get_by_role("button", name="Copy").click()
    expect(said).to_have_text("copied")
    wanted = ["line 14", *[f"line {n}" for n in range(140, 150)], "line 14 again"]
    assert page.evaluate("navigator.clipboard.readText()").split("\n") == wanted
    gate.open()
    expect(output.locator(".zmnb-state")).to_contain_text("done in")
    context.close()


LISTEN = """() => {
    window.said = [];
    new MutationObserver((all) => {
        for (const { target } of all) {
            const status = (target.nodeType === 3 ? target.parentNode : target)?.closest?.("[role=status]");
            if (status?.isConnected && status.textContent) window.said.push(status.textContent);
        }
    }).observe(document.body, { subtree: true, childList: true, characterData: true });
}"""


@pytest.mark.parametrize("place", ["searchbox", "log"])
def test_the_end_is_said_and_who_was_in_the_panel_stands_at_the_end_of_the_log(
    site: Site, browser: Browser, gate: Gate, place: str
) -> None:
    cell = f"%%modal_step --name heard\nfor n in range(500):\n    print('line', n)\n{gate.wait}"
    page = browser.new_page()
    notebook, output = begun(page, site, f"heard-{place}", cell)
    expect(output.locator("div.zmnb-log")).to_contain_text("line 499")
    page.evaluate(LISTEN)
    output.get_by_role("searchbox" if place == "searchbox" else "log").focus()
    gate.open()
    notebook.finish(1)
    finished = output.get_by_role("region", name="Log")
    expect(finished).to_be_focused()
    page.wait_for_function("window.said.some((each) => each.startsWith('heard: done in'))")
    below = "each => each.getBoundingClientRect().bottom - each.firstChild.getBoundingClientRect().bottom"
    assert 0 <= finished.evaluate(below) < 20
    assert output.get_by_role("log").count() == 0
    page.close()


def test_nobody_loses_the_focus_when_a_run_ends_that_has_nothing_of_theirs(
    site: Site, browser: Browser, gate: Gate
) -> None:
    cell = f"%%modal_step\nprint('line')\n{gate.wait}"
    page = browser.new_page()
    notebook, output = begun(page, site, "elsewhere", cell)
    expect(output.locator("div.zmnb-log")).to_contain_text("line")
    editor = notebook.cell(2).locator(".cm-content")
    editor.click()
    gate.open()
    notebook.finish(1)
    expect(output.locator("pre.zmnb-log")).to_have_text("line")
    expect(editor).to_be_focused()
    page.close()


@pytest.mark.parametrize("shown", ["print('epoch', n)", "print('epoch', n)\n    display(n)"])
def test_who_searches_a_log_that_its_cell_clears_goes_on_typing(
    site: Site, browser: Browser, gate: Gate, shown: str
) -> None:
    cell = (
        "%%modal_step\nfrom IPython.display import clear_output\nimport time\n"
        f"def show(n):\n    clear_output(wait=True)\n    {shown}\n"
        f"show(0)\n{gate.wait}\n"
        f"for n in range(1, 40):\n    show(n)\n    time.sleep(0.05)\n{gate.wait}"
    )
    page = browser.new_page()
    page.add_init_script(
        "const make = URL.createObjectURL; window.made = 0;"
        "URL.createObjectURL = (each) => (window.made++, make(each));"
    )
    _, output = begun(page, site, f"clears-{'display' in shown}", cell)
    expect(output.locator("div.zmnb-log")).to_contain_text("epoch 0")
    stop = output.get_by_role("button", name="Stop")
    expect(stop).to_be_enabled()
    before = page.evaluate("window.made")
    search = output.get_by_role("searchbox")
    search.focus()
    page.keyboard.type("epo")
    gate.open()
    expect(output.locator("div.zmnb-log")).to_contain_text("epoch 39")
    expect(search).to_be_focused()
    page.keyboard.type("ch")
    assert search.input_value() == "epoch"
    expect(stop).to_be_enabled()
    assert output.locator("div.zmnb-log .zmnb-l").all_inner_texts() == ["epoch 39"]
    assert page.evaluate("window.made") - before <= 1
    gate.open()
    expect(output.locator(".zmnb-state")).to_contain_text("done in")
    page.close()


def test_a_page_keeps_nothing_of_runs_whose_outputs_are_gone(site: Site, browser: Browser) -> None:
    page = browser.new_page()
    notebook, output = begun(
        page, site, "kept", "%%modal_step\nfor n in range(300):\n    print('KE' + 'PT', n)"
    )
    expect(output.locator("pre.zmnb-log")).to_contain_text("KEPT 299")
    assert page.evaluate("globalThis.zenmlModalNb.size") == 0
    notebook.finish(1)
    page.evaluate("jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    expect(output.locator("pre.zmnb-log")).to_have_count(0)
    session = page.context.new_cdp_session(page)
    chunks: list[str] = []
    session.on("HeapProfiler.addHeapSnapshotChunk", lambda event: chunks.append(event["chunk"]))
    session.send("HeapProfiler.enable")
    session.send("HeapProfiler.collectGarbage")
    session.send("HeapProfiler.takeHeapSnapshot", {"reportProgress": False})
    # Of lines: what the front end itself keeps of outputs, e.g. to undo, is one string.
    assert [each for each in json.loads("".join(chunks))["strings"] if re.fullmatch(r"KEPT \d+", each)] == []
    page.close()
