"""The notebook ends in the same state as if the cell had run here."""

from __future__ import annotations

import pytest
from frontend import Kernel


def test_functions_classes_and_names_of_other_cells_are_there_and_classes_keep_their_identity(
    kernel: Kernel,
) -> None:
    kernel.run("OFFSET = 3\ndef countdown(n):\n    return [] if n == 0 else [n + OFFSET, *countdown(n - 1)]")
    kernel.run("class Point:\n    def __init__(self, x):\n        self.x = x\n\norigin = Point(0)")
    kernel.run(
        "%%modal_step\npoints = [Point(x) for x in countdown(3)]\nknown = isinstance(origin, Point)\norigin2 = origin"
    )
    assert kernel.ask("[each.x for each in points]") == [6, 5, 4]
    assert kernel.ask("[type(points[0]) is Point, known, isinstance(origin2, Point)]") == [True, True, True]


def test_classes_of_the_notebook_and_of_cells_stay_the_same_from_cell_to_cell(kernel: Kernel) -> None:
    kernel.run("class Dog: pass\nrex = Dog()")
    kernel.run("%%modal_step\nclass Cat: pass\ntom, fido = Cat(), Dog()\nkinds = {Dog: 'dog', Cat: 'cat'}")
    kernel.run(
        "%%modal_step\nkit = Cat()\n"
        "there = [type(tom) is Cat, type(fido) is type(rex) is Dog, kinds[Cat], kinds[type(rex)]]"
    )
    assert kernel.ask("there") == [True, True, "cat", "dog"]
    assert kernel.ask("[type(kit) is type(tom) is Cat, type(fido) is type(rex) is Dog, kinds[Cat], kinds[Dog]]") == [
        True, True, "cat", "dog",
    ]  # fmt: skip


def test_a_function_made_remotely_uses_the_notebooks_own_globals(kernel: Kernel) -> None:
    kernel.run("factor = 2")
    kernel.run("%%modal_step\ndef scaled(x):\n    return x * factor\nhere = scaled(10)")
    kernel.run("factor = 5")
    assert kernel.ask("[here, scaled(10)]") == [20, 50]


def test_the_last_expression_is_displayed_once_as_the_cells_own_result(kernel: Kernel) -> None:
    reply = kernel.run("%%modal_step\nlast_x = 41\nlast_x + 1")
    assert reply.results == ["42"]
    number = reply.content["execution_count"]
    assert kernel.ask(f"[Out[{number}], _, last_x]") == [42, 42, 41]


def test_a_semicolon_or_an_assignment_shows_nothing(kernel: Kernel) -> None:
    for cell in ("%%modal_step\n1 + 1;", "%%modal_step\nquiet_y = 3", "%%modal_step\nNone"):
        assert kernel.run(cell).results == [], cell


def test_arrays_and_tables_come_and_go(kernel: Kernel) -> None:
    kernel.run("import numpy as np, pandas as pd\ntable = pd.DataFrame({'a': [1, 2, 3]})\ngrid = np.eye(3)")
    kernel.run(
        "%%modal_step --gpu T4\ntotals = table.assign(b=table.a * 2).sum()\ntrace = np.trace(grid)\ngrid2 = grid + 1"
    )
    assert kernel.ask("[int(totals.b), float(trace), type(totals).__name__, grid2.shape]") == [
        12,
        3.0,
        "Series",
        [3, 3],
    ]


def test_twenty_megabytes_go_in_and_come_out_unchanged(kernel: Kernel) -> None:
    kernel.run("import numpy as np\nbig = np.random.default_rng(0).random(2_621_440)")
    kernel.run("%%modal_step\nback = big[::-1].copy()\nsame_size = big.nbytes")
    assert kernel.ask("[bool((back[::-1] == big).all()), same_size]") == [True, 20 * 1024 * 1024]


