"""Processes that a cell starts through multiprocessing."""

import pytest
from sandboxed import ran

SOURCE = """
import multiprocessing
class Point:
    def __init__(self, x): self.x = x
def double(x): return helper(x)
def count():
    global calls
    calls += 1
    return calls
with multiprocessing.get_context({method!r}).Pool(1) as pool:
    doubled = pool.map(double, [1, 2])
    point = pool.apply(Point, (3,)).x
    counted = pool.apply(count), pool.apply(count)
here = calls
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_functions_and_classes_of_the_notebook_are_found_in_worker_processes(method):
    namespace = {"__name__": "__main__"}
    exec("def helper(x): return factor * x\nfactor = 2\ncalls = 10", namespace)
    values = {"helper": namespace["helper"], "calls": 10}
    outputs = ["doubled", "point", "counted", "here"]
    run = ran(SOURCE.format(method=method), namespace=namespace, values=values, outputs=outputs)
    assert run.result["ok"], (run.error, run.stderr.text.shown)
    assert run.stderr.text.shown == ""
    assert run.values()["values"] == {"doubled": [2, 4], "point": 3, "counted": (11, 12), "here": 10}


def test_what_cannot_be_handed_on_does_not_prevent_the_rest():
    source = (
        "import multiprocessing, threading\n"
        "lock = threading.Lock()\n"
        "def locked(): return lock\n"
        "def plain(): return 'plain'\n"
        "with multiprocessing.get_context('spawn').Pool(1) as pool: x = pool.apply(plain)"
    )
    run = ran(source, outputs=["x"])
    assert run.result["ok"], (run.error, run.stderr.text.shown)
    assert run.values()["values"] == {"x": "plain"}


def test_a_worker_that_is_terminated_says_nothing():
    source = (
        "import multiprocessing, time\n"
        "process = multiprocessing.get_context('fork').Process(target=time.sleep, args=(60,))\n"
        "process.start(); process.terminate(); process.join()\n"
        "x = process.exitcode"
    )
    run = ran(source, outputs=["x"])
    assert run.values()["values"] == {"x": -15}
    assert run.stderr.text.shown == ""
