"""How long a line takes from the sandbox's `print` to the front end's message; prints figures, asserts nothing.

50 lines of 80 characters a second for three minutes, on the local rung, both as a notebook that shows widgets gets them
and as other front ends do, with the delays of each half minute, so that a pace that falls with time shows. Each line
says when it was printed; sandbox and front end share this machine's clock. Meanwhile a thread of another cell prints:
lines of the step that came as another cell's or with other text in them are counted, as is other text in the panel's
log; there should be none. (That the thread's own lines come under the cell that runs is ipykernel's.)
Argument: the number of seconds.
"""

from __future__ import annotations

import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

import ipykernel

sys.path.insert(0, str(Path(__file__).parents[1]))

from frontend import Home, Kernel, Message, parent

SECONDS = int(sys.argv[1]) if sys.argv[1:] else 180
STRETCH = 30  # seconds whose delays are told together
JOB = (
    "import time\n"
    "began = time.time()\n"
    f"for n in range({50 * SECONDS}):\n"
    "    time.sleep(max(0.0, began + n / 50 - time.time()))\n"
    "    print(f'{time.time():.6f} of the step '.ljust(79, '.'))\n"
)
OWN = re.compile(r"\d+\.\d{6} of the step \.+")
OTHER = (
    "import threading, time\n"
    "def other():\n"
    "    while not ended.wait(0.05):\n"
    "        print('of another cell')\n"
    "ended = threading.Event()\n"
    "threading.Thread(target=other, daemon=True).start()"
)


def texts(message: Message) -> str:
    """The log's text that a message brings."""
    content = message["content"]
    if message["msg_type"] == "stream":
        return str(content["text"])
    state = content.get("data", {}).get("state", {}) if message["msg_type"] == "comm_msg" else {}
    return "".join(piece[3] or "" for name, piece in state.items() if name[1:].isdigit())


class Timed(Kernel):
    """A kernel whose messages carry the moment at which they came."""

    def delays(self, cell: str) -> tuple[list[tuple[float, float]], int]:
        """Follow a cell to its end: each line's moment and delay in seconds, and how many lines went astray."""
        found: list[tuple[float, float]] = []
        strayed = 0

        def look() -> bool:
            nonlocal strayed
            now = time.time()
            for message in self.seen:
                for line in texts(message).splitlines():
                    if OWN.fullmatch(line) and parent(message) == cell:
                        printed = float(line.split()[0])
                        found.append((printed, now - printed))
                    elif "of the step" in line or message["msg_type"] == "comm_msg":
                        strayed += "not shown here" not in line
            self.seen.clear()
            return cell in self._idle

        self._receive_until(look)
        return found, strayed


def told(name: str, found: list[tuple[float, float]]) -> None:
    """Print the delays of each stretch, and how many lines came."""
    began = found[0][0]
    for start in range(0, SECONDS, STRETCH):
        delays = [1000 * delay for at, delay in found if start <= at - began < start + STRETCH]
        if len(delays) < 2:
            print(f"{name:8} from {start:4} s   {len(delays)} lines")
            continue
        cuts = statistics.quantiles(delays, n=100)
        print(
            f"{name:8} from {start:4} s   {len(delays)} lines   "
            f"p50 {cuts[49]:6.1f} ms   p95 {cuts[94]:6.1f} ms   max {max(delays):6.1f} ms"
        )


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
                    kernel.run(OTHER)
                    kernel.seen.clear()
                    found, strayed = kernel.delays(send(f"%%modal_step\n{JOB}"))
                    kernel.run("ended.set()")
                    told(name, found)
                    print(
                        f"{name:8} ipykernel {ipykernel.__version__}   {len(found)} of {50 * SECONDS} lines came   "
                        f"{strayed} astray"
                    )
            finally:
                kernel.close()


if __name__ == "__main__":
    main()
