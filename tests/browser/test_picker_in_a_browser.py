"""What somebody does who chooses by sight, by mouse and by keys: picks, puts the line into a cell, runs it.

The fast part of this proof is tests/kernel/test_picker.py, which plays the page.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from frontend import Gate
from jupyter_site import Notebook, Site
from playwright.sync_api import Browser, Locator, expect

pytestmark = pytest.mark.slow

LOAD = "%load_ext zenml_modal_nb\nfrom zenml.client import Client"
LINE = "%%modal_step --gpu A100-40GB --gpu-count 2"


def pick_two(form: Locator) -> None:
    form.get_by_label("A100-40GB · 40 GiB").check()
    form.get_by_label("GPUs").select_option("2")
    expect(form.locator(".zmnb-line")).to_have_text(LINE)


@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_the_line_is_put_into_a_new_cell_which_runs(
    site: Site, browser: Browser, pictures: Path, app: str
) -> None:
    path = site.write(f"picking-{app}", LOAD, "%modal_pick")
    page = browser.new_page(viewport={"width": 1100, "height": 900})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    notebook = Notebook(page, site.url(path.stem, app))
    notebook.run(0)
    notebook.finish(0)
    errors.clear()  # the front end's own, while it started
    form = notebook.run(1).locator(".zmnb-picker")
    pick_two(form)
    expect(form.locator(".zmnb-price")).to_contain_text("at most $4.58")
    page.screenshot(path=pictures / f"picker-{app}.png")
    form.get_by_role("button", name="Insert magic line").click()
    expect(form.locator(".zmnb-done-text")).to_have_text("Inserted below this cell.")
    made = notebook.cell(2).locator(".cm-content")
    expect(made).to_contain_text(LINE)
    made.click()
    page.keyboard.press("Control+End")
    page.keyboard.type("6 * 7")
    output = notebook.run(2)
    notebook.finish(2)
    expect(output).to_contain_text("2 × A100-40GB")
    expect(output).to_contain_text("42")
    assert errors == []
    page.close()


@pytest.mark.parametrize(
    ("field", "typed", "option"),
    [
        ("Time limit", "5h", "--timeout 5h"),
        ("Region", "us-east", "--region us-east"),  # a row of the price comes with it, and moves the button
    ],
)
@pytest.mark.parametrize("held", [0, 120])
def test_what_was_typed_last_is_on_the_line_that_is_inserted_at_once(
    site: Site, browser: Browser, field: str, typed: str, option: str, held: int
) -> None:
    path = site.write(f"at-once-{typed}-{held}", LOAD, "%modal_pick --gpu H100")
    page = browser.new_page(viewport={"width": 1100, "height": 1000})
    notebook = Notebook(page, site.url(path.stem))
    notebook.run(0)
    notebook.finish(0)
    form = notebook.run(1).locator(".zmnb-picker")
    expect(form.locator(".zmnb-line")).to_have_text("%%modal_step --gpu H100")
    button = form.get_by_role("button", name="Insert magic line")
    button.scroll_into_view_if_needed()
    form.get_by_label(field, exact=True).click()
    page.keyboard.type(typed)
    box = button.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 20, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.wait_for_timeout(held)  # as long as a finger stays down
    page.mouse.up()
    expect(form.locator(".zmnb-done-text")).to_have_text("Inserted below this cell.")
    expect(notebook.cell(2).locator(".cm-content")).to_contain_text(f"%%modal_step --gpu H100 {option}")
    expect(form.locator(".zmnb-line")).to_have_text(f"%%modal_step --gpu H100 {option}")
    assert page.locator(".jp-Notebook .jp-CodeCell").count() == 3
    page.close()


def test_a_double_click_inserts_one_cell_and_moves_no_button(
    site: Site, browser: Browser, pictures: Path, gate: Gate
) -> None:
    path = site.write(
        "twice",
        LOAD,
        "%modal_pick --gpu H100",
        gate.wait,
    )
    page = browser.new_page(viewport={"width": 1100, "height": 1000})
    notebook = Notebook(page, site.url(path.stem))
    notebook.run(0)
    notebook.finish(0)
    form = notebook.run(1).locator(".zmnb-picker")
    expect(form.get_by_role("radiogroup", name="GPU", exact=True)).to_be_visible()
    insert = form.get_by_role("button", name="Insert magic line")
    default = form.get_by_role("button", name="Use as default")
    default.scroll_into_view_if_needed()
    before = default.bounding_box()
    insert.dblclick()
    expect(form.locator(".zmnb-done-text")).to_have_text("Inserted below this cell.")
    assert default.bounding_box() == before
    own = insert.bounding_box()
    assert own is not None
    assert before is not None
    assert own["y"] == before["y"]
    assert page.locator(".jp-Notebook .jp-CodeCell").count() == 4
    # Pressed again and again while the kernel is busy, which is also when somebody does.
    notebook.run(3)
    form.get_by_label("T4 · 16 GiB").check()
    insert.click()
    expect(form.locator(".zmnb-done-text")).to_contain_text("Waiting for the kernel")
    insert.click()
    gate.open()
    expect(form.locator(".zmnb-done-text")).to_have_text("Inserted below this cell.")
    notebook.finish(4)
    expect(notebook.cell(2).locator(".cm-content")).to_contain_text("--gpu T4")
    assert page.locator(".jp-Notebook .jp-CodeCell").count() == 5
    page.screenshot(path=pictures / "picker-inserted.png")
    page.close()


def test_a_mistake_that_is_mended_can_be_inserted_at_once(site: Site, browser: Browser) -> None:
    path = site.write("mended", LOAD, "%modal_pick")
    page = browser.new_page(viewport={"width": 1100, "height": 1000})
    notebook = Notebook(page, site.url(path.stem))
    notebook.run(0)
    notebook.finish(0)
    form = notebook.run(1).locator(".zmnb-picker")
    memory = form.get_by_label("Memory", exact=True)
    memory.fill("much")
    memory.press("Tab")
    insert = form.get_by_role("button", name="Insert magic line")
    expect(insert).to_be_disabled()
    insert.click(force=True)
    expect(form.locator(".zmnb-done-text")).to_contain_text("something above has to change first")
    memory.fill("8GiB")
    insert.click(force=True)
    expect(form.locator(".zmnb-done-text")).to_have_text("Inserted below this cell.")
    expect(notebook.cell(2).locator(".cm-content")).to_contain_text("%%modal_step --memory 8GiB")
    page.close()


def test_the_line_is_copied_also_where_the_browser_grants_no_clipboard(site: Site, browser: Browser) -> None:
    path = site.write("copied", LOAD, "%modal_pick --gpu L4", "")
    context = browser.new_context()
    page = context.new_page()
    notebook = Notebook(page, site.url(path.stem))
    context.grant_permissions(["geolocation"], origin=site.address)  # this and nothing else
    state = "navigator.permissions.query({ name: 'clipboard-write' }).then((each) => each.state)"
    assert page.evaluate(state) == "denied"
    notebook.run(0)
    notebook.finish(0)
    form = notebook.run(1).locator(".zmnb-picker")
    form.get_by_role("button", name="Copy").click()
    expect(form.locator(".zmnb-done-text")).to_have_text("Copied: paste it on top of a cell.")
    notebook.cell(2).locator(".cm-content").click()
    page.keyboard.press("Control+v")
    expect(notebook.cell(2).locator(".cm-content")).to_have_text("%%modal_step --gpu L4")
    context.close()


def test_where_no_widget_may_add_a_cell_the_line_is_copied(site: Site, browser: Browser) -> None:
    path = site.write("beside-a-console", "1")
    context = browser.new_context()
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=site.address)
    page = context.new_page()
    Notebook(page, site.url(path.stem))
    page.evaluate("jupyterapp.commands.execute('console:create', { kernelPreference: { name: 'python3' } })")
    prompt = page.locator(".jp-CodeConsole-promptCell .cm-content")
    for cell in ("%load_ext zenml_modal_nb", "%modal_pick --gpu L4"):
        prompt.click()
        page.keyboard.insert_text(cell)
        page.keyboard.press("Shift+Enter")
    form = page.locator(".jp-CodeConsole .zmnb-picker")
    form.get_by_label("T4 · 16 GiB").check()
    form.get_by_role("button", name="Insert magic line").click()
    expect(form.locator(".zmnb-done-text")).to_contain_text("lets no widget add a cell, so paste the line")
    assert page.evaluate("navigator.clipboard.readText()") == "%%modal_step --gpu T4"
    context.close()


def test_a_waiting_cell_gets_the_line_that_keys_have_chosen(
    site: Site, browser: Browser, pictures: Path
) -> None:
    path = site.write("waiting", LOAD, "%%modal_pick\npicked = 6 * 7\npicked")
    page = browser.new_page(viewport={"width": 520, "height": 1200}, color_scheme="dark")
    notebook = Notebook(page, site.url(path.stem, "notebook"))
    notebook.run(0)
    notebook.finish(0)
    form = notebook.run(1).locator(".zmnb-picker")
    form.get_by_label("T4 · 16 GiB").focus()
    page.keyboard.press("ArrowDown")  # which in a notebook would go to the next cell
    expect(form.get_by_label("L4 · 24 GiB")).to_be_checked()
    expect(form.locator(".zmnb-line")).to_have_text("%%modal_step --gpu L4")
    page.screenshot(path=pictures / "picker-narrow.png")
    form.get_by_role("button", name="Run this cell with it").press("Enter")
    expect(form.locator(".zmnb-done-text")).to_contain_text("Press Shift+Enter")
    expect(notebook.cell(1).locator(".cm-content")).to_contain_text("%%modal_step --gpu L4")
    expect(notebook.cell(1).locator(".cm-content")).to_be_focused()
    page.keyboard.press("Shift+Enter")
    expect(notebook.cell(1).locator(".jp-Cell-outputArea")).to_contain_text("42")
    page.close()


@pytest.mark.parametrize("way", ["mouse", "Space"])
def test_shift_enter_runs_the_cell_that_has_got_its_line(site: Site, browser: Browser, way: str) -> None:
    path = site.write(f"then-shift-enter-{way}", LOAD, "%%modal_pick --gpu T4\npicked = 6 * 7\npicked")
    page = browser.new_page()
    notebook = Notebook(page, site.url(path.stem))
    notebook.run(0)
    notebook.finish(0)
    button = notebook.run(1).get_by_role("button", name="Run this cell with it")
    if way == "mouse":
        button.click()
    else:
        button.press(way)
    expect(notebook.cell(1).locator(".cm-content")).to_be_focused()
    page.keyboard.press("Shift+Enter")
    output = notebook.cell(1).locator(".jp-Cell-outputArea")
    expect(output).to_contain_text("42")
    expect(output).to_contain_text("T4")
    expect(notebook.cell(1).locator(".cm-content")).to_have_text("%%modal_step --gpu T4picked = 6 * 7picked")
    page.close()


def test_a_cell_that_waits_to_be_executed_again_goes_on_saying_so_while_the_choice_changes(
    site: Site, browser: Browser
) -> None:
    path = site.write("armed", LOAD, "%%modal_pick\npicked = 6 * 7\npicked")
    page = browser.new_page()
    notebook = Notebook(page, site.url(path.stem))
    notebook.run(0)
    notebook.finish(0)
    form = notebook.run(1).locator(".zmnb-picker")
    form.get_by_label("T4 · 16 GiB").check()
    notebook.cell(1).locator(".cm-content").click()
    page.keyboard.press("Control+Home")
    page.keyboard.type("# ")  # the picker finds its own line no more, and cannot write the other in its place
    form.get_by_role("button", name="Run this cell with it").click()
    told = form.locator(".zmnb-done-text")
    expect(told).to_contain_text("Execute this cell once more")
    form.get_by_label("L4 · 24 GiB").check()
    expect(form.locator(".zmnb-line")).to_have_text("%%modal_step --gpu L4")
    expect(told).to_contain_text("Execute this cell once more")
    notebook.cell(1).locator(".cm-content").click()
    page.keyboard.press("Control+Home")
    for _ in "# ":
        page.keyboard.press("Delete")
    output = notebook.run(1)
    notebook.finish(1)
    expect(output).to_contain_text("L4")
    expect(output).to_contain_text("42")
    page.close()
