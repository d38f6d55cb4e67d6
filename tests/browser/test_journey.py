"""All of it in one go, as a user does it: load, pick, insert, run, watch, stop, run again, plot, save, come back."""

from __future__ import annotations

import pytest
from frontend import Gate
from jupyter_site import PATIENCE, Notebook, Site
from playwright.sync_api import Browser, expect

expect.set_options(timeout=PATIENCE)

pytestmark = pytest.mark.slow  # its parts are in the other files here


@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_from_the_picker_to_the_notebook_that_is_opened_again(
    site: Site, browser: Browser, gate: Gate, app: str
) -> None:
    load = f"%load_ext zenml_modal_nb\nfrom zenml.client import Client\ngate = {str(gate.path)!r}"
    path = site.write(f"whole-{app}", load, "%modal_pick")
    page = browser.new_page(viewport={"width": 1100, "height": 900})
    notebook = Notebook(page, site.url(path.stem, app))
    notebook.run(0)
    notebook.finish(0)
    form = notebook.run(1).locator(".zmnb-picker")
    form.get_by_label("A100-40GB · 40 GiB").check()
    form.get_by_label("GPUs").select_option("2")
    expect(form.locator(".zmnb-line")).to_have_text("%%modal_step --gpu A100-40GB --gpu-count 2")
    form.get_by_role("button", name="Insert magic line").click()
    notebook.cell(2).locator(".cm-content").click()
    page.keyboard.press("Control+End")
    for line in (
        "import matplotlib.pyplot as plt",
        "print('begun')",
        "open(gate).close()",
        "plt.plot([3, 1, 2]); plt.show()",
        "model = 42",
    ):
        page.keyboard.insert_text(f"{line}\n")

    output = notebook.run(2)
    expect(output.locator("div.zmnb-log")).to_contain_text("begun")
    cost = output.locator(".zmnb-cost")
    expect(cost).to_contain_text("$")
    expect(cost).not_to_have_text(cost.inner_text())  # the job stands at the gate
    output.get_by_role("button", name="Stop").click()
    expect(output.locator(".zmnb-state")).to_contain_text("stopped by the user")
    notebook.finish(2)

    output = notebook.run(2)
    expect(output.locator("div.zmnb-log")).to_contain_text("begun")
    gate.open()
    expect(output.locator(".zmnb-state")).to_contain_text("done in")
    expect(output.locator("img[src^='data:image/png']")).to_be_visible()
    notebook.save()
    notebook.open(site.url(path.stem, app))
    output = notebook.cell(2).locator(".jp-Cell-outputArea")
    expect(output.locator(".zmnb-state")).to_contain_text("done in")
    expect(output).to_contain_text("2 × A100-40GB")
    expect(output.locator("pre.zmnb-log")).to_contain_text("begun")
    expect(output.locator("img[src^='data:image/png']")).to_be_visible()
    page.close()
