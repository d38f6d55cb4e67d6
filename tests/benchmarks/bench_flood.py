"""A flood of lines, in JupyterLab, beside ipyparallel's `%%px` in the same run; prints figures, asserts nothing.

1,000,000 lines as fast as possible, then 10,000 lines one per millisecond. For each: the cell's wall time, bytes on
the kernel's output channel as its browser receives them, the longest task of the page's main thread while the cell
runs (also how much of it was spent on a processor: where others want that too, a task only waits), and for ours
whether the log on the disk is complete to the byte. Last, how soon an interrupt stops an endless flood. The machine's
load is printed with each.
Arguments: "few" for a twentieth of the lines.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "browser")]

from frontend import Home  # noqa: E402 - found by the path above
from jupyter_site import Notebook, chromium, served  # noqa: E402 - likewise
from playwright.sync_api import Browser, Page, WebSocket  # noqa: E402 - what follows the path

SHARE = 20 if "few" in sys.argv[1:] else 1
FLOODS = {
    f"{1_000_000 // SHARE:,} lines at once": (
        1_000_000 // SHARE,
        "for n in range({0}):\n    print('line', n)",
    ),
    f"{10_000 // SHARE:,} lines, one per ms": (
        10_000 // SHARE,
        "import time\nbegan = time.time()\nfor n in range({0}):\n"
        "    time.sleep(max(0.0, began + n / 1000 - time.time()))\n    print('line', n)",
    ),
}
PARALLEL = (
    "import ipyparallel\n"
    "cluster = ipyparallel.Cluster(n=1, log_level=40)\n"
    "clients = cluster.start_and_connect_sync()\n"
    "view = clients[:]\n"
    "view.block = True\n"
    "view.activate()"
)


@dataclass
class Wire:
    """Bytes that a page's kernel connections have brought."""

    received: int = 0
    sockets: list[WebSocket] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        """Count from now on."""

        def opened(socket: WebSocket) -> None:
            if "/channels" in socket.url:
                self.sockets.append(socket)
                socket.on("framereceived", self._add)

        page.on("websocket", opened)

    def _add(self, frame: str | bytes) -> None:
        self.received += len(frame)


@contextmanager
def traced(browser: Browser, page: Page) -> Iterator[Callable[[], tuple[float, float]]]:
    """Record a page's tasks; yields what tells the longest one's milliseconds, and those on a processor."""
    browser.start_tracing(page=page, categories=["toplevel"])
    found: list[bytes] = []
    try:
        yield lambda: longest(json.loads(found[0])["traceEvents"])
    finally:
        found.append(browser.stop_tracing())


def longest(events: list[dict[str, Any]]) -> tuple[float, float]:
    """Return a trace's longest task of a page's main thread, in milliseconds, and those of it on a processor."""
    named = [each for each in events if each["name"] == "thread_name"]
    mains = {(each["pid"], each["tid"]) for each in named if each["args"]["name"] == "CrRendererMain"}
    tasks = [each for each in events if each["name"].endswith("RunTask") and each["ph"] == "X"]
    ours = [each for each in tasks if (each["pid"], each["tid"]) in mains]
    task = max(ours, key=lambda each: float(each["dur"]))
    return task["dur"] / 1000, task.get("tdur", 0) / 1000


def run(browser: Browser, notebook: Notebook, wire: Wire, cell: int, limit: float) -> str:
    """Run one cell to its end, or for `limit` seconds, and say what it took."""
    with traced(browser, notebook.page) as task:
        before, began = wire.received, time.monotonic()
        notebook.run(cell)
        try:
            notebook.finish(cell, timeout=1000 * limit)
            took = f"{time.monotonic() - began:8.2f} s"
        except Exception as error:  # noqa: BLE001 - a browser that no longer answers is a result too
            took = f"not ended after {limit:.0f} s ({type(error).__name__})"
        received = wire.received - before
    wall, cpu = task()
    load = f"load {os.getloadavg()[0]:.1f}"
    return f"{took}   {received:13,} bytes   longest task {wall:6.0f} ms, of processor {cpu:4.0f} ms   {load}"


def complete(home: Home, lines: int) -> str:
    """Compare the newest log on the disk with what was printed."""
    folder = Path(home.environment["ZENML_MODAL_NB_STATE_DIR"]) / "logs"
    newest = max(folder.glob("*.log"), key=lambda path: path.stat().st_mtime)
    wanted = "".join(f"line {n}\n" for n in range(lines))
    return "complete" if newest.read_text("utf-8") == wanted else "INCOMPLETE"


def main() -> None:
    """Measure and print."""
    cells = ["%load_ext zenml_modal_nb\nfrom zenml.client import Client", "%%modal_step\n1"]
    cells += [f"%%modal_step\n{code.format(lines)}" for lines, code in FLOODS.values()]
    cells += ["%%modal_step\nwhile True:\n    print('x' * 80)"]
    theirs = [PARALLEL, *[f"%%px\n{code.format(lines)}" for lines, code in FLOODS.values()]]
    theirs += ["cluster.stop_cluster_sync()"]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        home = Home(Path(folder))
        with home.local_modal(), served(home) as site, chromium() as browser:
            site.write("ours", *cells)
            site.write("theirs", *theirs)
            wire = Wire()
            page = browser.new_page()
            wire.watch(page)
            notebook = Notebook(page, site.url("ours"))
            for cell in (0, 1):
                notebook.run(cell)
                notebook.finish(cell)
            for number, (name, (lines, _)) in enumerate(FLOODS.items()):
                took = run(browser, notebook, wire, 2 + number, 300)
                print(f"ours   {name:30} {took}   log {complete(home, lines)}", flush=True)
            output = notebook.run(4)
            output.locator(".zmnb-gap").filter(has_text=re.compile("not shown")).first.wait_for()
            began = time.monotonic()
            page.evaluate("jupyterapp.commands.execute('notebook:interrupt-kernel')")
            output.locator(".zmnb-stopped").wait_for()
            stopped = time.monotonic() - began
            load = os.getloadavg()[0]
            print(
                f"ours   an endless flood is stopped {stopped:.2f} s after the interrupt   load {load:.1f}",
                flush=True,
            )
            page.close()

            page = browser.new_page()
            wire.watch(page)
            notebook = Notebook(page, site.url("theirs"))
            notebook.run(0)
            notebook.finish(0)
            for number, name in enumerate(FLOODS):
                print(f"%%px   {name:30} {run(browser, notebook, wire, 1 + number, 120)}", flush=True)
            last = 1 + len(FLOODS)
            notebook.run(last)
            notebook.finish(last)
    print(json.dumps({"share": SHARE}))


if __name__ == "__main__":
    main()
