"""`--define`: a cell as a ZenML step of the user's own pipelines, run in a sandbox by the pipeline."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from frontend import Home, Kernel, LocalModal

SETUP = """
from typing import Annotated
from zenml import pipeline, step
from zenml.client import Client

OFFSET = 100

class Model:
    def __init__(self, weights):
        self.weights = weights

def fit(values, scale):
    return Model([value * scale + OFFSET for value in values])

@step
def load(upto: int) -> Annotated[list, "numbers"]:
    return list(range(upto))

@step
def total(model) -> Annotated[int, "sum"]:
    return sum(model.weights)

def of(run):
    return Client().get_pipeline_run(run.id).steps
"""
DEFINE = """%%modal_step --define --name train
print("training on", len(values))
model = fit(values, scale)
if len(values) > 2:
    many = True"""
LOADED = """
model = of(run)['train'].outputs['model'][0].load()
alike = type(model) is Model
"""
LOG = """
client = Client()
found = [each for each in client.get_run_step(of(run)["train"].id).log_collection if each.source == "step"]
entries = [entry.message for each in found for entry in client.active_stack.log_store.fetch(each, limit=100).items]
"""


@pytest.fixture(scope="module")
def user(home: Home) -> Iterator[Kernel]:
    """A user whose active stack is ours."""
    kernel = Kernel(home, "defining")
    try:
        kernel.run("%load_ext zenml_modal_nb")
        kernel.run(SETUP)
        yield kernel
    finally:
        kernel.run("Client().activate_stack('default')")
        kernel.close()


def test_without_a_stack_that_can_run_it_the_step_says_what_to_do(user: Kernel) -> None:
    defined = user.run(DEFINE)
    assert "train(values, scale) -> model" in defined.results[0]
    refused = user.attempt("@pipeline\ndef early():\n    train(load(2), 1)\nearly()")
    assert "The active ZenML stack 'default' has no step operator 'modal_notebook'" in refused.evalue
    assert "zenml stack set modal_notebook" in refused.evalue
    user.run("Client().activate_stack('modal_notebook')")


def test_a_pipeline_passes_artifacts_from_a_local_step_through_the_sandbox_to_a_local_step(
    user: Kernel,
) -> None:
    user.run("Client().activate_stack('modal_notebook')")
    user.run(DEFINE)
    reply = user.run(
        "@pipeline(enable_cache=False)\n"
        "def chained():\n"
        "    numbers = load(4)\n"
        "    total(train(numbers, 2))\n"
        "    total(train(values=numbers, scale=3, id='again'), id='total_again')\n"
        "run = chained()"
    )
    assert user.ask("[of(run)[name].outputs['sum'][0].load() for name in ('total', 'total_again')]") == [
        412,
        418,
    ]
    assert user.ask("[each.status.value for each in of(run).values()]") == ["completed"] * 5
    assert user.ask("[alike, 'model' in before]", given=f"before = dir(){LOADED}") == [True, False]
    assert user.ask("of(run)['train'].outputs['many'][0].load()") is True
    assert user.ask("sorted(of(run)['train'].run_metadata)[:2]") == ["billed", "cell_seconds"]
    assert user.ask("[each for each in entries if 'training' in each]", given=LOG) == ["training on 4"]
    assert "[train] done in" in reply.stdout
    assert "training on 4" in reply.stdout


def test_code_and_values_of_other_cells_are_those_of_the_definition(user: Kernel) -> None:
    user.run("Client().activate_stack('modal_notebook')")
    user.run(SETUP)
    user.run(DEFINE)
    user.run("OFFSET = 0\ndef fit(values, scale):\n    return None")
    user.run("run = pipeline(enable_cache=False, name='later')(lambda: train([1], 1) and None)()")
    assert user.ask("model.weights", given=LOADED) == [101]
    assert user.ask("OFFSET") == 0


def test_zenmls_cache_knows_a_change_of_what_the_code_reads(user: Kernel) -> None:
    user.run("Client().activate_stack('modal_notebook')")
    user.run(SETUP)
    ask = "[of(run)['shifted'].status.value, of(run)['shifted'].outputs['moved'][0].load()]"
    user.run("def shift(values):\n    return [value + OFFSET for value in values]")
    ran = []
    for change in ("OFFSET = 7", "OFFSET = 7", "OFFSET = 8"):
        user.run(change)
        user.run("%%modal_step --define --name shifted\nmoved = shift(values)")
        user.run("@pipeline\ndef remembered():\n    shifted([1, 2])\nrun = remembered()")
        ran.append(user.ask(ask))
    assert ran == [["completed", [8, 9]], ["cached", [8, 9]], ["completed", [9, 10]]]


def test_its_files_are_those_of_the_definition_and_what_it_fetches_comes_each_time(user: Kernel) -> None:
    user.run("Client().activate_stack('modal_notebook')")
    user.run("import pathlib, os\n_ = pathlib.Path('given.txt').write_text('then')")
    user.run(
        "%%modal_step --define --name filing --file given.txt --fetch made.txt\n"
        "import pathlib\ntext = pathlib.Path('given.txt').read_text()\n_ = pathlib.Path('made.txt').write_text(text)"
    )
    user.run("os.remove('given.txt')\n@pipeline\ndef files():\n    filing()")
    for _ in range(2):
        user.run("run = files()")
        assert user.ask("[of(run)['filing'].status.value, pathlib.Path('made.txt').read_text()]") == [
            "completed",
            "then",
        ]
        user.run("os.remove('made.txt')")
    assert user.ask("of(run)['filing'].run_metadata['files_sent']") == ["given.txt"]


def test_without_memory_asked_for_it_follows_the_inputs_of_each_run(user: Kernel) -> None:
    user.run("%%modal_step --define --name free\nsize = len(values)")
    user.run("%%modal_step --define --name bound --memory 1GiB\nsize = len(values)")
    asked = "[each.configuration.settings['resources'].memory for each in (free, bound)]"
    assert user.ask(asked) == [None, "1024MiB"]


def test_a_machine_that_the_pipeline_asks_for_is_told_and_priced(user: Kernel) -> None:
    user.run("Client().activate_stack('modal_notebook')")
    user.run("%%modal_step --define --name moved\none = 1")
    user.run(
        "@pipeline(enable_cache=False)\ndef larger():\n"
        "    moved.with_options(settings={'resources': {'memory': '8GiB', 'cpu_count': 4}})()"
    )
    assert "[moved] 4 cores · 8 GiB · would cost $0.76/h" in user.run("run = larger()").stdout
    asked = "[of(run)['moved'].run_metadata[name] for name in ('cpu', 'memory_mib')]"
    assert user.ask(asked) == [4, 8192]


def test_cache_is_the_pipelines_setting_unless_the_definition_says_more(user: Kernel) -> None:
    user.run("%%modal_step --define --name usual\none = 1")
    user.run("%%modal_step --define --name cached --cache\none = 1")
    user.run("%%modal_step --define --name writing --volume data:/data\none = 1")
    asked = "[each.configuration.enable_cache for each in (usual, cached, writing)]"
    assert user.ask(asked) == [None, True, False]


def test_a_step_that_fails_shows_the_cells_own_traceback_and_fails_the_run(user: Kernel) -> None:
    user.run("Client().activate_stack('modal_notebook')")
    user.run("%%modal_step --define --name broken\nbefore = 1\nratio = before / divisor")
    reply = user.attempt("@pipeline(enable_cache=False)\ndef failing():\n    broken(0)\nfailing()")
    assert not reply.ok
    assert "----> 3 ratio = before / divisor" in reply.stderr
    assert "[broken] failed in the cell" in reply.stdout
    status = "Client().list_pipeline_runs(pipeline='failing').items[0].status.value"
    assert user.ask(status) == "failed"


@pytest.mark.slow
def test_an_interrupt_ends_the_sandbox_and_stops_the_run(user: Kernel, home: Home) -> None:
    user.run("Client().activate_stack('modal_notebook')")
    user.run(
        "%%modal_step --define --name endless\nimport time\nprint('waits')\nwhile True:\n    time.sleep(1)"
    )
    cell = user.send("@pipeline(enable_cache=False)\ndef waiting():\n    endless()\nwaiting()")
    user.wait_for_text(cell, "waits")
    user.interrupt()
    reply = user.finish(cell)
    assert reply.ename == "KeyboardInterrupt"
    assert LocalModal(home).sandboxes() == []
    assert user.ask("Client().list_pipeline_runs(pipeline='waiting').items[0].status.value") == "stopped"


@pytest.mark.slow
def test_a_dynamic_pipeline_runs_two_at_once_and_takes_the_failure_of_one(user: Kernel) -> None:
    user.run("Client().activate_stack('modal_notebook')")
    user.run("%%modal_step --define --name halved\nhalf = 12 // parts")
    user.run(
        "@pipeline(dynamic=True, enable_cache=False)\n"
        "def both():\n"
        "    futures = [halved.submit(parts=2), halved.submit(parts=3)]\n"
        "    found.extend(each.load() for each in futures)\n"
        "found = []\nboth();"
    )
    assert user.ask("found") == [6, 4]
    reply = user.attempt(
        "@pipeline(dynamic=True, enable_cache=False)\ndef one_fails():\n    halved.submit(parts=0)\none_fails()"
    )
    assert reply.evalue == "Step `halved` failed."
    assert "----> 2 half = 12 // parts" in reply.stderr
    (status,) = user.ask(
        "[each.status.value for each in Client().list_pipeline_runs(pipeline='one_fails').items]"
    )
    assert status == "failed"


@pytest.mark.slow
def test_an_interrupt_ends_the_sandboxes_that_a_dynamic_pipeline_has_submitted(
    user: Kernel, home: Home
) -> None:
    user.run("Client().activate_stack('modal_notebook')\nimport signal")
    before = user.ask("[repr(signal.getsignal(each)) for each in (signal.SIGINT, signal.SIGTERM)]")
    user.run("%%modal_step --define --name idles\nimport time\nprint('idles', idle)\ntime.sleep(600)")
    user.run(
        "@pipeline(dynamic=True, enable_cache=False)\n"
        "def idle_twice():\n"
        "    futures = [idles.submit(idle=1), idles.submit(idle=2)]\n"
        "    [each.result() for each in futures]"
    )
    cell = user.send("idle_twice()")
    for each in ("idles 1", "idles 2"):
        user.wait_for_text(cell, each)
    user.interrupt()
    assert user.finish(cell).ename == "KeyboardInterrupt"
    assert LocalModal(home).sandboxes() == []
    given = "run = Client().get_pipeline('idle_twice').last_run"
    ended = "[run.status.value, *(each.status.value for each in run.steps.values())]"
    assert user.ask(ended, given=given) == ["stopped"] * 3
    after = user.ask("[repr(signal.getsignal(each)) for each in (signal.SIGINT, signal.SIGTERM)]")
    assert after == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("--define", "--define needs the step's name. Write, for example, --define --name train."),
        ("--define --name x --dry-run", "Leave out --dry-run; --no-dry-run drops a default."),
        ("--define --name x --cache --fetch y", "it cannot be used with --fetch or --volume"),
        ("--define --name x --in scale", "the cell reads 'values', which --in leaves out"),
    ],
)
def test_a_definition_that_cannot_be_is_refused(user: Kernel, line: str, told: str) -> None:
    assert told in user.attempt(f"%%modal_step {line}\nproduct = [v * scale for v in values]").evalue