def test_every_alphabet_survives_the_way(kernel: Kernel) -> None:
    kernel.run("word = 'žluťoučký kůň 🦄 漢字 עברית'")
    reply = kernel.run("%%modal_step\nfor _i in range(400):\n    print(word)\nparts = word.split()")
    assert reply.stdout == "žluťoučký kůň 🦄 漢字 עברית\n" * 400
    assert kernel.ask("parts") == ["žluťoučký", "kůň", "🦄", "漢字", "עברית"]


def test_three_thousand_lines_are_complete_and_in_order_on_both_streams(kernel: Kernel) -> None:
    """The server keeps 64 KiB of each stream and is read late: most of this is dropped there."""
    reply = kernel.run(
        "%%modal_step\n"
        "import sys\n"
        "for n in range(3000):\n"
        "    print(n, 'o' * 90)\n"
        "for n in range(3000):\n"
        "    print(n, 'e' * 90, file=sys.stderr)"
    )
    assert reply.stdout.splitlines() == [f"{n} {'o' * 90}" for n in range(3000)]
    assert reply.stderr.splitlines() == [f"{n} {'e' * 90}" for n in range(3000)]
    assert kernel.ask("len(_modal_run.logs().splitlines())") == 6000


def test_what_child_processes_print_arrives_too(kernel: Kernel) -> None:
    reply = kernel.run(
        "%%modal_step\nimport subprocess\nsubprocess.run(['sh', '-c', 'echo child; echo bad >&2'])\n!echo shell"
    )
    assert reply.stdout == "child\nshell\n"
    assert reply.stderr == "bad\n"


def test_a_progress_bar_is_one_line_not_one_per_update(kernel: Kernel) -> None:
    reply = kernel.run(
        "%%modal_step\n"
        "import sys\n"
        "for n in range(500):\n"
        "    sys.stderr.write(f'\\r{n + 1}/500')\n"
        "    sys.stderr.flush()\n"
        "sys.stderr.write('\\n')"
    )
    assert reply.stderr.count("\n") == 1
    assert reply.stderr.rstrip().rpartition("\r")[2] == "500/500"


def test_what_is_bound_on_some_paths_only_comes_back_when_it_was(kernel: Kernel) -> None:
    kernel.run("chosen = True")
    kernel.run("%%modal_step\nif chosen:\n    taken = 1\nelse:\n    not_taken = 2")
    assert kernel.ask("['taken' in globals(), 'not_taken' in globals()]") == [True, False]


def test_a_deleted_name_is_deleted_and_an_imported_one_imported(kernel: Kernel) -> None:
    kernel.run("doomed = 1")
    kernel.run(
        "%%modal_step\nimport statistics as stats_module\nkept = stats_module.mean([doomed, 3])\ndel doomed"
    )
    assert kernel.ask("['doomed' in globals(), stats_module.__name__, kept]") == [False, "statistics", 2]


def test_augmented_assignment_loops_and_await_work_at_top_level(kernel: Kernel) -> None:
    kernel.run("running_total = 1")
    kernel.run(
        "%%modal_step\n"
        "import asyncio\n"
        "async def three():\n"
        "    await asyncio.sleep(0)\n"
        "    return 3\n"
        "for each in range(3):\n"
        "    running_total += each\n"
        "awaited = await three()"
    )
    assert kernel.ask("[running_total, each, awaited]") == [4, 2, 3]


def test_an_input_changed_in_place_is_changed_here(kernel: Kernel) -> None:
    kernel.run("history = [1]\nalias = history")
    kernel.run("%%modal_step\nhistory.append(2)\nlength = len(history)")
    assert kernel.ask("[history, length, alias is history]") == [[1, 2], 2, True]


def test_what_the_cell_binds_to_an_input_is_that_input(kernel: Kernel) -> None:
    kernel.run("base = [[1], 2]")
    kernel.run(
        "%%modal_step\nsame = base\nboxed = {'base': base}\nfirst_part = base[0]\nbase.append(3)\nbase"
    )
    assert kernel.ask("[same is base, boxed['base'] is base, first_part is base[0], _ is base, base]") == [
        True,
        True,
        True,
        True,
        [[1], 2, 3],
    ]


