"""What a cell costs beyond its job, beside the raw SDK doing the same job; prints figures, asserts nothing.

Local rung, one run, medians of ten; of what only a fresh kernel shows, medians of five kernels.
The job prints a line, works for half a second by the clock and prints another.
The kernel is a real one and everything is seen from outside it, through its messages.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

RUNS = 10
KERNELS = 5
LOAD = "import sys\n%load_ext zenml_modal_nb\nprint('zenml' in sys.modules)"
JOB = "import time\nprint('first', flush=True)\ntime.sleep(0.5)\nprint('last', flush=True)\nx = 1\n"
JOB_SECONDS = 0.5


@contextmanager
def fresh_home() -> Iterator[Path]:
    """A home directory without ZenML data, Modal configuration or a running emulator."""
    with tempfile.TemporaryDirectory(prefix="bench-") as home:
        kept = dict(os.environ)
        os.environ.update(HOME=home, ZENML_ANALYTICS_OPT_IN="false")
        for name in [name for name in os.environ if name.startswith("MODAL_")]:
            del os.environ[name]
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # a first kernel compiles, as any installation is
        try:
            yield Path(home)
        finally:
            os.environ.clear()
            os.environ.update(kept)


def run_cell(client, code):
    """Run a cell; return seconds until its first stream line of the job, until idle, and its stdout."""
    began = time.perf_counter()
    first = None
    text = ""
    message_id = client.execute(code)
    while True:
        message = client.get_iopub_msg(timeout=120)
        if message["parent_header"].get("msg_id") != message_id:
            continue
        content = message["content"]
        if message["msg_type"] == "stream":
            text += content["text"]
            if first is None and "first" in text:
                first = time.perf_counter() - began
        elif message["msg_type"] == "error":
            raise SystemExit("\n".join(content["traceback"]))
        elif message["msg_type"] == "status" and content["execution_state"] == "idle":
            return first, time.perf_counter() - began, text


RAW = """
import json, subprocess, sys, time
from pathlib import Path
import modal
from modal_proto import api_pb2
start = [sys.executable, "-m", "zenml_modal_nb.emulator", "start", "--json"]
place = json.loads(subprocess.run(start, capture_output=True, check=True).stdout)
state = json.loads(Path(place["state_file"]).read_text())
client = modal.Client(place["url"], api_pb2.CLIENT_TYPE_CLIENT, (state["token_id"], state["token_secret"]))
client.__enter__()
app = modal.App.lookup("bench", create_if_missing=True, client=client, environment_name="local")
image = modal.Image.debian_slim(python_version="%d.%d" % sys.version_info[:2])
def once(**more):
    began = time.perf_counter()
    sandbox = modal.Sandbox.create("python", "-u", "-c", JOB, app=app, image=image, client=client, **more)
    first = None
    for line in sandbox.stdout:
        first = first or time.perf_counter() - began
    sandbox.wait()
    return first, time.perf_counter() - began
for kind in ({}, {"gpu": "T4"}):
    once(**kind)
    print(json.dumps([once(**kind) for _ in range(RUNS)]))
"""


@contextmanager
def kernel() -> Iterator[BlockingKernelClient]:
    """A kernel that has run nothing yet."""
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


def measure_fresh_kernels() -> None:
    """Print what loading and a first cell take; the very first kernel of a home also makes ZenML's database."""
    loads, firsts, imported = [], [], []
    for _ in range(KERNELS):
        with kernel() as client:
            _, load, printed = run_cell(
                client, LOAD
            )  # asked within the cell: one later, the warm-up has begun
            _, first, _ = run_cell(client, f"%%modal_step --on local\n{JOB}")
        loads.append(load)
        firsts.append(first)
        imported.append(printed.strip() == "True")
    print(
        f"%load_ext                        {statistics.median(loads):6.3f} s   "
        f"(zenml imported by its end: {sum(imported)} of {KERNELS} kernels)"
    )
    print(
        f"first cell of a fresh kernel     {statistics.median(firsts):6.3f} s   "
        f"(job {JOB_SECONDS} s; the home's very first {firsts[0]:.3f} s)"
    )


def main() -> None:
    """Measure and print."""
    with fresh_home():
        try:
            measure_fresh_kernels()
            with kernel() as client:
                run_cell(client, "%load_ext zenml_modal_nb")
                measure_warm_kernel(client)
        finally:
            subprocess.run(
                [sys.executable, "-m", "zenml_modal_nb.emulator", "stop"], check=False, capture_output=True
            )


def measure_warm_kernel(client: BlockingKernelClient) -> None:
    """Print what a cell takes beyond its job, beside the raw SDK in the same kernel."""
    ours = {}
    for name, line in (
        ("CPU (V2)", "%%modal_step --on local"),
        ("GPU (V1)", "%%modal_step --on local --gpu T4"),
    ):
        run_cell(client, f"{line}\n{JOB}")
        ours[name] = [run_cell(client, f"{line}\n{JOB}")[:2] for _ in range(RUNS)]
    _, _, printed = run_cell(client, f"JOB = {JOB!r}\nRUNS = {RUNS}\n{RAW}")
    raw = dict(zip(ours, map(json.loads, printed.splitlines()), strict=True))
    for name in ours:
        first, total = (statistics.median(each) for each in zip(*ours[name], strict=True))
        raw_first, raw_total = (statistics.median(each) for each in zip(*raw[name], strict=True))
        over, raw_over = total - JOB_SECONDS, raw_total - JOB_SECONDS
        print(
            f"{name}: cell minus job          {over:6.3f} s   raw SDK {raw_over:6.3f} s   "
            f"ratio {over / raw_over:5.1f}"
        )
        print(
            f"{name}: first log line          {first:6.3f} s   raw SDK {raw_first:6.3f} s   "
            f"ratio {first / raw_first:5.1f}"
        )


if __name__ == "__main__":
    main()
