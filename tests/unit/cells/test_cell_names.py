"""Awkward snippets, one feature each: what they take from the notebook and what they give back."""

# ruff: noqa: E501 - a snippet and its names stay on one line

from __future__ import annotations

import ast
import builtins
import symtable
import sys
from dataclasses import dataclass

import pytest
from pyflakes import checker, messages

from zenml_modal_nb.cells.names import Import, find_names


@dataclass(frozen=True)
class Snippet:
    feature: str
    source: str
    required: str = ""
    optional: str = ""
    bound: str = ""
    maybe: str = ""
    deleted: str = ""


SNIPPETS = [
    Snippet("rebinding from itself", "df = df.dropna()", "df", bound="df"),
    Snippet("augmented assignment", "x += 1", "x", bound="x"),
    Snippet("augmented attribute", "model.n += step", "model step"),
    Snippet("item assignment binds nothing", "d[k] = v", "d k v"),
    Snippet("delete", "del old", "old", deleted="old"),
    Snippet("delete what the cell bound", "t = 1\ndel t", deleted="t"),
    Snippet("delete on one path", "if c:\n    del t", "c t", maybe="t", deleted="t"),
    Snippet("delete in a function", "def f():\n    global t\n    del t\nf()", "t", bound="f", maybe="t", deleted="t"),
    Snippet("delete an item", "del d['k']", "d"),
    Snippet("bind again after delete", "del t\nt = 2", "t", bound="t"),
    Snippet("two targets", "a, (b, *c) = f()", "f", bound="a b c"),
    Snippet("chained assignment", "a = b = n", "n", bound="a b"),
    Snippet("swap", "a, b = b, a", "a b", bound="a b"),
    Snippet("conditional assignment, then read", "if c:\n    q = 1\nprint(q)", "c", "q", maybe="q"),
    Snippet("both branches bind", "if c:\n    q = 1\nelse:\n    q = 2\nprint(q)", "c", bound="q"),
    Snippet("elif without else", "if c:\n    q = 1\nelif d:\n    q = 2", "c d", maybe="q"),
    Snippet("branch that raises", "if c:\n    q = 1\nelse:\n    raise E\nq", "c E", bound="q"),
    Snippet("constant condition", "if True:\n    q = 1\nq", bound="q"),
    Snippet("branch never taken", "if False:\n    r = q", optional="q", maybe="r"),
    Snippet("for", "for i in rows:\n    last = i\nprint(last)", "rows", "last", maybe="i last"),
    Snippet("for over its own target", "for rows in rows:\n    pass", "rows", maybe="rows"),
    Snippet("for-else", "for i in rows:\n    if i: break\nelse:\n    i = None", "rows", bound="i"),
    Snippet("else of a loop without break", "for i in rows:\n    pass\nelse:\n    e = 1", "rows", bound="e", maybe="i"),
    Snippet("while", "while n:\n    n -= 1\n    m = n", "n", maybe="n m"),
    Snippet("while True binds before break", "while True:\n    v = f()\n    if v: break\nv", "f", bound="v"),
    Snippet("break before binding", "while True:\n    if f(): break\n    v = 1\nv", "f", "v", maybe="v"),
    Snippet("while-else", "while n:\n    break\nelse:\n    e = 1", "n", maybe="e"),
    Snippet("continue", "for i in rows:\n    if i: continue\n    v = i", "rows", maybe="i v"),
    Snippet("import or else", "try:\n    import torch\nexcept ImportError:\n    torch = None\ntorch", bound="torch"),
    Snippet("try binds, handler does not", "try:\n    v = f()\nexcept E:\n    pass\nv", "f E", "v", maybe="v"),
    Snippet("try and handler bind", "try:\n    v = f()\nexcept E:\n    v = 0\nv", "f E", bound="v"),
    Snippet("handler raises again", "try:\n    v = f()\nexcept E:\n    raise\nv", "f E", bound="v"),
    Snippet("try-else", "try:\n    f()\nexcept E:\n    w = 0\nelse:\n    w = 1", "f E", bound="w"),
    Snippet("finally", "try:\n    f()\nfinally:\n    w = 1", "f", bound="w"),
    Snippet("handler's name is gone after it", "try:\n    f()\nexcept E as e:\n    print(e)", "f E", "e", maybe="e", deleted="e"),
    Snippet("handler's name, bound before", "e = 0\ntry:\n    f()\nexcept E as e:\n    pass", "f E", maybe="e", deleted="e"),
    Snippet("missing name caught", "try:\n    cfg\nexcept NameError:\n    cfg = 1", optional="cfg", maybe="cfg"),
    Snippet("missing name caught by all", "try:\n    go(x)\nexcept Exception:\n    pass", optional="go x"),
    Snippet("except group", "try:\n    f()\nexcept* E as g:\n    h = g", "f E", "g", maybe="g h", deleted="g"),
    Snippet("guarded by globals()", "if 'x' in globals():\n    use(x)", optional="use x"),
    Snippet("guarded expression", "y = x if 'x' in globals() else 0", optional="x", bound="y"),
    Snippet("with", "with open(p) as f:\n    t = f.read()\nt", "p", bound="f t"),
    Snippet("with two items", "with a as b, b as (c, d):\n    pass", "a", bound="b c d"),
    Snippet("with suppress", "with suppress(KeyError):\n    v = d[k]\nv", "suppress d k", "v", maybe="v"),
    Snippet("async with and for", "async with a as b:\n    async for c in b:\n        await c", "a", bound="b", maybe="c"),
    Snippet("match", "match p:\n    case [x, *ys]: z = x\n    case {'k': v, **rest}: z = v\n    case P(w): z = w\nz", "p P", "z",
            maybe="x ys z v rest w"),
    Snippet("match with a default", "match p:\n    case 1: z = 1\n    case _: z = 2\nz", "p", bound="z"),
    Snippet("match that captures all", "match p:\n    case q: z = q\nz", "p", bound="q z"),
    Snippet("match with guard", "match p:\n    case q if ok: z = q", "p ok", bound="q", maybe="z"),
    Snippet("comprehension keeps its target", "[x for x in rows if x > low]", "rows low"),
    Snippet("comprehension target shadows", "x = [x for x in x]", "x", bound="x"),
    Snippet("nested comprehension", "[y for x in rows for y in x if y in keep]", "rows keep"),
    Snippet("dict and set comprehension", "a = {k: v for k, v in d.items()}, {z for z in s}", "d s", bound="a"),
    Snippet("walrus", "if (n := f()) > 1:\n    print(n)", "f", bound="n"),
    Snippet("walrus in a comprehension", "r = [y for x in rows if (y := f(x))]\ny", "rows f", "y", "r", "y"),
    Snippet("walrus behind and", "a and (b := c)\nb", "a c", "b", maybe="b"),
    Snippet("generator reads late", "g = (k * i for i in rows)\nk = 2\nsum(g)", "rows", "k", "g k"),
    Snippet("lambda", "f = lambda a, b=d: a + b + c\nf(1)", "d c", bound="f"),
    Snippet("lambda called late", "f = lambda: c\nc = 1\nf()", bound="f c"),
    Snippet("lambda as argument", "m = list(map(lambda v: v + shift, rows))", "shift rows", bound="m"),
    Snippet("function not called", "def f():\n    return anything", bound="f"),
    Snippet("function called", "def f():\n    return q\nr = f()", "q", bound="f r"),
    Snippet("function called before its global", "def f():\n    return q\nf()\nq = 1", "q", bound="f q"),
    Snippet("function called after its global", "def f():\n    return q\nq = 1\nf()", bound="f q"),
    Snippet("function passed on", "def f(v):\n    return v + q\nlist(map(f, rows))", "q rows", bound="f"),
    Snippet("function passed on before its global", "def f():\n    return q\nrun(f)\nq = 1", "run", "q", "f q"),
    Snippet("functions that call each other", "def a(n):\n    return b(n) + u\ndef b(n):\n    return a(n) + w\na(1)", "u w", bound="a b"),
    Snippet("nested function binds later", "def f():\n    def g():\n        return t\n    t = 1\n    return g()\nf()", bound="f"),
    Snippet("nonlocal", "def f():\n    n = 0\n    def g():\n        nonlocal n\n        n += 1\n    g()\nf()", bound="f"),
    Snippet("global written", "def f():\n    global n\n    n = 1\nf()\nn", "", "n", "f", "n"),
    Snippet("global counted up", "def f():\n    global n\n    n += 1\nf()", "n", bound="f", maybe="n"),
    Snippet("global set up by another function",
            "def a():\n    global n\n    n = 1\ndef b():\n    a()\n    return n\nb()", "", "n", "a b", "n"),
    Snippet("global past an enclosing local", "def f():\n    x = 1\n    def g():\n        global x\n        return x\n    g()\nf()", "x",
            bound="f"),
    Snippet("local makes no read", "def f(a):\n    b = a\n    return b\nf(1)", bound="f"),
    Snippet("default and decorator", "@deco(arg)\ndef f(x=d):\n    return q", "deco arg d q", bound="f"),
    Snippet("annotations", "def f(a: T) -> R: ...\nv: A = 1\nw: B", "T R A B", bound="f v"),
    Snippet("postponed annotations", "from __future__ import annotations\ndef f(a: T): ...", optional="T", bound="annotations f"),
    Snippet("quoted annotation", "def f(a: 'list[T]'): ...", optional="T", bound="f"),
    Snippet("class", "class C(B, metaclass=M):\n    k = d\n    def m(self):\n        return C, q\nC()", "B M d", "q", "C"),
    Snippet("class body reads itself", "class C:\n    a = 1\n    b = a\n    def m(self): return a\nC()", "", "a", "C"),
    Snippet("class name shadows", "class C:\n    x = x", "x", bound="C"),
    Snippet("name deleted in a class body", "class C:\n    n = 1\n    del n\n    m = n", "n", bound="C"),
    Snippet("name bound on a path of a class body", "class C:\n    if f:\n        n = 1\n    m = n", "f", "n", "C"),
    Snippet("name bound in a class body's loop", "class C:\n    for i in r:\n        n = 1\n    m = n, i", "r", "n i", "C"),
    Snippet("name bound on all paths of a class body", "class C:\n    if f:\n        n = 1\n    n = 2\n    m = n", "f", bound="C"),
    Snippet("super and __class__", "class C(B):\n    def m(self):\n        super().m()\n        return __class__\nC()", "B", bound="C"),
    Snippet("lambda in a class body", "class C:\n    k = (lambda: q)()", "q", bound="C"),
    Snippet("method called in a class body", "class C:\n    def m(): return q\n    k = m()", "q", bound="C"),
    Snippet("method replaced in a class body", "class C:\n    def m(): return q\n    m = len\n    m('')", "", "q", "C"),
    Snippet("method that declares a global", "class C:\n    def m(self):\n        global n\n        n += 1", bound="C", maybe="n"),
    Snippet("called lambda", "q = (lambda: q + 1)()", "q", bound="q"),
    Snippet("called lambda of a generator", "it = (lambda: (yield q))()\nq = 1", "", "q", "it q"),
    Snippet("binding where no way leads", "try:\n    if 0:\n        q = 1\n    f()\nfinally:\n    print(q)", "f q", maybe="q"),
    Snippet("class not used", "class C:\n    def m(self): return anything", bound="C"),
    Snippet("generator function", "def g():\n    yield k\nit = g()\nk = 1\nlist(it)", "", "k", "g it k"),
    Snippet("await", "r = await f(x)", "f x", bound="r"),
    Snippet("async function", "async def f():\n    return await g(y)\nawait f()", "g y", bound="f"),
    Snippet("f-string", "s = f'{a:>{w}} {b!r}'", "a w b", bound="s"),
    Snippet("star call", "f(*args, **kw)", "f args kw"),
    Snippet("slice and subscript", "a[lo:hi, i]", "a lo hi i"),
    Snippet("imports", "import os.path\nimport numpy as np\nfrom a.b import c as d\nos, np, d", bound="os np d"),
    Snippet("star import", "x\nfrom m import *\ny", "x", "y"),
    Snippet("builtins and module names", "print(len(__name__)); display(__file__); get_ipython()"),
    Snippet("IPython's own names", "_ + __ + _3 + In[0] + Out[1]\nexit", "", "_ __ _3 In Out"),
    Snippet("underscore target", "a, _ = f()", "f", bound="a _"),
    Snippet("assert message", "assert a, b", "a b"),
    Snippet("pandas query", "df.query('x > @limit')", "df", "limit"),
    Snippet("eval of a constant", "eval('a + 1')", "", "a"),
    Snippet("exec of a constant", "exec('c = a + 1')\nc", "", "a", "c"),
    Snippet("exec of a text", "exec(code)\nc", "code", "c"),
    Snippet("names made through globals()", "globals()['c'] = 1\nc", "", "c"),
    Snippet("formula", "m = ols('y ~ np.log(x) + C(z)', df)", "ols df", "np C", "m"),
    Snippet("deep sum", "s = " + " + ".join(f"v{i}" for i in range(1500)), " ".join(f"v{i}" for i in range(1500)), bound="s"),
]  # fmt: skip


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda snippet: snippet.feature)
def test_a_snippet_takes_and_gives_the_right_names(snippet: Snippet) -> None:
    names = find_names(snippet.source)
    assert names.required == set(snippet.required.split())
    assert names.optional == set(snippet.optional.split())
    assert list(names.bound) == snippet.bound.split()
    assert list(names.maybe_bound) == snippet.maybe.split()
    assert list(names.deleted) == snippet.deleted.split()