def test_changes_come_back_from_a_cell_that_fails_and_are_recorded(kernel: Kernel) -> None:
    kernel.run("import numpy as np\nweights = np.zeros(4)\nview_of_weights = weights[1:]\ndropped = 1")
    reply = kernel.attempt(
        "%%modal_step --name improve\nweights += 2\ndel dropped\nraise RuntimeError('enough')"
    )
    assert reply.ename == "RuntimeError"
    assert kernel.ask("[view_of_weights.tolist(), 'dropped' in globals()]") == [[2, 2, 2], False]
    kernel.run(
        "from zenml.client import Client\n"
        "saved = Client().get_pipeline_run(_modal_run.id).steps['improve'].outputs"
    )
    assert kernel.ask("saved['weights'][0].load().tolist()") == [2, 2, 2, 2]


def test_named_outputs_are_all_that_is_written(kernel: Kernel) -> None:
    kernel.run("used, model_data = [1], [2]")
    kernel.run(
        "%%modal_step --out fitted\nused.append(0)\nmodel_data.append(0)\nfitted = [model_data]\nscrap = 1"
    )
    assert kernel.ask("[used, fitted, fitted[0] is model_data, 'scrap' in globals()]") == [
        [1],
        [[2, 0]],
        True,
        False,
    ]


def test_what_cannot_come_back_is_told_and_not_defined_here_and_loses_nothing_else(kernel: Kernel) -> None:
    kernel.run("diary, guard = [], 'older'")
    reply = kernel.run(
        "%%modal_step --name left\nimport threading\ndiary.append(1)\nguard = threading.Lock()\nfine = [diary]"
    )
    assert reply.stderr == (
        "guard is not in the notebook, it cannot come back: TypeError: cannot pickle '_thread.lock' object\n"
    )
    assert "outputs: fine" in reply.panel
    assert kernel.ask("[diary, fine[0] is diary, 'guard' in globals()]") == [[1], True, False]
    kernel.run(
        "from zenml.client import Client\nleft = Client().get_pipeline_run(_modal_run.id).steps['left']"
    )
    assert kernel.ask(
        "[left.status.value, sorted(left.outputs), dict(left.run_metadata)['not_returned']]"
    ) == [
        "completed",
        ["diary", "fine"],
        {"guard": "TypeError: cannot pickle '_thread.lock' object"},
    ]


def test_an_output_that_was_asked_for_and_cannot_come_back_is_an_error(kernel: Kernel) -> None:
    kernel.run("gate = 'older'")
    reply = kernel.attempt(
        "%%modal_step --out gate,good\nimport threading\ngate = threading.Lock()\ngood = 1"
    )
    assert reply.ename == "ResultError"
    assert "gate: TypeError: cannot pickle '_thread.lock' object" in reply.evalue
    assert "some results could not come back" in reply.panel
    assert kernel.ask("[gate, good]") == ["older", 1]


def test_a_change_that_cannot_come_back_is_an_error(kernel: Kernel) -> None:
    kernel.run("registry = {}")
    reply = kernel.attempt("%%modal_step\nimport threading\nregistry['lock'] = threading.Lock()\ndone = 1")
    assert reply.ename == "ResultError"
    assert "registry: what the cell changed in it cannot come back" in reply.evalue
    assert kernel.ask("[registry, done]") == [{}, 1]


