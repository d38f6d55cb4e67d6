"""A JupyterLab that lacks what draws widgets, as one does whose environment is another than the kernel's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from frontend import Gate, Home
from jupyter_site import PATIENCE, Notebook, served
from playwright.sync_api import Browser, expect

expect.set_options(timeout=PATIENCE)

pytestmark = pytest.mark.slow  # tests/kernel/test_pages_without_widgets.py plays such a page

A_LOOK = 1500  # milliseconds between two cells of somebody who reads what stands there


@pytest.mark.parametrize("lacking", ["anywidget", "@jupyter-widgets/jupyterlab-manager"])
def test_the_first_run_is_shown_as_html_while_it_goes_on(
    browser: Browser, tmp_path: Path, gate: Gate, lacking: str
) -> None:
    home = Home(tmp_path)
    settings = home.path / ".jupyter" / "labconfig"
    settings.mkdir(parents=True)
    (settings / "page_config.json").write_text(json.dumps({"disabledExtensions": {lacking: True}}))
    with home.local_modal(), served(home) as site:
        load = "%load_ext zenml_modal_nb\nfrom zenml.client import Client"
        run = f"%%modal_step --name plain\nprint('printed')\n{gate.wait}"
        path = site.write("plain", load, run, "%modal_pick --gpu L4")
        page = browser.new_page()
        notebook = Notebook(page, site.url(path.stem))
        notebook.run(0)
        notebook.finish(0)
        page.wait_for_timeout(A_LOOK)
        output = notebook.run(1)
        expect(output.locator(".zmnb-state")).to_contain_text("running")
        expect(output).to_contain_text("printed")
        expect(output).to_contain_text("pip install anywidget")
        expect(output.locator(".zmnb-cost")).to_contain_text("$")
        assert "error" not in output.inner_text().lower()
        gate.open()
        expect(output.locator(".zmnb-state")).to_contain_text("done in")
        assert "error" not in output.inner_text().lower()
        picker = notebook.run(2)
        expect(picker).to_contain_text("Chosen: %%modal_step --gpu L4")
        assert "error" not in picker.inner_text().lower()
        page.close()
