"""A cell and its notebook become one object that later stages read, or one message that says all that is wrong."""

from __future__ import annotations

from importlib import metadata

import pytest

from zenml_modal_nb.cells.cell import AnalyzedCell, analyze
from zenml_modal_nb.errors import CellError


def notebook(source: str = "") -> dict[str, object]:
    namespace: dict[str, object] = {"__name__": "__main__"}
    exec(compile(source, "<notebook>", "exec", dont_inherit=True), namespace)
    return namespace


def refused(cell: str, source: str = "", **options: object) -> str:
    with pytest.raises(CellError) as caught:
        analyze(cell, notebook(source), **options)
    return str(caught.value)


def test_a_training_cell_is_understood() -> None:
    before = """
import numpy as np
from sklearn.linear_model import LogisticRegression
SCALE = 2.0
def scaled(x): return np.asarray(x) * SCALE
def train(x, y): return LogisticRegression().fit(scaled(x), y)
X, y, unused = [[0.0], [1.0]], [0, 1], "big"
"""
    cell = analyze("%pip install xgboost\nmodel = train(X, y)\nmodel.score(scaled(X), y)", notebook(before))
    assert cell.source.pip == ("xgboost",)
    assert set(cell.captured.values) == {"X", "y", "SCALE"}
    assert set(cell.captured.definitions) == {"train", "scaled"}
    assert cell.captured.modules == {"np": "numpy"}
    assert set(cell.captured.references) == {"LogisticRegression"}
    assert cell.requirements.pinned == (
        f"numpy=={metadata.version('numpy')}",
        f"scikit-learn=={metadata.version('scikit-learn')}",
        "xgboost",
    )
    assert (cell.outputs, cell.optional_outputs) == (("model",), ())
    assert cell.default_name == "model"


def test_imports_of_the_cell_are_imported_again_instead_of_shipped() -> None:
    cell = analyze("import json as j\nfrom math import pi\nfrom string import *\nx = j.dumps(pi)", notebook())
    assert cell.outputs == ("x",)
    assert [entry.statement for entry in cell.imported_names] == [
        "import json as j",
        "from math import pi",
        "from string import *",
    ]


def test_a_name_that_is_only_sometimes_a_module_comes_back_like_any_other() -> None:
    cell = analyze("try:\n    import json as j\nexcept ImportError:\n    j = None", notebook())
    assert (cell.outputs, cell.imported_names) == (("j",), ())


def test_underscore_names_come_back_and_a_throwaway_is_no_result() -> None:
    cell = analyze("_tmp = 1\n_, __, _i3 = 1, 2, 3\nfor _ in (): pass", notebook())
    assert (cell.outputs, cell.optional_outputs) == (("_tmp",), ("_", "__"))


def test_the_status_of_a_command_comes_back_but_is_no_result_of_the_step() -> None:
    cell = analyze("!exit 3\nx = 1", notebook())
    assert (cell.outputs, cell.optional_outputs) == (("x",), ("_exit_code",))
    assert analyze("!exit 3", notebook(), outputs=("_exit_code",)).outputs == ("_exit_code",)


def test_names_bound_on_some_paths_and_globals_of_helpers_may_come_back() -> None:
    cell = analyze(
        "if f(): q = 1\nelse: w = 2\ndel old",
        notebook("n, old = 0, 1\ndef f():\n    global n\n    n += 1\n    return n"),
    )
    assert cell.outputs == ()
    assert cell.optional_outputs == ("q", "w", "n")
    assert cell.deleted == ("old",)


def test_the_notebooks_own_builtin_is_an_input() -> None:
    assert set(analyze("sum([1])", notebook("def sum(v): return v")).captured.definitions) == {"sum"}
    assert not analyze("sum([1])", notebook()).captured.definitions


def test_the_notebooks_own_input_function_may_be_called() -> None:
    cell = analyze("input('?')", notebook("def input(prompt): return 'y'"))
    assert set(cell.captured.definitions) == {"input"}
    analyze("def input(p): return p\ninput('?')", notebook())
    analyze("def f(input): return input('?')\nf(str)", notebook())