def test_an_unchanged_input_is_saved_to_zenml_once(kernel: Kernel) -> None:
    kernel.run("import numpy as np\nstable = np.arange(9)\nnotes = ['a']")
    kernel.run("%%modal_step --name once\nfirst_sum = stable.sum() + len(notes)")
    kernel.run("notes.append('b')")
    kernel.run("%%modal_step --name twice\nsecond_sum = stable.sum() + len(notes)")
    kernel.run(
        "from zenml.client import Client\n"
        "versions = {name: [each.version for each in Client().list_artifact_versions(artifact=name)]\n"
        "            for name in ('stable', 'notes')}\n"
        "step = Client().get_pipeline_run(_modal_run.id).steps['twice']"
    )
    assert kernel.ask("{name: len(found) for name, found in versions.items()}") == {"stable": 1, "notes": 2}
    assert kernel.ask("[step.inputs['stable'][0].load().tolist(), step.inputs['notes'][0].load()]") == [
        list(range(9)),
        ["a", "b"],
    ]


def test_what_a_cell_has_made_or_changed_is_the_same_artifact_as_the_next_ones_input(kernel: Kernel) -> None:
    def artifacts(step: str, kind: str) -> dict[str, str]:
        given = (
            "from zenml.client import Client\n"
            f"found = Client().get_pipeline_run(_modal_run.id).steps['{step}'].{kind}"
        )
        return dict(kernel.ask("{name: str(each[0].id) for name, each in found.items()}", given=given))

    kernel.run("import numpy as np\ncounts = np.zeros(2_000_000)\nwords = ['a']")  # 16 MB go by the volume
    kernel.run(
        "%%modal_step --name make\nrates = counts + 1\npair = [1, words]\nwords.append('b')\ncounts[0] = 7"
    )
    made = artifacts("make", "outputs")
    reading = "%%modal_step --name read\nread_total = rates.sum() + len(pair) + len(words) + counts[0]"
    kernel.run(reading)
    assert artifacts("read", "inputs") == made
    kernel.run("rates[0] = 3\nwords.append('c')")
    kernel.run(reading)
    then = artifacts("read", "inputs")
    changed = {name for name in made if then[name] != made[name]}
    assert changed == {"rates", "words", "pair"}  # which holds `words`


def test_values_of_the_notebooks_classes_are_artifacts_that_load(kernel: Kernel) -> None:
    kernel.run(
        "class Station:\n    def __init__(self, name): self.name = name\n"
        "    def shout(self): return self.name.upper()\n"
        "from pathlib import Path\nwhere, stop = Path('some/where'), Station('old')"
    )
    kernel.run(
        "%%modal_step --name travel\nstations = [stop, Station('new')]\nhere = where / 'x'\n"
        "shout = stop.shout\nplain = [1]"
    )
    kernel.run(
        "from zenml.client import Client\n"
        "step = Client().get_pipeline_run(_modal_run.id).steps['travel']\n"
        "out = {name: found[0].load() for name, found in step.outputs.items()}\n"
        "made = {name: found[0].materializer.attribute for name, found in step.outputs.items()}"
    )
    assert kernel.ask(
        "[[each.shout() for each in out['stations']], isinstance(out['stations'][0], Station), str(out['here']),"
        " out['shout'](), step.inputs['where'][0].load() == where, made['plain'], made['stations']]"
    ) == [
        ["OLD", "NEW"],
        True,
        "some/where/x",
        "OLD",
        True,
        "BuiltInContainerMaterializer",
        "PickledValueMaterializer",
    ]


def test_a_seeded_notebook_draws_the_same_numbers_wherever_its_cells_run(kernel: Kernel) -> None:
    kernel.run("import random, numpy as np\nrandom.seed(11); np.random.seed(11)")
    kernel.run("expected = [random.random() for _ in range(3)], np.random.rand(3).tolist()")
    kernel.run("random.seed(11); np.random.seed(11)\ndrawn = [(random.random(), np.random.rand())]")
    kernel.run("%%modal_step\nimport random, numpy as np\ndrawn.append((random.random(), np.random.rand()))")
    kernel.run("drawn.append((random.random(), np.random.rand()))")
    assert kernel.ask("[list(each) for each in zip(*drawn)] == list(expected)") is True


