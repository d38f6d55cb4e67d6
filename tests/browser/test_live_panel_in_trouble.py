"""What a panel says when nobody answers: a kernel that was restarted or hangs."""

from __future__ import annotations

import os
import signal

import pytest
from frontend import Gate
from jupyter_site import PATIENCE, Notebook, Site
from playwright.sync_api import Browser, expect

expect.set_options(timeout=PATIENCE)
pytestmark = pytest.mark.slow

LOAD = "%load_ext zenml_modal_nb\nfrom zenml.client import Client\nimport os; print(os.getpid())"


def test_a_panel_whose_kernel_was_restarted_says_so_and_its_clock_stands(
    site: Site, browser: Browser, gate: Gate
) -> None:
    path = site.write("restarted", LOAD, f"%%modal_step --name gone\nprint('waits')\n{gate.wait}")
    page = browser.new_page()
    notebook = Notebook(page, site.url(path.stem))
    notebook.run(0)
    notebook.finish(0)
    output = notebook.run(1)
    expect(output.locator("div.zmnb-log")).to_contain_text("waits")
    stop = output.locator(".zmnb-stop")
    expect(stop).to_be_enabled()
    page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    state = output.locator(".zmnb-state")
    expect(state).to_contain_text("no word from the kernel since")
    expect(stop).to_be_disabled()
    said = state.inner_text()
    page.wait_for_function(
        "began => performance.now() > began + 2000", arg=page.evaluate("performance.now()")
    )
    assert state.inner_text() == said
    page.close()


def test_stop_says_what_to_do_where_nobody_hears_it_and_silence_ends_with_the_next_word(
    site: Site, browser: Browser, gate: Gate
) -> None:
    path = site.write("hangs", LOAD, f"%%modal_step --name hangs\nprint('waits')\n{gate.wait}")
    page = browser.new_page()
    notebook = Notebook(page, site.url(path.stem))
    notebook.run(0)
    notebook.finish(0)
    kernel = int(notebook.cell(0).locator(".jp-OutputArea-output").inner_text())
    output = notebook.run(1)
    expect(output.locator("div.zmnb-log")).to_contain_text("waits")
    stop = output.locator(".zmnb-stop")
    expect(stop).to_be_enabled()
    os.kill(kernel, signal.SIGSTOP)
    try:
        stop.click()
        expect(stop).to_have_text("Stopping …")
        expect(stop).to_have_text("To stop, interrupt the kernel (■)")
        expect(output.locator(".zmnb-state")).to_contain_text("no word from the kernel since")
    finally:
        os.kill(kernel, signal.SIGCONT)
    expect(output.locator(".zmnb-state")).to_contain_text("stopped by the user")
    notebook.finish(1)
    page.close()
