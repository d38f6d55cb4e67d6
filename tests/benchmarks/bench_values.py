"""What it costs to keep the notebook's state; prints figures, asserts nothing.

Stages: a notebook's process and a sandbox's, as the channel uses them, without the channel between. Then whole cells in
a real kernel on the local rung. Give "stages" or "cells" for one of the two.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

GIGABYTE = 1_000_000_000

# name: how the notebook makes `x`, what the cell does, how many gigabytes go in and come out
CASES = {
    "1 GB array, read": ("np.random.default_rng(0).random(125_000_000)", "total = float(x[0])", 1, 0),
    "1 GB array, changed in place": ("np.random.default_rng(0).random(125_000_000)", "x[7] = 1", 1, 1),
    "1 GB array, bound anew": ("np.random.default_rng(0).random(125_000_000)", "y = x + 1", 1, 1),
    "10 million numbers in a list, read": ("list(range(10_000_000))", "total = len(x)", 0, 0),
    "10 million numbers in a list, one appended": ("list(range(10_000_000))", "x.append(1)", 0, 0),
    "300,000 records, read": ("[{'id': n, 'tags': ['a', 'b']} for n in range(300_000)]", "total = len(x)", 0, 0),
    "300,000 records, one changed": (
        "[{'id': n, 'tags': ['a', 'b']} for n in range(300_000)]", "x[5]['tags'].append('c')", 0, 0,
    ),
    "table of 2 million rows, a column added": (
        "pd.DataFrame({'n': np.arange(2_000_000), 's': ['some text'] * 2_000_000})", "x['m'] = x.n * 2", 0, 0,
    ),
}  # fmt: skip


def peak() -> int:
    """This process's highest use of memory so far, in bytes."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024


def forget_peak() -> int:
    """Let the peak begin anew at the present use; return that."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak()


def notebook(make: str, cell: str, directory: Path) -> None:
    """The notebook's stages, with the sandbox's in a process of its own."""
    import numpy as np
    import pandas as pd

    from zenml_modal_nb.packaging.payload import pack
    from zenml_modal_nb.packaging.returned import restore

    namespace: dict[str, Any] = {"__name__": "__main__"}
    namespace["x"] = eval(make, {"np": np, "pd": pd})
    base = forget_peak()
    began = time.perf_counter()
    packed = pack({"x": namespace["x"]}, namespace)
    packing = time.perf_counter() - began
    with (directory / "payload").open("wb") as file:
        packed.values.write(file)
    size = packed.values.size
    known = packed.known
    del packed
    packing_peak = peak() - base
    command = [sys.executable, __file__, "--sandbox", cell, str(directory)]
    there = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    data = (directory / "result").read_bytes()  # as the channel has it
    base = forget_peak()
    began = time.perf_counter()
    restore(data, namespace, known)
    restoring = time.perf_counter() - began
    figures = {"size": size, "back": len(data), "pack": packing, "pack peak": packing_peak, **there}
    print(json.dumps({**figures, "write back": restoring, "write back peak": peak() - base}))


def sandbox(cell: str, directory: Path) -> None:
    """The sandbox's stages."""
    from zenml_modal_nb.runner import pickling, results
    from zenml_modal_nb.runner.cell import Run
    from zenml_modal_nb.runner.known import Known

    namespace: dict[str, Any] = {"__name__": "__main__"}
    import numpy as np
    import pandas  # noqa: F401  # what the cell would import

    namespace["np"] = np
    base = forget_peak()
    began = time.perf_counter()
    with pickling.Reader(directory / "payload", namespace) as reader:
        namespace.update(reader.read()["values"])
        reader.read()
        objects = reader.read()
        restoring = time.perf_counter() - began
        began = time.perf_counter()
        known = Known(objects, namespace, directory / "payload", reader.buffers.origins)
    looking = time.perf_counter() - began
    arrived = dict(namespace)
    exec(cell, namespace)
    began = time.perf_counter()
    run = Run(cell, "<cell>", "cell", tuple(name for name in ("y", "total") if name in namespace), None)
    result = results.collect(run, namespace, arrived, known, None, {})
    collecting = time.perf_counter() - began
    with (directory / "result").open("wb") as file:
        result.values.write(file)
    stages = {"restore": restoring, "look before": looking, "compare and pickle": collecting}
    print(json.dumps({**stages, "sandbox peak": peak() - base}))


def stages() -> None:
    """Measure each stage of each case, in processes of their own."""
    for name, (make, cell, _, _) in CASES.items():
        with tempfile.TemporaryDirectory(prefix="bench-") as directory:
            command = [sys.executable, __file__, "--notebook", make, cell, directory]
            found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(f"{name}: {found['size'] / 1e6:.1f} MB in, {found['back'] / 1e6:.1f} MB out")
        for stage in ("pack", "restore", "look before", "compare and pickle", "write back"):
            size = found["back"] if stage == "write back" else found["size"]
            rate = f"{size / found[stage] / GIGABYTE:6.2f} GB/s" if size > 1_000_000 else ""
            print(f"  {stage:<20} {found[stage]:7.3f} s {rate}")
        for where in ("pack peak", "sandbox peak", "write back peak"):
            print(f"  {where:<20} {found[where] / 1e6:7.0f} MB above what was there")


def cells() -> None:
    """Measure whole cells, as a user has them."""
    from bench_cell import fresh_home, run_cell
    from jupyter_client.manager import start_new_kernel

    def status(what: str) -> str:
        return f"__import__('re').search(r'{what}:\\s+(\\d+)', open('/proc/self/status').read())[1]"

    with fresh_home():
        manager, client = start_new_kernel(kernel_name="python3")
        try:
            run_cell(client, "%load_ext zenml_modal_nb\nimport numpy as np, pandas as pd")
            run_cell(client, "%%modal_step --on local\nwarm = 1")
            for name, (make, cell, into, out) in CASES.items():
                run_cell(client, f"x = {make}\nopen('/proc/self/clear_refs', 'w').write('5')")
                _, _, before = run_cell(client, f"print({status('VmRSS')})")
                _, seconds, _ = run_cell(client, f"%%modal_step --on local\n{cell}")
                _, _, high = run_cell(client, f"print({status('VmHWM')})")
                rate = f"{(into + out) / seconds:5.2f} GB/s" if into else ""
                grown = (int(high) - int(before)) / 1000
                print(f"{name:<45} {seconds:7.2f} s {rate:>10}   kernel's peak {grown:6.0f} MB above")
                run_cell(client, "del x")
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
            stop = [sys.executable, "-m", "zenml_modal_nb.emulator", "stop"]
            subprocess.run(stop, check=False, capture_output=True, env=dict(os.environ))


def main() -> None:
    """Measure and print."""
    match sys.argv[1:]:
        case ["--notebook", make, cell, directory]:
            notebook(make, cell, Path(directory))
        case ["--sandbox", cell, directory]:
            sandbox(cell, Path(directory))
        case chosen:
            if chosen != ["cells"]:
                stages()
            if chosen != ["stages"]:
                cells()


if __name__ == "__main__":
    main()
