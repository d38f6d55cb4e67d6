"""A flood of lines, in JupyterLab, beside ipyparallel's `%%px` in the same run; prints figures, asserts nothing.

1,000,000 lines as fast as possible, then 10,000 lines one per millisecond. For each: the cell's wall time, bytes on
the kernel's output channel as its browser receives them, the browser's longest task on its main thread, and for ours
whether the log on the disk is complete to the byte. Last, how soon an interrupt stops an endless flood.
Arguments: "few" for a twentieth of the lines.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "browser")]

from frontend import Home  # noqa: E402 - found by the path above
from jupyter_site import Notebook, chromium, served  # noqa: E402 - likewise
from playwright.sync_api import Page, WebSocket  # noqa: E402 - what follows the path

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
LONGEST_TASK = """
globalThis.longest = 0;
new PerformanceObserver(list => list.getEntries().forEach(each => { longest = Math.max(longest, each.duration); }))
    .observe({type: 'longtask', buffered: false});
"""
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


def run(notebook: Notebook, wire: Wire, cell: int, limit: float) -> str:
    """Run one cell to its end, or for `limit` seconds, and say what it took."""
    page = notebook.page
    page.evaluate("longest = 0")
    before, began = wire.received, time.monotonic()
    notebook.run(cell)
    try:
        notebook.finish(cell, timeout=1000 * limit)
        took = f"{time.monotonic() - began:8.2f} s"
    except Exception as error:  # noqa: BLE001 - a browser that no longer answers is a result too
        return (
            f"not ended after {limit:.0f} s ({type(error).__name__}); {wire.received - before:,} bytes so far"
        )
    longest = page.evaluate("longest")
    return f"{took}   {wire.received - before:13,} bytes   longest task {longest:6.0f} ms"


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
            page.add_init_script(LONGEST_TASK)
            wire.watch(page)
            notebook = Notebook(page, site.url("ours"))
            for cell in (0, 1):
                notebook.run(cell)
                notebook.finish(cell)
            for number, (name, (lines, _)) in enumerate(FLOODS.items()):
                print(
                    f"ours   {name:30} {run(notebook, wire, 2 + number, 300)}   log {complete(home, lines)}"
                )
            output = notebook.run(4)
            output.locator(".zmnb-gap").filter(has_text=re.compile("not shown")).first.wait_for()
            began = time.monotonic()
            page.evaluate("jupyterapp.commands.execute('notebook:interrupt-kernel')")
            output.locator(".zmnb-stopped").wait_for()
            print(f"ours   an endless flood is stopped {time.monotonic() - began:8.2f} s after the interrupt")
            page.close()

            page = browser.new_page()
            page.add_init_script(LONGEST_TASK)
            wire.watch(page)
            notebook = Notebook(page, site.url("theirs"))
            notebook.run(0)
            notebook.finish(0)
            for number, name in enumerate(FLOODS):
                print(f"%%px   {name:30} {run(notebook, wire, 1 + number, 120)}", flush=True)
            last = 1 + len(FLOODS)
            notebook.run(last)
            notebook.finish(last)
    print(json.dumps({"share": SHARE}))


if __name__ == "__main__":
    main()
