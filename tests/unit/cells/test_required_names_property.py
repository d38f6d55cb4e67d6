"""For generated programs: the names reported as required are exactly those whose absence raises NameError."""

from __future__ import annotations

import ast
import builtins
import contextlib

import hypothesis.strategies as st
from hypothesis import HealthCheck, event, example, given, settings

from zenml_modal_nb.cells.names import find_names

NAMES = ["a", "b", "c", "d", "e"]


class Anything:
    """A value that every generated program can use in every way it uses values."""

    def __call__(self, *_: object) -> Anything:
        return self

    def __iter__(self):
        return iter((self, self))

    def __add__(self, _: object) -> Anything:
        return self

    __radd__ = __and__ = __rand__ = __add__

    def __enter__(self) -> Anything:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __bool__(self) -> bool:
        return True

    def __getitem__(self, _: object) -> Anything:
        return self

    def __setitem__(self, *_: object) -> None:
        return None

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Anything)


EXPRESSIONS = [
    "{0}",
    "1",
    "({0} + {1})",
    "[{0}, [{2}]]",
    "[v for v in [{2}] if v]",
    "[({0}, {1}) for {0} in [{2}]]",
    "{{{0}: {1} for {0} in [{1}] for {1} in [{2}]}}",
    "(lambda: {2})()",
    "(lambda {0}: ({0}, {1}))({2})",
    "f'{{{0}}}'",
    "({0} := {2})",
]
# Every statement runs on every path, so that a name that is read is one whose absence raises.
SIMPLE = [
    "{0} = {3}",
    "{0}, {1} = {1}, {2}",
    "{0} += [1]",
    "del {0}",
    "{3}",
    "{0}: {1} = {3}",
    "import json as {0}",
    "{0}[0] = {3}",
    "assert {0} or True",
]
COMPOUND = [
    "if True:\n{4}\nelse:\n{5}",
    "with Anything() as {0}:\n{4}",
    "while True:\n{4}\n    break",
    "try:\n{4}\nfinally:\n{5}",
    "try:\n    raise KeyError\nexcept KeyError as {0}:\n{4}",
    "class {0}:\n{4}",
    "match {0}:\n    case {1}:\n        {1} = {1}",
    # functions that are called where they are defined, with parameters, locals and globals
    "def f({0}={1}):\n    {2} = {3}\n    return {0}, {1}\nf()",
    "def f():\n    global {0}\n    {0} = {3}\n    return {1}\nf()",
    "def f():\n    return g()\ndef g():\n    {0} = {3}\n    return {1}\nf()",
    "def f():\n    {0} = {3}\n    def g():\n        nonlocal {0}\n        {0} = {1}\n        return {2}\n"
    "    return g()\nf()",
]


@st.composite
def expressions(draw: st.DrawFn, depth: int = 2) -> str:
    shape = draw(st.sampled_from(EXPRESSIONS if depth else EXPRESSIONS[:3]))
    first, second = draw(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)))
    inner = draw(expressions(depth - 1)) if "{2}" in shape else ""
    return shape.format(first, second, inner)


@st.composite
def statements(draw: st.DrawFn, depth: int = 2) -> str:
    shape = draw(st.sampled_from(SIMPLE + COMPOUND if depth else SIMPLE))
    chosen = [draw(st.sampled_from(NAMES)) for _ in range(3)]
    value = draw(expressions()) if "{3}" in shape else ""
    blocks = [
        "    " + draw(statements(depth - 1)).replace("\n", "\n    ") if f"{{{n}}}" in shape else ""
        for n in (4, 5)
    ]
    return shape.format(*chosen, value, *blocks)


@st.composite
def programs(draw: st.DrawFn) -> str:
    return "\n".join(draw(st.lists(statements(), min_size=1, max_size=6)))


def missing_names(source: str, namespace: dict[str, object]) -> set[str | None]:
    """Run a program; return the notebook's names whose absence ended it.

    More than one, e.g. in `try: a = b` / `finally: a` without `b`, which ends with an error about `a`.
    """
    names = set()
    try:
        exec(compile(source, "cell", "exec", dont_inherit=True), {"Anything": Anything, **namespace})
    except Exception as error:  # noqa: BLE001 - a generated program may end in any way
        raised: BaseException | None = error if isinstance(error, NameError) else None
        while raised is not None:
            # A local of a function: no name of the notebook can help.
            if isinstance(raised, NameError) and not isinstance(raised, UnboundLocalError):
                names.add(raised.name)
            raised = raised.__context__
    return names


def compiles(source: str) -> bool:
    with contextlib.suppress(SyntaxError):
        compile(source, "cell", "exec", dont_inherit=True)
        return True
    return False


def every(source: str) -> dict[str, object]:
    known = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)} - set(
        dir(builtins)
    )
    return {name: Anything() for name in known}


@settings(
    max_examples=1000,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(programs().filter(compiles))
@example("a = (lambda: (lambda: a)())()")
@example("class a:\n    b = (lambda: a)()")
@example("class a:\n    def f():\n        global b\n        b = c\n        return a\n    f()")
@example("a = [(lambda a: (a, b))(1) for c in [1]]\nb = 1")
@example("while True:\n    if True:\n        a = 1\n    else:\n        b = b\n    break\nb = b")
@example("try:\n    del a\nfinally:\n    try:\n        a, b = b, b\n    finally:\n        a = a")
def test_required_names_are_exactly_those_whose_absence_raises(source: str) -> None:
    found = find_names(source)
    full = every(source)
    ends_well = completes(source, full)
    event(f"completes: {ends_well}")
    if not ends_well:
        return  # it fails whatever it gets
    for name in NAMES:
        raised = name in missing_names(source, {n: v for n, v in full.items() if n != name})
        assert raised == (name in found.required), name


@settings(
    max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
@given(programs().filter(compiles))
def test_a_program_that_gets_what_was_found_never_lacks_a_name(source: str) -> None:
    found = find_names(source)
    full = every(source)
    needed = {n: v for n, v in full.items() if n in found.required | found.optional}
    assert not completes(source, full) or completes(source, needed)


@settings(
    max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
@given(programs().filter(compiles))
def test_names_bound_and_deleted_are_those_that_are_there_afterwards(source: str) -> None:
    namespace = {"Anything": Anything, **every(source)}
    before = dict(namespace)
    try:
        exec(compile(source, "cell", "exec", dont_inherit=True), namespace)
    except Exception:  # noqa: BLE001 - a generated program may end in any way
        return  # it did not get to its end
    found = find_names(source)
    for name in found.bound:
        assert name in namespace
    for name in set(before) - set(namespace):
        assert name in found.deleted
    new = {n for n in namespace if n not in before or namespace[n] is not before[n]} - {
        "__builtins__",
        "__annotations__",
    }
    assert new <= {*found.bound, *found.maybe_bound}


def completes(source: str, namespace: dict[str, object]) -> bool:
    try:
        exec(compile(source, "cell", "exec", dont_inherit=True), {"Anything": Anything, **namespace})
    except Exception:  # noqa: BLE001 - a generated program may end in any way
        return False
    return True