def test_settings_of_the_notebook_hold_in_the_cell_and_the_cells_hold_afterwards(kernel: Kernel) -> None:
    kernel.run(
        "import numpy as np, pandas as pd\nnp.set_printoptions(precision=2)\npd.set_option('display.precision', 1)"
    )
    reply = kernel.run(
        "%%modal_step\nimport numpy as np, pandas as pd, warnings\n"
        "print(np.array([1 / 3]), pd.Series([1 / 3]).to_string(index=False))\n"
        "np.set_printoptions(precision=3)\npd.reset_option('display.precision')\n"
        "warnings.filterwarnings('ignore', message='as decided in the cell')"
    )
    assert reply.stdout.split() == ["[0.33]", "0.3"]
    reply = kernel.run(
        "import warnings\nprint(np.array([1 / 3]), pd.get_option('display.precision'))\n"
        "warnings.warn('as decided in the cell')\nnp.set_printoptions()"
    )
    assert (reply.stdout, reply.stderr) == ("[0.333] 6\n", "")


def test_plots_and_rich_displays_arrive_in_the_cell(kernel: Kernel) -> None:
    reply = kernel.run(
        "%%modal_step\n"
        "import matplotlib.pyplot as plt\n"
        "from IPython.display import HTML, display\n"
        "display(HTML('<b>rich</b>'))\n"
        "plt.plot([1, 2])\n"
        "plt.show()\n"
        "print('after')"
    )
    rich, plot = reply.displays
    assert rich["data"]["text/html"] == "<b>rich</b>"
    assert plot["data"]["image/png"]
    assert reply.stdout == "after\n"


@pytest.mark.parametrize("option", ["", "--dry-run", "--define --name holding"])
def test_what_a_cell_has_read_is_not_kept_alive(kernel: Kernel, option: str) -> None:
    kernel.run("import gc, weakref\nclass Held(list): pass\nheld = Held([1, 2])\nwatched = weakref.ref(held)")
    kernel.run(f"%%modal_step {option}\nlength = len(held)")
    kernel.run("del held\ncollected = gc.collect()")
    assert kernel.ask("watched() is None")


def test_an_edited_module_beside_the_notebook_runs_as_it_is_now_without_a_reload(kernel: Kernel) -> None:
    write = "edited_path = __import__('pathlib').Path('edited_beside.py')\nwritten = edited_path.write_text"
    kernel.run(f"{write}('def word():\\n    return \"first\"\\n')\nimport edited_beside")
    kernel.run("%%modal_step\nbefore_edit = edited_beside.word()")
    kernel.run(f"{write}('def word():\\n    return \"second, longer\"\\n')")
    kernel.run("%%modal_step\nafter_edit = edited_beside.word()")
    assert kernel.ask("[before_edit, after_edit]") == ["first", "second, longer"]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_functions_of_other_cells_run_in_a_pool_of_processes(kernel: Kernel, method: str) -> None:
    kernel.run("POOL_FACTOR = 3\ndef pool_scaled(n):\n    return n * POOL_FACTOR")
    kernel.run(
        "%%modal_step\nimport multiprocessing\n"
        f"with multiprocessing.get_context({method!r}).Pool(2) as pool:\n"
        "    pooled = pool.map(pool_scaled, range(4))\n"
        "del pool"
    )
    assert kernel.ask("pooled") == [0, 3, 6, 9]


def test_a_program_that_the_cell_starts_imports_what_the_notebook_defines(kernel: Kernel) -> None:
    kernel.run("def imported_helper(n):\n    return n + 40")
    reply = kernel.run(
        "%%modal_step\nimport subprocess, sys\nimported_helper\n"
        "script = 'from notebook_definitions import imported_helper; print(imported_helper(2))'\n"
        "subprocess.run([sys.executable, '-c', script], check=True)"
    )
    assert "42\n" in reply.stdout
