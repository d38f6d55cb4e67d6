"""Time to analyze a 100-line cell in a notebook of 1,000 names; the target is 5 ms.

Run: python tests/benchmarks/bench_analysis.py
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable
from types import FunctionType

from zenml_modal_nb.cells.cell import analyze
from zenml_modal_nb.cells.names import find_names
from zenml_modal_nb.cells.source import read_source

TARGET_MS = 5.0
ROUNDS = 200


def training_cell() -> str:
    """A cell of 100 lines such as people write: definitions, loops, comprehensions, plain calls."""
    block = """\
def loss_{i}(weights, scale=scale_{i}):
    shifted = [w - offset_{i} for w in weights if w > limit_{i}]
    return sum(abs(w) for w in shifted) * scale

history_{i} = []
for epoch_{i} in range(3):
    value = loss_{i}(data_{i})
    if value < best_{i}:
        best_{i} = value
    history_{i}.append(helper_{i}(value, epoch_{i}))
"""
    cell = "".join(block.format(i=i) for i in range(10))
    assert cell.count("\n") == 100
    return cell


def notebook() -> dict[str, object]:
    """A notebook's namespace of 1,000 names: modules, functions that call each other, instances, values."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    lines = ["import math", "import json as j", "class Row:\n    def __init__(self, n): self.n = n"]
    for i in range(10):
        lines += [f"scale_{i} = {i}", f"offset_{i} = {i}.5", f"limit_{i} = -{i}", f"best_{i} = 1e9"]
        lines += [f"data_{i} = [float(n) for n in range(100)]"]
        lines += [f"def helper_{i}(a, b): return helper_{i + 1}(math.sqrt(a * a), b) if b else Row(a)"]
    lines += [f"def helper_{i}(a, b): return a + value_{i % 5}" for i in range(10, 200)]
    lines += [f"row_{i} = Row({i})" for i in range(200)]
    exec("\n".join(lines), namespace)
    for i in range(1000 - len(namespace)):
        namespace[f"value_{i}"] = i
    return namespace


def milliseconds(work: Callable[[], object]) -> tuple[float, float]:
    """Return the fastest and the median of ROUNDS calls."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1e3)
    return min(times), statistics.median(times)


def main() -> None:
    cell, namespace = training_cell(), notebook()
    functions = sum(isinstance(value, FunctionType) for value in namespace.values())
    print(f"{cell.count(chr(10))} lines, {len(namespace)} names, {functions} of them functions")
    start = time.perf_counter()
    analyze(cell, namespace)
    print(f"first call, which reads what is installed: {(time.perf_counter() - start) * 1e3:.1f} ms")
    edits = itertools.count()  # a cell is edited between runs, so nothing may be remembered of its text
    parts: list[tuple[str, Callable[[], object]]] = [
        ("source", lambda: read_source(f"{cell}#{next(edits)}")),
        ("names", lambda: find_names(f"{cell}#{next(edits)}")),
        ("analyze, all of it", lambda: analyze(f"{cell}#{next(edits)}", namespace)),
        (
            "analyze with a shell line",
            lambda: analyze(f"{cell}!ls {{data_1[0]}} #{next(edits)}\n", namespace),
        ),
    ]
    for label, work in parts:
        fastest, median = milliseconds(work)
        print(f"{label:28} fastest {fastest:6.2f} ms   median {median:6.2f} ms")
    print(f"target for analyze: {TARGET_MS} ms")


if __name__ == "__main__":
    main()