@pytest.mark.parametrize(
    "snippet", SNIPPETS[:-1], ids=lambda snippet: snippet.feature
)  # the last is too deep
def test_nothing_that_pyflakes_finds_undefined_is_overlooked(snippet: Snippet) -> None:
    try:
        compile(snippet.source, "cell", "exec")
    except SyntaxError:
        return  # top-level await: pyflakes and symtable stop at it
    if any(
        word in snippet.feature for word in ("not called", "not used", "underscore", "own names", "builtins")
    ):
        return  # undefined for pyflakes, but nothing that this cell needs
    found = {
        message.message_args[0]
        for message in checker.Checker(ast.parse(snippet.source)).messages
        if isinstance(message, messages.UndefinedName)
    }
    names = find_names(snippet.source)
    assert found <= names.required | names.optional | set(names.bound) | set(names.deleted)


@pytest.mark.parametrize("snippet", SNIPPETS[:-1], ids=lambda snippet: snippet.feature)
def test_nothing_that_symtable_finds_global_and_never_assigned_is_overlooked(snippet: Snippet) -> None:
    try:
        table = symtable.symtable(snippet.source, "cell", "exec")
    except SyntaxError:
        return
    if any(word in snippet.feature for word in ("not called", "not used")):
        return
    assigned = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}
    read: set[str] = set()
    todo = [table]
    while todo:
        scope = todo.pop()
        todo.extend(scope.get_children())
        read |= {s.get_name() for s in scope.get_symbols() if s.is_global() and s.is_referenced()}
    names = find_names(snippet.source)
    missing = (
        read - assigned - set(dir(builtins)) - {"display", "get_ipython", "exit", "__name__", "__file__"}
    )
    assert missing <= names.required | names.optional | {*names.bound, *names.maybe_bound, "__class__"}


