"""What a cell's names lead to in a notebook: every definition and value that they need, and no others."""

# ruff: noqa: E501 - a notebook and what it leads to stay on one line

from __future__ import annotations

import sys
import types
from collections.abc import Iterable

import pytest

from zenml_modal_nb.cells.capture import Captured, capture


def notebook(source: str) -> dict[str, object]:
    """Return the namespace of a notebook whose cells have run."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    exec(compile(source, "<notebook>", "exec", dont_inherit=True), namespace)
    return namespace


def captured(source: str, names: str, optional: str = "", attributes: Iterable[str] = ()) -> Captured:
    return capture(names.split(), optional.split(), notebook(source), attributes)


@pytest.mark.parametrize(
    ("feature", "source", "names", "values", "definitions"),
    [
        ("value", "x = 1\ny = 2", "x", "x", ""),
        ("function", "k = 1\ndef f(): return k", "f", "k", "f"),
        ("functions in a row", "k = 1\ndef f(): return g()\ndef g(): return h()\ndef h(): return k", "f", "k", "f g h"),
        ("recursion", "def f(n): return n and f(n - 1)", "f", "", "f"),
        ("nested function", "k = 1\ndef f():\n    def g(): return k\n    return g", "f", "k", "f"),
        ("comprehension", "k = 1\ndef f(r): return [k for _ in r]", "f", "k", "f"),
        ("attribute is no global", "data = [0] * 10\ndef f(x): return x.data", "f", "", "f"),
        ("local is no global", "k = 1\ndef f():\n    k = 2\n    return k", "f", "", "f"),
        ("default", "class A: pass\ndef f(x=A()): return x", "f", "", "A f"),
        ("closure", "k = 1\ndef make():\n    g = lambda: k\n    def f(): return g()\n    return f\nf = make()", "f", "k", "f"),
        ("lambda", "k = 1\nf = lambda: k", "f", "k", "f"),
        ("wrapping decorator", "import functools\nk = 1\ndef deco(f):\n    @functools.wraps(f)\n    def w(): return f() + m\n"
         "    return w\nm = 2\n@deco\ndef f(): return k", "f", "k m", "f"),
        ("lru_cache", "import functools\nk = 1\n@functools.lru_cache\ndef f(): return k", "f", "f k", ""),
        ("contextmanager", "import contextlib\nk = 1\n@contextlib.contextmanager\ndef f(): yield k", "f", "k", "f"),
        ("partial", "import functools\nk = 1\ndef g(a): return k\nf = functools.partial(g, 1)", "f", "f k", ""),
        ("bound method", "k = 1\nclass A:\n    def m(self): return k\nf = A().m", "f", "f k", "A"),
        ("base class", "class A: pass\nclass B(A): pass", "B", "", "A B"),
        ("metaclass", "class M(type): pass\nclass B(metaclass=M): pass", "B", "", "M B"),
        ("method", "k = 1\nclass A:\n    def m(self): return g()\ndef g(): return k", "A", "k", "A g"),
        ("property, class and static method", "k, m, n = 1, 2, 3\nclass A:\n    @property\n    def p(self): return k\n"
         "    @classmethod\n    def c(cls): return m\n    @staticmethod\n    def s(): return n", "A", "k m n", "A"),
        ("cached property", "import functools\nk = 1\nclass A:\n    @functools.cached_property\n    def p(self): return k", "A",
         "k", "A"),
        ("nested class", "k = 1\nclass A:\n    class B:\n        def m(self): return k", "A", "k", "A"),
        ("dataclass", "import dataclasses\nk = []\nclass Row: pass\ndef make(): return k\n@dataclasses.dataclass\nclass A:\n"
         "    r: Row\n    v: object = dataclasses.field(default_factory=make)", "A", "k", "A Row make"),
        ("annotation", "class A: pass\ndef f(a: A): ...", "f", "", "A f"),
        ("quoted annotation", "class A: pass\ndef f(a: 'list[A]'): ...", "f", "", "A f"),
        ("generic annotation", "class A: pass\ndef f(a: dict[str, A] | None): ...", "f", "", "A f"),
        ("instance", "k = 1\nclass A:\n    def m(self): return k\na = A()", "a", "a k", "A"),
        ("instances in containers", "k = 1\nclass A:\n    def m(self): return k\na = {'x': [(A(),)]}", "a", "a k", "A"),
        ("function inside an object", "import types\nk = 1\ndef g(): return k\na = types.SimpleNamespace(func=g)", "a", "a k", "g"),
        ("slots", "k = 1\ndef g(): return k\nclass A:\n    __slots__ = ('v',)\na = A()\na.v = g", "a", "a k", "A g"),
        ("enum", "import enum\nk = 1\nclass E(enum.Enum):\n    X = 1\n    def m(self): return k\ne = E.X", "e", "e k", "E"),
        ("exception", "class Bad(ValueError): pass\ndef f(): raise Bad", "f", "", "Bad f"),
    ],
    ids=lambda value: value if isinstance(value, str) and "\n" not in value and len(value) < 40 else "",
)  # fmt: skip
def test_definitions_lead_to_all_they_need(
    feature: str, source: str, names: str, values: str, definitions: str
) -> None:
    found = captured(source, names)
    assert set(found.values) == set(values.split()), feature
    assert set(found.definitions) >= set(definitions.split()), feature
    assert set(found.definitions) - set(definitions.split()) <= {"g", "deco"}, feature  # reachable besides
    assert found.missing == ()


def test_values_are_the_notebooks_own_objects() -> None:
    namespace = notebook("a = []\nb = a")
    found = capture(["a", "b"], [], namespace)
    assert found.values["a"] is found.values["b"] is namespace["a"]


def test_missing_names_are_reported_unless_optional() -> None:
    found = captured("x = 1", "x zz aa", "x yy")
    assert found.missing == ("aa", "zz")
    assert set(found.values) == {"x"}


def test_modules_go_by_their_import_name() -> None:
    found = captured("import json as j, os.path as p, xml\ndef f(): return j.dumps(1)", "f p")
    assert found.modules == {"j": "json", "p": "posixpath" if p_is_posix() else "ntpath"}
    assert "json" in found.imported


def p_is_posix() -> bool:
    return sys.platform != "win32"


def test_submodules_reached_by_attribute_are_named() -> None:
    found = captured(
        "import xml.etree.ElementTree\nimport xml.dom", "xml", attributes={"etree", "ElementTree", "parse"}
    )
    assert found.submodules == ("xml.etree", "xml.etree.ElementTree")


def test_submodules_reached_inside_a_helper_are_named() -> None:
    found = captured("import xml.etree.ElementTree\ndef f(): return xml.etree.ElementTree.parse", "f")
    assert found.submodules == ("xml.etree", "xml.etree.ElementTree")


def test_functions_and_classes_of_installed_modules_are_references() -> None:
    found = captured("from json import dumps, JSONDecoder\nfrom math import sqrt", "dumps JSONDecoder sqrt")
    assert set(found.references) == {"dumps", "JSONDecoder", "sqrt"}
    assert not found.definitions
    assert {"json", "json.decoder", "math"} <= found.imported


def test_imports_inside_helpers_are_found() -> None:
    found = captured("def f():\n    import csv\n    from xml.dom import minidom\n    return csv", "f")
    assert {"csv", "xml.dom"} <= found.imported


def test_the_types_of_values_tell_where_they_come_from() -> None:
    found = captured(
        "import fractions, decimal\nv = [{'k': (fractions.Fraction(1),)}, {decimal.Decimal(1)}]", "v"
    )
    assert {"fractions", "decimal"} <= found.imported


def test_globals_that_helpers_assign_are_named() -> None:
    found = captured("n = 0\ndef f():\n    global n\n    n += 1\ndef g(): f()", "g")
    assert found.rebinds == ("n",)
    assert set(found.values) == {"n"}


def test_a_module_made_by_hand_is_a_value() -> None:
    namespace = {"__name__": "__main__", "cfg": types.ModuleType("cfg")}
    assert set(capture(["cfg"], [], namespace).values) == {"cfg"}


def test_many_values_do_not_keep_definitions_from_being_followed() -> None:
    source = "class Point:\n    def __init__(self, n): self.n = [n]\n"
    source += "rows = [[[Point(i) for i in range(50)] for _ in range(50)] for _ in range(50)]\n"
    source += "k = 1\ndef z(): return k"
    found = captured(source, "rows z")
    assert set(found.values) == {"rows", "k"}
    assert set(found.definitions) == {"Point", "z"}


def test_values_that_contain_themselves_end_the_walk() -> None:
    found = captured("a = []\na.append(a)\nclass N: pass\nn = N()\nn.me = n", "a n")
    assert set(found.values) == {"a", "n"}


def test_an_object_with_a_wild_getattr_is_not_run() -> None:
    source = "class Wild:\n    def __getattr__(self, name): raise RuntimeError(name)\nw = Wild()"
    assert set(captured(source, "w").values) == {"w"}


def test_what_ipython_puts_into_the_namespace_is_left_to_the_runner() -> None:
    from IPython.core.autocall import ExitAutocall
    from IPython.display import HTML, display

    namespace = {"__name__": "__main__", "display": display, "exit": ExitAutocall(), "HTML": HTML}
    found = capture([], ["display", "exit", "HTML"], namespace)
    assert not found.values
    assert not found.definitions
    assert set(found.references) == {"HTML"}
