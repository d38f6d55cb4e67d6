"""Names inside the texts that `get_ipython()` is given, in a cell and in the notebook's functions."""

from __future__ import annotations

import pytest
from IPython.core.inputtransformer2 import TransformerManager

from zenml_modal_nb.cells.capture import capture
from zenml_modal_nb.cells.cell import analyze
from zenml_modal_nb.cells.names import find_names
from zenml_modal_nb.cells.source import read_source
from zenml_modal_nb.errors import CellError


@pytest.mark.parametrize(
    ("cell", "required", "optional"),
    [
        ("%timeit f(x)", {"f", "x"}, set()),
        ("%timeit -n 10 -r3 -q f(x, -n)", {"f", "x", "n"}, set()),
        ("%timeit -n1 -r 1 y = x; y + 1", {"x"}, set()),
        ("kept = %timeit -o f()", {"f"}, set()),
        ("%%timeit start = a\nfor n in range(start):\n    f(n)", {"a", "f"}, set()),
        ("%%capture out\nx = f(y)\nx", {"f", "y"}, set()),
        ("%%writefile name.py\nx + 1", set(), set()),
        ("get_ipython().system('echo {x} $y')", set(), {"x", "y"}),
        ("ip = get_ipython()\nlines = ip.getoutput('echo {x}')", set(), {"x"}),
        ("get_ipython().ev('x + 1')", {"x"}, set()),
        ("get_ipython().run_line_magic('cd', '{place}')", set(), {"place"}),
        ("def g(y):\n    %timeit f(y, z)\ng(1)", {"f", "z"}, set()),
        ("shelf.system('echo {x}')", {"shelf"}, {"x"}),
        ("a.b.system('echo {x}')", {"a"}, set()),
    ],
)
def test_a_cell_needs_what_its_magics_and_commands_read(
    cell: str, required: set[str], optional: set[str]
) -> None:
    names = find_names(read_source(cell).text)
    assert names.required == required
    assert names.optional == optional


def test_an_undefined_name_in_what_is_timed_is_refused() -> None:
    with pytest.raises(CellError, match=r"line 2: 'absent' is not defined"):
        analyze("x = 1\n%timeit absent(x)", {})


def test_what_is_timed_imports_what_it_needs() -> None:
    analyzed = analyze("%timeit import numpy; numpy.zeros(n)", {"n": 3})
    assert [pin.partition("==")[0] for pin in analyzed.requirements.pinned] == ["numpy"]


def test_helpers_bring_what_their_magics_and_commands_read() -> None:
    namespace: dict[str, object] = {"__name__": "__main__", "word": "w", "n": 3, "other": 1, "place": "/"}
    helpers = (
        "def shout():\n    out = !echo {word}\n    return out\n"
        "def measure():\n    %timeit -n 2 helper(n)\n    %cd {place}\n"
        "def helper(n): return n\n"
        "def show():\n    !echo {word}\n"
    )
    exec(TransformerManager().transform_cell(helpers), namespace)
    assert set(capture(["shout"], (), namespace).values) == {"word"}
    measured = capture(["measure"], (), namespace)
    assert set(measured.values) == {"n", "place"}
    assert set(measured.definitions) == {"measure", "helper"}
    assert capture(["show"], (), namespace).rebinds == ("_exit_code",)
    assert capture(["shout"], (), namespace).rebinds == ()


def test_the_words_of_a_magic_are_no_names_of_variables() -> None:
    namespace: dict[str, object] = {"__name__": "__main__", "data": [0] * 10, "n": 3}
    helpers = "def enter():\n    %cd data\n    !ls\ndef evaluate():\n    return get_ipython().ev('n + 1')\n"
    exec(TransformerManager().transform_cell(helpers), namespace)
    assert set(capture(["enter"], (), namespace).values) == set()
    assert set(capture(["evaluate"], (), namespace).values) == {"n"}


def test_a_commands_status_comes_back() -> None:
    assert analyze("get_ipython().system('true')", {}).optional_outputs == ("_exit_code",)
    assert analyze("x = get_ipython().getoutput('true')", {}).optional_outputs == ()


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("%timeit -v best -n 2 f()", "best = get_ipython().run_line_magic('timeit', '-o -n 2 f()')\n"),
        ("%%capture\nx", "get_ipython().capture('')[1];\nx\n"),
        ("%%capture --no-stderr out\nx", "out = get_ipython().capture('--no-stderr out')[1]\nx\n"),
        (
            "#\n%%writefile -a f\na\nb",
            "\nget_ipython().run_cell_magic('writefile', '-a f', 'a\\nb\\n')\n\n\n",
        ),
        ("%%timeit a = 1\na\n!ls", None),
    ],
)
def test_magics_become_python_line_by_line(cell: str, text: str | None) -> None:
    found = read_source(cell).text
    assert text is None or found == text
    assert found.count("\n") == cell.count("\n") + 1