def test_imports_say_what_they_bind() -> None:
    names = find_names(
        "import os.path\nimport a.b as c, d\nfrom e.f import g as h, i\nfrom .j import k\nfrom l import *"
    )
    assert names.imports == (
        Import("os.path", "os", root=True),
        Import("a.b", "c"),
        Import("d", "d"),
        Import("e.f", "h", "g"),
        Import("e.f", "i", "i"),
        Import(".j", "k", "k"),
        Import("l", "*", "*"),
    )
    assert names.star
    assert [entry.statement for entry in names.imports] == [
        "import os.path",
        "import a.b as c",
        "import d",
        "from e.f import g as h",
        "from e.f import i",
        "from .j import k",
        "from l import *",
    ]


def test_an_import_is_definite_only_if_no_other_path_binds_the_name_otherwise() -> None:
    source = """
import numpy as np
try:
    import torch
except ImportError:
    torch = None
if c:
    import json
import re
re = 1
def f():
    import late
f()
"""
    names = find_names(source)
    assert [entry.name for entry in names.definite_imports] == ["np"]
    assert [entry.module for entry in names.inner_imports] == ["late"]


def test_the_notebooks_own_version_of_a_builtin_is_seen() -> None:
    assert find_names("sum(max(v))").builtins == {"sum", "max"}


def test_attributes_are_collected_from_nested_code_too() -> None:
    assert find_names("a.b.c\ndef f(): return d.e\nclass G: h = i.j").attributes == {"b", "c", "e", "j"}


def test_many_functions_that_all_call_each_other_take_no_exponential_time() -> None:
    functions = [f"def f{i}():\n    return " + " + ".join(f"f{j}()" for j in range(40)) for i in range(40)]
    names = find_names("\n".join([*functions, "f0()"]))
    assert len(names.bound) == 40


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the syntax came with Python 3.12")
@pytest.mark.parametrize(
    ("source", "required", "optional", "bound"),
    [
        ("type X = list[T]", set(), {"T"}, ("X",)),
        ("type X[T] = list[T]", set(), set(), ("X",)),
        ("def f[T](a: T, b: B) -> T: return a\nf(1)", set(), {"B"}, ("f",)),
        ("class C[T](Base[T]):\n    v: T\nC()", set(), {"Base"}, ("C",)),
    ],
)
def test_type_parameters_are_no_names_of_the_notebook(
    source: str, required: set[str], optional: set[str], bound: tuple[str, ...]
) -> None:
    names = find_names(source)
    assert (names.required, names.optional - {"T"}, names.bound) == (required, optional - {"T"}, bound)
