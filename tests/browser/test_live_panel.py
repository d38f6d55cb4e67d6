"""What somebody sees who runs cells in a browser: while they run, when they are stopped, and when they are over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from frontend import Gate
from jupyter_site import PATIENCE, Notebook, Site
from playwright.sync_api import Browser, expect

expect.set_options(timeout=PATIENCE)

LOAD = "%load_ext zenml_modal_nb\nfrom zenml.client import Client"


def journey(gate: Gate) -> str:
    return (
        "%%modal_step --name train --gpu A100 --gpu-count 2\n"
        "import sys\n"
        "for epoch in range(1, 4):\n"
        "    print(f'\\x1b[32mepoch {epoch}\\x1b[0m loss {1 / epoch:.3f}')\n"
        "print('careful', file=sys.stderr)\n"
        f"{gate.wait}\n"
        "import matplotlib.pyplot as plt\n"
        "plt.plot([3, 1, 2]); plt.show()\n"
        "print('after the plot')\n"
        "model = 42"
    )


@pytest.mark.parametrize("app", ["lab", pytest.param("notebook", marks=pytest.mark.slow)])
def test_the_log_grows_the_cost_ticks_and_all_of_it_is_there_after_a_reload(
    site: Site, browser: Browser, gate: Gate, pictures: Path, app: str
) -> None:
    path = site.write(f"journey-{app}", LOAD, journey(gate))
    page = browser.new_page(viewport={"width": 1100, "height": 900})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    notebook = Notebook(page, site.url(path.stem, app))
    notebook.run(0)
    notebook.finish(0)
    output = notebook.run(1)
    expect(output.locator(".zmnb-log")).to_contain_text("epoch 3 loss 0.333")
    expect(output.locator(".zmnb-f2").first).to_have_text("epoch 1")
    expect(output.locator(".zmnb-l.zmnb-err")).to_have_text("careful")
    expect(output.locator(".zmnb-name")).to_have_text("train")
    expect(output.locator(".zmnb-state")).to_contain_text("running 0:0")
    cost = output.locator(".zmnb-cost")
    expect(cost).to_contain_text("$")
    earlier = cost.inner_text()
    expect(cost).not_to_have_text(earlier)  # the job stands at the gate
    page.screenshot(path=pictures / f"{app}-light.png")
    if app == "lab":
        notebook.choose_theme("JupyterLab Dark")
        page.screenshot(path=pictures / "lab-dark.png")
        notebook.choose_theme("JupyterLab Light")
        page.set_viewport_size({"width": 480, "height": 900})
        output.locator(".zmnb-name").scroll_into_view_if_needed()
        page.screenshot(path=pictures / "lab-narrow.png")
        page.set_viewport_size({"width": 1100, "height": 900})
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
    notebook.save()
    page.screenshot(path=pictures / f"{app}-finished.png")
    saved = json.loads(path.read_text("utf-8"))["cells"][1]["outputs"]
    assert all("application/vnd.jupyter.widget-view+json" not in each["data"] for each in saved)
    notebook.open(site.url(path.stem, app))
    finished()
    assert errors == []
    page.close()


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
