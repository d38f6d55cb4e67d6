"""What code of other cells surely does is refused if it cannot work; what it merely may do is left to happen."""

from __future__ import annotations

import linecache
import sys
from itertools import count
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from zenml_modal_nb.cells.cell import analyze
from zenml_modal_nb.errors import CellError

_cells = count(1)


def notebook(source: str) -> dict[str, Any]:
    """A notebook that has run one cell, whose text is kept as IPython keeps it."""
    source, name = dedent(source), f"<ipython-input-{next(_cells)}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(source, name, "exec"), namespace)
    return namespace


def refusal(before: str, cell: str, **options: Any) -> str:
    with pytest.raises(CellError) as refused:
        analyze(dedent(cell), notebook(before), **options)
    return str(refused.value)


FAILS = {
    "a plain read": ("def f(x): return x * FACTOR", "y = 1\nz = f(y)", ["line 2: f() reads 'FACTOR'"]),
    "through another function": (
        "def g(): return FACTOR\ndef f():\n    if g():\n        return 1",
        "f()",
        ["line 1: f(), which calls g() reads 'FACTOR'"],
    ),
    "in a test": ("def f():\n    while READY: pass", "f()", ["READY"]),
    "an iterable": ("def f():\n    for each in ROWS: pass", "[n for n in f()]", ["ROWS"]),
    "after a branch that only binds": (
        "def f(x):\n    if x: y = 1\n    else: y = 2\n    return y * FACTR",
        "f(1)",
        ["FACTR"],
    ),
    "a name like one that exists": ("FACTOR = 2\ndef f(): return FACTR", "f()", ["Did you mean 'FACTOR'?"]),
    "input()": ("def f(): return input('name?')", "\nname = f()", ["line 2: f() calls input()"]),
    "getpass": ("import getpass\ndef f(): return getpass.getpass()", "f()", ["calls getpass.getpass()"]),
    "getpass by its name": (
        "from getpass import getpass\ndef f(): return getpass()",
        "f()",
        ["calls getpass()"],
    ),
    "getpass of the cell": ("", "import getpass\nif 0: getpass.getpass()", ["line 2: getpass()"]),
    "a breakpoint": ("", "x = 1\nbreakpoint()", ["line 2: breakpoint() waits"]),
    "a breakpoint in a helper": (
        "def f(): breakpoint()",
        "y = f()",
        ["line 1: f() calls breakpoint(), which waits"],
    ),
    "getpass of the notebook": ("from getpass import getpass as ask", "ask()", ["line 1: getpass()"]),
}


@pytest.mark.parametrize("case", FAILS)
def test_what_a_helper_surely_does_and_cannot_do_is_refused(case: str) -> None:
    before, cell, words = FAILS[case]
    told = refusal(before, cell)
    for word in words:
        assert word in told
    assert "nothing was created" in told


