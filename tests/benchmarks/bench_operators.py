"""Seconds that the same trivial step takes on a team's stack, by operator: ZenML's, ours connected, ours detached.

    python tests/benchmarks/bench_operators.py [RUNS]

Each is run as the step of a script's pipeline, in a process that has zenml warm, against the local Modal API. Printed
are the seconds from the call of the pipeline to the first line of the step's log and to its completion, the median of
all RUNS (default 3).
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "stacks")]

from members import Member  # noqa: E402 - found by the line above
from team import IMAGE, team  # noqa: E402 - as above

KINDS = {
    "modal": "ZenML's flavor, connected",
    "own": "our flavor, connected",
    "apart": "our flavor, detached",
}
SCRIPT = """
import json, sys, threading, time
from datetime import datetime
from zenml import pipeline, step
from zenml.client import Client
from zenml.config import DockerSettings

OPERATOR = {operator!r}
DOCKER = DockerSettings(parent_image={image!r}, skip_build=True) if OPERATOR == "modal" else DockerSettings()

@step(step_operator=OPERATOR, settings={{"docker": DOCKER}})
def trivial() -> int:
    print("begun")
    return 1

@pipeline(enable_cache=False)
def benchmark():
    trivial()

if __name__ == "__main__":
    Client().activate_stack("team" if OPERATOR == "modal" else "light")
    Client().active_stack
    for _ in range({runs}):
        began, clock = time.time(), time.monotonic()
        run = benchmark()
        seconds = time.monotonic() - clock
        found = [log for log in Client().get_run_step(run.steps["trivial"].id).log_collection if log.source == "step"]
        entries = Client().active_stack.log_store.fetch(found[0], limit=100).items
        first = min(each.timestamp.timestamp() for each in entries if "begun" in each.message) - began
        print("TIMES", json.dumps([first, seconds]))
"""


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    print("| operator | first log line | completion |\n|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="zenml-modal-nb-bench-") as place, team(Path(place)) as home:
        member = Member(home.path, home.server)
        with member.local_modal():
            for operator, told in KINDS.items():
                done = member.script(
                    f"bench_{operator}", SCRIPT.format(operator=operator, image=IMAGE, runs=runs)
                )
                lines = [line for line in done.stdout.splitlines() if line.startswith("TIMES ")]
                assert len(lines) == runs, done.stdout + done.stderr
                times = [
                    list(map(float, line.removeprefix("TIMES ").strip("[]").split(", "))) for line in lines
                ]
                first, whole = (statistics.median(each) for each in zip(*times, strict=True))
                print(f"| {told} | {first:.1f} s | {whole:.1f} s |", flush=True)


if __name__ == "__main__":
    main()
