"""A real JupyterLab (and Notebook 7, which the same server has) in a real Chromium, as its user sees it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nbformat
from frontend import Home
from playwright.sync_api import Browser, Locator, Page, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
MISSING = (
    f"{CHROMIUM} is missing: install it with `apt-get install chromium` (.ci/run does so where it may), "
    "the browser tests drive the system's own."
)
PATIENCE = 120_000  # milliseconds
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_ADDRESS = re.compile(r"(http://127\.0\.0\.1:\d+)/lab\?token=(\w+)")


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), headless=True, args=list(_ARGUMENTS)
        )
        try:
            yield browser
        finally:
            browser.close()


@dataclass(frozen=True)
class Site:
    """A running server of a user."""

    home: Home
    address: str
    token: str

    def write(self, name: str, *cells: str, kernel: str = "python3") -> Path:
        """Put a notebook into the user's folder."""
        path = self.home.path / "work" / f"{name}.ipynb"
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
            metadata={"kernelspec": {"name": kernel, "display_name": "Python 3", "language": "python"}},
        )
        nbformat.write(notebook, path)
        return path

    def url(self, name: str, app: str = "lab") -> str:
        place = {"lab": "lab/tree", "notebook": "notebooks"}[app]
        return f"{self.address}/{place}/{name}.ipynb?reset&token={self.token}"


@contextmanager
def served(home: Home) -> Iterator[Site]:
    """Start the server and wait for its address."""
    work = home.path / "work"
    work.mkdir(exist_ok=True)
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        "--allow-root",
        "--ip=127.0.0.1",
        "--port=0",
    ]
    command += [
        "--LabApp.expose_app_in_browser=True",
        "--JupyterNotebookApp.expose_app_in_browser=True",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    settings = home.path / ".jupyter/lab/user-settings/@jupyterlab/apputils-extension"
    settings.mkdir(parents=True)
    # It would ask whether to, over whatever stands there.
    (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
    with subprocess.Popen(
        command, cwd=work, env=home.environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stderr is not None
        said: list[str] = []
        try:
            found = next(filter(None, map(_ADDRESS.search, _kept(process.stderr, said))), None)
            assert found is not None, "".join(said)
            drain = subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL)
            yield Site(home, found[1], found[2])
        finally:
            process.terminate()
            process.wait(timeout=30)
    drain.wait(timeout=30)


def _kept(lines: Iterator[str], said: list[str]) -> Iterator[str]:
    for line in lines:
        said.append(line)
        yield line


_INTRODUCED = """() => {
    const session = globalThis.jupyterapp?.shell.currentWidget?.sessionContext?.session;
    return session?.kernel?.info.then(() => true);
}"""


class Notebook:
    """An open notebook."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        page.set_default_timeout(PATIENCE)
        self.open(url)

    def open(self, url: str) -> None:
        self.page.goto(url)
        # What is run before the kernel has introduced itself is dropped by the front end.
        self.page.wait_for_function(_INTRODUCED)

    def cell(self, number: int) -> Locator:
        return self.page.locator(".jp-Notebook .jp-CodeCell").nth(number)

    def run(self, number: int) -> Locator:
        """Run a cell as its user does, and return its outputs."""
        cell = self.cell(number)
        cell.locator(".cm-content").click()
        self.page.keyboard.press("Control+Enter")
        return cell.locator(".jp-Cell-outputArea")

    def finish(self, number: int, timeout: float = PATIENCE) -> None:
        """Wait until a cell has its number, which it gets when it has ended; milliseconds."""
        prompt = self.cell(number).locator(".jp-InputArea-prompt")
        prompt.filter(has_text=re.compile(r"\[\d+\]")).wait_for(timeout=timeout)

    def choose_theme(self, name: str) -> None:
        change = "name => jupyterapp.commands.execute('apputils:change-theme', {theme: name})"
        self.page.evaluate(change, name)
        light = "false" if "Dark" in name else "true"
        self.page.locator(f"body[data-jp-theme-light={light}]").wait_for(state="attached")
        self.page.locator("#jupyterlab-splash").wait_for(state="detached")

    def save(self) -> None:
        self.page.keyboard.press("Escape")
        with self.page.expect_response(
            lambda each: "/api/contents/" in each.url and each.request.method == "PUT"
        ):
            self.page.keyboard.press("Control+s")