# Here each of these would work, or fail for another reason and at its own time.
MAY_WORK = {
    "a breakpoint in a branch": ("def f(x):\n    if x: breakpoint()", "if f(0): breakpoint()"),
    "the notebook's own breakpoint": (
        "def breakpoint(): return 1\ndef f(): return breakpoint()",
        "f()\nbreakpoint()",
    ),
    "the cell's own breakpoint": ("", "def breakpoint(): return 1\nbreakpoint()"),
    "a branch": ("def f(x):\n    if x: return MISSING", "f(0)"),
    "the other branch left before": ("def f(x):\n    if not x: return 0\n    return MISSING", "f(0)"),
    "a loop's body": ("def f(x):\n    for _ in x: MISSING", "f([])"),
    "caught": ("def f():\n    try: return MISSING\n    except NameError: return 0", "f()"),
    "caught in the cell": ("def f(): return MISSING", "try: f()\nexcept NameError: pass"),
    "not called": ("def f(): return MISSING", "g = f"),
    "called by a branch of the cell": ("def f(): return MISSING", "if False: f()"),
    "called by a loop of the cell": ("def f(): return MISSING", "for _ in []: f()"),
    "the second operand": ("def f(): return MISSING", "0 and f()"),
    "a lambda": ("def f(): return lambda: MISSING", "f()"),
    "an element": ("def f(): return [MISSING for _ in ()]", "f()"),
    "a generator": ("def f(): yield MISSING", "f()"),
    "a coroutine": ("async def f(): return MISSING", "f().close()"),
    "bound by the cell before": ("def f(): return LATE", "LATE = 1\nf()"),
    "bound by another helper": (
        "def set_up():\n    global LATE\n    LATE = 1\ndef f():\n    set_up()\n    return LATE",
        "f()",
    ),
    "bound unseen": ("def f():\n    globals().update(LATE=1)\n    return LATE", "f()"),
    "bound by exec in the cell": ("def f(): return LATE", "exec('LATE = 1')\nf()"),
    "a star import of the cell": ("def f(): return pi", "from math import *\nf()"),
    "replaced by the cell": ("def f(): return MISSING", "f = lambda: 1\nf()"),
    "decorated": (
        "def never(g): return lambda: 0\n@never\ndef f(): return MISSING",
        "f()",
    ),
    "a method": ("class C:\n    def m(self): return MISSING", "C()"),
    "a parameter of that name": ("def g(MISSING): return MISSING\ndef f(x): return g(x)", "f(1)"),
    "a builtin": ("def f(x): return len(x)", "f([])"),
    "the notebook's own input": ("def input(): return 1\ndef f(): return input()", "f()"),
    "input in a branch": ("def f(x):\n    if x: input()", "f(0)"),
}


@pytest.mark.parametrize("case", MAY_WORK)
def test_what_a_helper_may_do_is_not_refused(case: str) -> None:
    before, cell = MAY_WORK[case]
    namespace = notebook(before)
    analyze(cell, namespace)
    exec(cell, namespace)  # it does work here


def test_a_helper_whose_text_is_unknown_is_not_refused() -> None:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec("def f(): return MISSING", namespace)
    analyze("f()", namespace)


def test_an_import_that_fails_here_is_refused_with_the_option_that_helps() -> None:
    told = refusal("", '"""Text."""\nimport json\nx = 1\nimport no_such_module_.part as p')
    assert "line 4: the module 'no_such_module_' is not installed here" in told
    assert "--pip no-such-module-" in told
    assert "--pip opencv-python-headless" in refusal("", "from cv2 import imread")


@pytest.mark.parametrize(
    ("cell", "options"),
    [
        ("import no_such_module_", {"pip": ("something-else",)}),
        ("%pip install something-else\nimport no_such_module_", {}),
        ("import no_such_module_", {"pip": ("numpy[other]",)}),
        ("import no_such_module_", {"pip": ("https://example.org/x.zip",)}),
        ("import no_such_module_", {"own_image": True}),
        ("try:\n    import no_such_module_\nexcept ImportError:\n    no_such_module_ = None", {}),
        ("if False:\n    import no_such_module_", {}),
        ("def f():\n    import no_such_module_\nf", {}),
        ("import sys\nsys.path.append('.')\nimport no_such_module_", {}),
        ("import sys, types\nsys.modules['no_such_module_'] = types\nimport no_such_module_", {}),
        ("!git clone https://example.org/x\nimport no_such_module_", {}),
    ],
)
def test_an_import_that_may_work_there_is_not_refused(cell: str, options: dict[str, Any]) -> None:
    assert analyze(cell, notebook(""), **options).requirements.not_installed == ("no_such_module_",)


def test_a_package_that_is_here_already_brings_nothing_new() -> None:
    assert "not installed here" in refusal("", "import no_such_module_", pip=("numpy",))


def test_a_module_of_the_users_own_may_make_others_importable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_paths_.py").write_text("import sys\nsys.path.append('lib')")
    monkeypatch.syspath_prepend(str(tmp_path))
    analyze("import own_paths_\nimport no_such_module_", notebook(""))
    assert "own_paths_" not in sys.modules
