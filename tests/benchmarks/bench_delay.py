"""How long a line takes from the sandbox's `print` to the front end's message; prints figures, asserts nothing.

50 lines a second for ten seconds, on the local rung, both as a notebook that shows widgets gets them and as other
front ends do. Each line says when it was printed; sandbox and front end share this machine's clock. Other cells'
messages that came meanwhile are counted: there should be none.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import ipykernel

sys.path.insert(0, str(Path(__file__).parents[1]))

from frontend import Home, Kernel, Message, parent

LINES = 500
JOB = (
    "import time\n"
    "began = time.time()\n"
    f"for n in range({LINES}):\n"
    "    time.sleep(max(0.0, began + n / 50 - time.time()))\n"
    "    print(f'{time.time():.6f}')\n"
)


def texts(message: Message) -> str:
    """The log's text that a message brings."""
    content = message["content"]
    if message["msg_type"] == "stream":
        return str(content["text"])
    state = content.get("data", {}).get("state", {}) if message["msg_type"] == "comm_msg" else {}
    return "".join(piece[3] for name, piece in state.items() if name[1:].isdigit())


class Timed(Kernel):
    """A kernel whose messages carry the moment at which they came."""

    def delays(self, cell: str) -> tuple[list[float], int]:
        """Follow a cell to its end: the delay of each line in milliseconds, and messages of other cells."""
        found: list[float] = []
        foreign = 0

        def look() -> bool:
            nonlocal foreign
            now = time.time()
            for message in self.seen:
                if parent(message) != cell:
                    foreign += 1
                    continue
                lines = texts(message).split()
                found.extend(1000 * (now - float(line)) for line in lines if line[:1].isdigit())
            self.seen.clear()
            return cell in self._idle

        self._receive_until(look)
        return found, foreign


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        home = Home(Path(folder))
        with home.local_modal():
            kernel = Timed(home, "bench")
            try:
                kernel.run("%load_ext zenml_modal_nb")
                kernel.run("%%modal_step\n1")
                for name, send in (("widgets", kernel.send_from_notebook), ("stream", kernel.send)):
                    kernel.seen.clear()
                    delays, foreign = kernel.delays(send(f"%%modal_step\n{JOB}"))
                    cuts = statistics.quantiles(delays, n=100)
                    print(
                        f"ipykernel {ipykernel.__version__} {name:8} {len(delays)} lines   "
                        f"p50 {cuts[49]:6.1f} ms   p95 {cuts[94]:6.1f} ms   max {max(delays):6.1f} ms   "
                        f"of other cells {foreign}"
                    )
            finally:
                kernel.close()


if __name__ == "__main__":
    main()
