"""A kernel with the oldest ipykernel that is allowed: it has no subshells, so a page's messages wait for the cell."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from frontend import Gate
from jupyter_site import PATIENCE, Notebook, Site
from packaging.requirements import Requirement
from playwright.sync_api import Browser, expect

expect.set_options(timeout=PATIENCE)

pytestmark = pytest.mark.slow

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
LOAD = "%load_ext zenml_modal_nb\nfrom zenml.client import Client\nimport ipykernel\nipykernel.__version__"


@pytest.fixture(scope="module")
def oldest(site: Site, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The version of ipykernel that the user's kernel `oldest` has, beside all else that is installed here."""
    declared = map(Requirement, tomllib.loads(PYPROJECT.read_text("utf-8"))["project"]["dependencies"])
    (version,) = (next(iter(each.specifier)).version for each in declared if each.name == "ipykernel")
    folder = tmp_path_factory.mktemp("ipykernel")
    install = [Path(sys.executable).with_name("uv"), "pip", "install", "--quiet", "--python", sys.executable]
    # Version 6 alone needs the second.
    wanted = ["--no-deps", "--target", folder, f"ipykernel=={version}", "nest-asyncio"]
    subprocess.run([*install, *wanted], check=True)
    kernel = site.home.path / ".local/share/jupyter/kernels/oldest"
    kernel.mkdir(parents=True)
    spec = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Oldest",
        "language": "python",
        "env": {"PYTHONPATH": str(folder)},
    }
    (kernel / "kernel.json").write_text(json.dumps(spec))
    return version


def test_the_panel_is_live_says_how_to_stop_and_saves_what_it_shows(
    site: Site, browser: Browser, gate: Gate, oldest: str
) -> None:
    lines = "for n in range(20):\n    print('line', n)"
    path = site.write(
        "oldest", LOAD, f"%%modal_step --name old\n{lines}\n{gate.wait}\nold = 7", kernel="oldest"
    )
    page = browser.new_page(viewport={"width": 1100, "height": 900})
    notebook = Notebook(page, site.url(path.stem))
    expect(notebook.run(0)).to_contain_text(oldest)
    notebook.finish(0)
    output = notebook.run(1)
    expect(output.locator("div.zmnb-log")).to_contain_text("line 19")
    stop = output.locator(".zmnb-stop")
    expect(stop).to_contain_text("interrupt the kernel")
    expect(stop).to_be_disabled()
    cost = output.locator(".zmnb-cost")
    expect(cost).not_to_have_text(cost.inner_text())
    with page.expect_download() as saved:
        output.get_by_role("button", name="Download").click()
    assert Path(saved.value.path()).read_text() == "\n".join(f"line {n}" for n in range(20))
    expect(output.locator(".zmnb-said")).to_contain_text("saved what is shown; the whole log is")
    page.get_by_role("button", name=re.compile("Interrupt")).first.click()
    expect(output.locator(".zmnb-state")).to_contain_text("stopped by the user")
    expect(output.locator("pre.zmnb-log")).to_contain_text("line 19")
    notebook.finish(1)
    output = notebook.run(1)
    expect(output.locator("div.zmnb-log")).to_contain_text("line 19")
    gate.open()
    expect(output.locator(".zmnb-state")).to_contain_text("done in")
    expect(output).to_contain_text("outputs old")
    page.close()


def test_the_picker_inserts_what_was_typed_last(site: Site, browser: Browser, oldest: str) -> None:
    path = site.write("oldest-picker", LOAD, "%modal_pick --gpu L4", kernel="oldest")
    page = browser.new_page(viewport={"width": 1100, "height": 1000})
    notebook = Notebook(page, site.url(path.stem))
    expect(notebook.run(0)).to_contain_text(oldest)
    notebook.finish(0)
    form = notebook.run(1).locator(".zmnb-picker")
    form.get_by_label("Time limit", exact=True).click()
    page.keyboard.type("5h")
    form.get_by_role("button", name="Insert magic line").click()
    expect(notebook.cell(2).locator(".cm-content")).to_contain_text("%%modal_step --gpu L4 --timeout 5h")
    page.close()


def test_a_button_of_the_picker_waits_for_a_kernel_that_runs_a_cell(
    site: Site, browser: Browser, gate: Gate, oldest: str
) -> None:
    path = site.write("oldest-busy", LOAD, "%modal_pick", gate.wait, kernel="oldest")
    page = browser.new_page(viewport={"width": 1100, "height": 1000})
    notebook = Notebook(page, site.url(path.stem))
    notebook.run(0)
    notebook.finish(0)
    form = notebook.run(1).locator(".zmnb-picker")
    expect(form.locator(".zmnb-line")).to_have_text("%%modal_step")
    notebook.run(2)
    form.get_by_label("Time limit", exact=True).fill("9m")
    form.get_by_role("button", name="Insert magic line").click()
    expect(form.locator(".zmnb-done-text")).to_contain_text("Waiting for the kernel")
    assert page.locator(".jp-Notebook .jp-CodeCell").count() == 3
    gate.open()
    expect(form.locator(".zmnb-done-text")).to_contain_text("Inserted below this cell.")
    expect(notebook.cell(2).locator(".cm-content")).to_contain_text("%%modal_step --timeout 9m")
    page.close()
