"""Processes that a cell starts through multiprocessing."""

import psutil
import pytest
from sandboxed import Sandboxed, ran

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


# What torchrun does: the same script in several processes, told apart by their environment.
LAUNCH = """
import os, subprocess, sys
ranks = [
    subprocess.Popen([sys.executable, 'train.py'], env={**os.environ, 'RANK': str(n), 'WORLD_SIZE': '2'})
    for n in range(2)
]
sys.exit(max(rank.wait() for rank in ranks))
"""
TRAIN = """
import os, pickle
from notebook_definitions import Model, settings, train
assert train.__globals__['Model'] is Model
model = train(Model(int(os.environ['RANK'])))
assert type(model) is Model
with open(f"model-{os.environ['RANK']}.pkl", 'wb') as file:
    pickle.dump((model, settings), file)
"""


def test_a_script_that_is_launched_several_times_imports_what_the_notebook_has_defined(tmp_path):
    namespace = {"__name__": "__main__"}
    exec(
        "class Model:\n    def __init__(self, weight): self.weight = weight\n"
        "def train(model): return Model(model.weight + step())",
        namespace,
    )
    source = (
        f"import os, pathlib, pickle, subprocess, sys\nos.chdir({str(tmp_path)!r})\n"
        "def step(): return 10\n"
        "settings = {'rate': 0.1}\n"
        f"pathlib.Path('launch.py').write_text({LAUNCH!r})\n"
        f"pathlib.Path('train.py').write_text({TRAIN!r})\n"
        "subprocess.run([sys.executable, 'launch.py'], check=True)\n"
        "found = [pickle.load(open(f'model-{n}.pkl', 'rb')) for n in range(2)]\n"
        "weights = [model.weight for model, _ in found]\n"
        "same = {type(model) is Model for model, _ in found}, found[0][1] == settings"
    )
    values = {name: namespace[name] for name in ("Model", "train")}
    run = ran(source, namespace=namespace, values=values, outputs=["weights", "same"])
    assert run.result["ok"], (run.error, run.stderr.text.shown)
    assert run.values()["values"] == {"weights": [10, 11], "same": ({True}, True)}


def test_a_program_that_imports_definitions_is_told_what_is_missing_and_why():
    program = (
        "import notebook_definitions\n"
        "for name in ['absent', 'lock', '__path__', 'x' * 600]:\n"
        "    try: getattr(notebook_definitions, name)\n"
        "    except Exception as error: print(type(error).__name__, error)\n"
        "from notebook_definitions import *\n"
        "print(shown(2), sorted(name for name in globals() if name[:1] != '_'))"
    )
    source = (
        "import subprocess, sys, threading\n"
        "lock = threading.Lock()\n"
        "def shown(n): return n + 1\n"
        "def _hidden(): pass\n"
        f"done = subprocess.run([sys.executable, '-c', {program!r}], capture_output=True, text=True, check=True)\n"
        "lines = done.stdout.splitlines()\n"
        "import notebook_definitions\n"
        "same = notebook_definitions.shown is shown"
    )
    run = ran(source, outputs=["lines", "same"])
    assert run.result["ok"], (run.error, run.stderr.text.shown)
    values = run.values()["values"]
    assert values["same"]
    absent, lock, path, long, star = values["lines"]
    assert absent == "AttributeError module 'notebook_definitions' has no attribute 'absent'"
    assert (
        lock
        == "ImportError lock cannot be sent to another process: TypeError: cannot pickle '_thread.lock' object"
    )
    assert path == "AttributeError module 'notebook_definitions' has no attribute '__path__'"
    assert long.startswith("AttributeError module 'notebook_definitions' has no attribute 'xxx")
    assert star == "3 ['name', 'notebook_definitions', 'shown']"


def test_a_program_that_outlives_the_cell_is_told_that_it_has_ended(tmp_path):
    program = (
        "import os, sys\n"
        "import notebook_definitions\n"
        f"os.mkfifo({str(tmp_path / 'gate')!r})\n"
        "print('ready', flush=True)\n"
        f"open({str(tmp_path / 'gate')!r}).read()\n"
        "try: notebook_definitions.shown\n"
        f"except ImportError as error: open({str(tmp_path / 'told')!r}, 'w').write(str(error))"
    )
    source = (
        "import subprocess, sys\n"
        f"process = subprocess.Popen([sys.executable, '-c', {program!r}], stdout=subprocess.PIPE, text=True)\n"
        "ready = process.stdout.readline()\n"
        "pid = process.pid\n"
        "del process\n"
        "import multiprocessing, time\n"
        "worker = multiprocessing.get_context('fork').Process(target=time.sleep, args=(60,), daemon=True)\n"
        "worker.start()\n"
        "worker = worker.pid"
    )
    with Sandboxed(source, outputs=["ready", "pid", "worker"]) as run:
        run.send().wait()
        assert run.result["ok"], run.error
        named = run.returned().named
        left, worker = psutil.Process(named["pid"]), psutil.Process(named["worker"])
        run.process.kill()
        run.process.wait()
        (tmp_path / "gate").write_text("go on")
        gone, _ = psutil.wait_procs([left], timeout=30)
        worker.kill()
        assert gone == [left]
    assert (tmp_path / "told").read_text() == "the cell that offered notebook_definitions has ended"


POOLS = """
from concurrent.futures import ProcessPoolExecutor
import multiprocessing
def double(x): return helper(x)
with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context({method!r})) as pool:
    doubled = list(pool.map(double, [1, 2]))
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_an_executor_finds_functions_of_the_notebook(method):
    namespace = {"__name__": "__main__"}
    exec("def helper(x): return 2 * x", namespace)
    run = ran(
        POOLS.format(method=method),
        namespace=namespace,
        values={"helper": namespace["helper"]},
        outputs=["doubled"],
    )
    assert run.result["ok"], (run.error, run.stderr.text.shown)
    assert run.values()["values"] == {"doubled": [2, 4]}


def test_joblib_finds_functions_of_the_notebook():
    source = (
        "from joblib import Parallel, delayed\n"
        "def double(x): return factor * x\n"
        "factor = 2\n"
        "doubled = Parallel(n_jobs=2, backend='loky')(delayed(double)(x) for x in range(3))"
    )
    run = ran(source, outputs=["doubled"], isolated=False)
    assert run.result["ok"], (run.error, run.stderr.text.shown)
    assert run.values()["values"] == {"doubled": [0, 2, 4]}


def test_a_question_that_is_no_text_leaves_the_next_one_answered():
    program = (
        "import os\n"
        "place = os.environ['PYTHONPATH'].split(os.pathsep)[0]\n"
        "with open(os.path.join(place, 'ask'), 'wb') as questions: questions.write(b'\\xff \\xfe\\n')\n"
        "from notebook_definitions import f\n"
        "print(f())"
    )
    source = (
        "import subprocess, sys\n"
        "def f(): return 'answered'\n"
        f"subprocess.run([sys.executable, '-c', {program!r}], check=True, timeout=20)"
    )
    run = ran(source)
    assert run.stdout.text.shown == "answered\n", run.stderr.text.shown