def test_inputs_can_be_chosen() -> None:
    before = "a, b, c = 1, 2, 3\ndef f(): return k\nk = 4"
    cell = analyze("x = a + f()", notebook(before), inputs=("a", "b"))
    assert set(cell.captured.values) == {"a", "b", "k"}
    assert set(cell.captured.definitions) == {"f"}


def test_outputs_can_be_chosen() -> None:
    source = "import json\na, b = 1, 2\nif a: c = 3\nd.append(1)"
    cell = analyze(source, notebook("d = []"), outputs=("b", "c", "d", "json"))
    assert cell.outputs == ("b", "json")
    assert cell.optional_outputs == ("c", "d")
    assert cell.imported_names == ()


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("model = f()\nscore = 1", "model"),
        ("import json\nimport re", "cell"),
        ("f()", "f"),
        ("obj.fit(1)", "cell"),
        ("print(f())", "f"),
        ("for _ in range(2): sleep(0)", "cell"),
        ("[].append(f)", "cell"),
        ("_x = f()", "f"),
        ("1 + 1", "cell"),
        ("", "cell"),
        (f"{'v' * 60} = 1", "v" * 40),
        ("größe = 1", "cell"),
        ("!ls", "cell"),
        ("%time f()", "f"),
    ],
)
def test_a_step_is_named_after_the_cell(source: str, name: str) -> None:
    before = "import types\nfrom time import sleep\ndef f(): return 1\nobj = types.SimpleNamespace(fit=f)"
    assert analyze(source, notebook(before)).default_name == name


def test_all_undefined_names_are_told_at_once_with_lines_and_hints() -> None:
    message = refused(
        "a = 1\nprint(datas)\nnp.sum(a)\njson.dumps(modle)\nqqq", "data, model = 1, 2", first_line=2
    )
    assert message.splitlines() == [
        "line 3: 'datas' is not defined. Did you mean 'data'?",
        "line 4: 'np' is not defined. Is `import numpy as np` missing?",
        "line 5: 'json' is not defined. Is `import json` missing?",
        "line 5: 'modle' is not defined. Did you mean 'model'?",
        "line 6: 'qqq' is not defined.",
        "Run the cell that defines it, or correct the name; nothing was created.",
    ]


def test_an_undefined_name_that_is_counted_up_is_told_at_its_line() -> None:
    assert refused("x = 1\ncount += x").startswith("line 2: 'count' is not defined.")


def test_an_absent_input_is_refused() -> None:
    assert refused("x = 1", "data = 1", inputs=("dta",)) == (
        "--in dta: the notebook has no 'dta'. Did you mean 'data'?\nName variables that exist; nothing was created."
    )
    assert "Did you mean" not in refused("x = 1", "data = 1", inputs=("inn",))  # `min` is no variable


def test_an_input_left_out_is_refused() -> None:
    assert refused("x = a + b", "a, b = 1, 2", inputs=("a",)) == (
        "line 1: the cell reads 'b', which --in leaves out.\nAdd it: --in …,b; nothing was created."
    )


def test_an_output_never_bound_is_refused() -> None:
    assert refused("model = 1", outputs=("modl",)) == (
        "--out modl: the cell never binds 'modl'. Did you mean 'model'?\nIt binds model; nothing was created."
    )
    assert "It binds no name;" in refused("1", outputs=("x",))
    assert "Did you mean" not in refused("1", outputs=("opn",))  # `open` is nothing that a cell binds


def test_input_is_refused() -> None:
    assert refused("x = 1\nname = input('?')", first_line=2) == (
        "line 3: input() cannot ask anybody in a sandbox. Call it in a cell of its own and use the variable here; "
        "nothing was created."
    )


def test_warnings_of_the_cell_are_left_to_the_cell() -> None:
    assert isinstance(
        analyze("s = '\\d'\ns is 'x'", notebook()), AnalyzedCell
    )  # warnings are errors in these tests


def test_analysis_leaves_the_notebook_as_it_was() -> None:
    namespace = notebook("x = [1]\ndef f(): return x")
    before = dict(namespace)
    analyze("y = f()\nx.append(2)", namespace)
    assert namespace == before
