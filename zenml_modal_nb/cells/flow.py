"""The cell's statements followed along every path: which names are read before the cell has bound them.

Neither pyflakes nor `symtable` answers that: both see scopes, not paths, so `df = df.dropna()` or `if c: q
= 1` then `print(q)` are lost on one or the other; the tests hold this module against both.
"""

# ruff: noqa: N802, N815 - `visit_<NodeType>` is how a handler finds its node, as in `ast.NodeVisitor`

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from zenml_modal_nb.cells.imports import Import, imports_of
from zenml_modal_nb.cells.paths import BOUND, DELETED, UNTOUCHED, Paths, join
from zenml_modal_nb.cells.scopes import (
    Body,
    class_bodies,
    comprehension_bodies,
    function_body,
)
from zenml_modal_nb.cells.syntax import (
    Comprehension,
    Visitor,
    annotations_of,
    asks_namespace,
    catches_name_error,
    strings_as_names,
    type_parameters_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

# Code in a string that is evaluated among the caller's names, e.g. `df.query("x > @limit")`, `eval("x + 1")`
# or the formula of `smf.ols("y ~ np.log(x)", df)`.
_QUERY_NAME = re.compile(r"@([A-Za-z_]\w*)")
_FORMULA_NAME = re.compile(r"(?<![\w.])([A-Za-z_]\w*)\s*[.(]")


class Flow(Visitor):
    """Runs a module symbolically, statement by statement; made and read by `cells.names`."""

    def __init__(self, tree: ast.Module) -> None:
        super().__init__(_postpones_annotations(tree), set())
        self.now = Paths()
        self.required: set[str] = set()
        self.optional: set[str] = set()
        self.pending: set[str] = set()  # read by code that may run later than it is mentioned
        self.first_bound: dict[str, None] = {}  # in order
        self.imports: dict[Import, None] = {}  # at top level, in order
        self.inner_imports: dict[Import, None] = {}  # inside functions that may run
        self.star = False
        self.guarded = 0  # depth of constructs around us in which a missing name does no harm
        self.breaks: list[list[Paths]] = []
        self.continues: list[list[Paths]] = []
        self.journals: list[list[tuple[str, int]]] = []  # marks set inside the `try` blocks around us
        self.visit_all(tree.body)
        for name in self.pending:
            later = name in self.first_bound or self.star
            (self.optional if later else self.required).add(name)
        self.optional -= self.required

    # -- names -----------------------------------------------------------------------------------------------

    def need(self, name: str, *, later: bool = False) -> None:
        """Note that a name is needed; `later`: by code that may run later than now."""
        mark = self.now.mark(name)
        if not mark & UNTOUCHED:
            return
        if self.guarded or not self.now.alive or mark & BOUND or self.star:
            self.optional.add(name)
        elif later:
            self.pending.add(name)
        else:
            self.required.add(name)

    def mention(self, name: str, active: frozenset[str] = frozenset()) -> None:
        """Note that a name is read; if it is a function of this cell, it may be called from now on."""
        self.need(name)
        for body in self.now.bodies.get(name, ()):
            self.refer(body, active | {name})

    def refer(self, body: Body, active: frozenset[str] = frozenset()) -> None:
        """Note that code may run from now on."""
        for name in body.reads:
            self.need(name, later=True)
        with self.forgiving():
            for name in body.tries:
                self.need(name)
        for name in body.reads | body.tries:
            if name not in active:
                for inner in self.now.bodies.get(name, ()):
                    self.refer(inner, active | {name})
        self.may_bind(body.binds)
        self.inner_imports.update(dict.fromkeys(body.imports))

    def run(self, body: Body, active: frozenset[str] = frozenset()) -> None:
        """Run code symbolically, here and now."""
        if body.lazy:
            self.refer(body, active)
            return
        for name in body.reads:
            self.need(name)
            if name not in active:
                for inner in self.now.bodies.get(name, ()):
                    (self.run if name in body.calls else self.refer)(inner, active | {name})
        with self.forgiving():
            for name in body.tries:
                self.mention(name, active)
        self.may_bind(body.binds)
        self.inner_imports.update(dict.fromkeys(body.imports))

    def bind(self, name: str, bodies: tuple[Body, ...] = (), imports: tuple[Import, ...] = ()) -> None:
        self.first_bound.setdefault(name)
        self.now.bind(name, bodies, imports)
        self.note(name, BOUND)

    def may_bind(self, names: Iterable[str]) -> None:
        """Bind names on some ways only, e.g. those a function declares global."""
        for name in sorted(names):
            self.first_bound.setdefault(name)
            self.now.marks[name] = self.now.mark(name) | BOUND
            self.now.imports.pop(name, None)
            self.note(name, BOUND)

    def delete(self, name: str) -> None:
        self.now.bind(name)
        self.now.marks[name] = DELETED
        self.note(name, DELETED)

    def note(self, name: str, mark: int) -> None:
        for journal in self.journals:
            journal.append((name, mark))

    @contextmanager
    def forgiving(self, really: bool = True) -> Iterator[None]:
        """Within this, a missing name does no harm."""
        self.guarded += really
        yield
        self.guarded -= really

    def interrupted(self, before: Paths, journal: list[tuple[str, int]]) -> Paths:
        """Return the ways out of a block that an exception left at any point."""
        result = before.copy()
        for name, mark in journal:
            result.marks[name] = result.mark(name) | mark
            result.imports.pop(name, None)
        return result

    # -- expressions -----------------------------------------------------------------------------------------

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self.mention(node.id)
        elif isinstance(node.ctx, ast.Store):
            self.bind(node.id)
        else:
            self.need(node.id)
            self.delete(node.id)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name):
            self.need(node.func.id)
        else:
            self.visit(node.func)
        self.visit_all([*node.args, *(keyword.value for keyword in node.keywords)])
        self.read_code_in_strings(node)
        if isinstance(node.func, ast.Name):
            for body in self.now.bodies.get(node.func.id, ()):
                self.run(body, frozenset({node.func.id}))

    def read_code_in_strings(self, node: ast.Call) -> None:
        called = _called_name(node)
        names: set[str] = set()
        for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
            text = argument.value if isinstance(argument, ast.Constant) else None
            if not isinstance(text, str):
                continue
            if called in {"query", "eval"} and "@" in text:
                names.update(_QUERY_NAME.findall(text))
            elif called in {"eval", "exec"}:
                names.update(_names_in(text))
            elif "~" in text:
                names.update(_FORMULA_NAME.findall(text))
        with self.forgiving():
            for name in names:
                self.mention(name)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        self.visit(node.target)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        self.visit(node.values[0])
        self.perhaps(node.values[1:])

    def visit_Compare(self, node: ast.Compare) -> None:
        self.visit_all([node.left, node.comparators[0]])
        self.perhaps(node.comparators[1:])

    def perhaps(self, nodes: Iterable[ast.expr]) -> None:
        """Visit what is evaluated up to some point only, e.g. the operands of `and`."""
        ways = [self.now.copy()]
        for node in nodes:
            self.visit(node)
            ways.append(self.now.copy())
        self.now = join(ways)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self.branch(node.test, [node.body], [node.orelse])

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.visit_all([*node.args.defaults, *node.args.kw_defaults])
        self.refer(function_body(node, self))

    def visit_ListComp(self, node: Comprehension) -> None:
        self.visit(node.generators[0].iter)
        now, later = comprehension_bodies(node, self)
        (self.refer if isinstance(node, ast.GeneratorExp) else self.run)(now)
        self.refer(later)

    visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_ListComp

    # -- simple statements -----------------------------------------------------------------------------------

    def visit_Assign(self, node: ast.Assign) -> None:
        if isinstance(node.value, ast.Lambda) and all(isinstance(t, ast.Name) for t in node.targets):
            self.visit_all([*node.value.args.defaults, *node.value.args.kw_defaults])
            body = function_body(node.value, self)
            for target in node.targets:
                if isinstance(target, ast.Name):
                    self.define(target.id, body)
            return
        self.visit(node.value)
        self.visit_all(node.targets)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self.mention(node.target.id)
        self.visit(node.value)
        self.visit(node.target)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.annotation(node.annotation)
        if node.value:
            self.visit(node.value)
        if node.value or not isinstance(node.target, ast.Name):
            self.visit(node.target)

    def annotation(self, node: ast.expr, hidden: frozenset[str] = frozenset()) -> None:
        with self.forgiving(self.postponed or bool(hidden)):
            self.visit(node)
        with self.forgiving():
            for name in strings_as_names(node):
                self.mention(name)

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        for entry in imports_of(node):
            self.imports.setdefault(entry)
            if entry.name == "*":
                self.star = True
            else:
                self.bind(entry.name, imports=(entry,))

    visit_ImportFrom = visit_Import

    def visit_Raise(self, node: ast.Raise) -> None:
        self.visit_children(node)
        self.now.alive = False

    def visit_Assert(self, node: ast.Assert) -> None:
        self.visit(node.test)
        if node.msg:
            passed = self.now.copy()
            self.visit(node.msg)
            self.now = passed

    def visit_Break(self, node: ast.Break) -> None:
        if self.breaks:
            self.breaks[-1].append(self.now.copy())
        self.now.alive = False

    def visit_Continue(self, node: ast.Continue) -> None:
        if self.continues:
            self.continues[-1].append(self.now.copy())
        self.now.alive = False

    # -- definitions -----------------------------------------------------------------------------------------

    def define(self, name: str, body: Body) -> None:
        self.bind(name, bodies=(body,))

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.visit_all([*node.decorator_list, *node.args.defaults, *node.args.kw_defaults])
        parameters = frozenset(parameter.name for parameter in type_parameters_of(node))
        for annotation in annotations_of(node):
            self.annotation(annotation, parameters)
        body = function_body(node, self)
        if node.decorator_list:  # the decorator gets the function, and may call it or wrap it
            self.refer(body)
            body = Body(body.reads, body.tries, body.calls, body.binds, body.imports, lazy=True)
        self.define(node.name, body)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.visit_all(node.decorator_list)
        with self.forgiving(bool(type_parameters_of(node))):
            self.visit_all([*node.bases, *(keyword.value for keyword in node.keywords)])
        now, later = class_bodies(node, self)
        self.run(now)
        if (
            node.decorator_list or node.bases or node.keywords
        ):  # e.g. a base's `__init_subclass__` uses methods
            self.refer(later)
        self.define(node.name, later)

    def visit_TypeAlias(self, node: Any) -> None:
        with self.forgiving():  # evaluated when somebody asks for it
            self.visit(node.value)
        self.bind(node.name.id)

    # -- compound statements ---------------------------------------------------------------------------------

    def branch(self, test: ast.expr, body: list[Any], orelse: list[Any]) -> None:
        self.visit(test)
        constant = bool(test.value) if isinstance(test, ast.Constant) else None
        guard = asks_namespace(test)
        start = self.now
        ways = []
        for nodes, taken in ((body, constant is not False), (orelse, constant is not True)):
            self.now = start.copy()
            self.now.alive = start.alive and taken
            with self.forgiving(guard):
                self.visit_all(nodes)
            ways.append(self.now)
        self.now = join(ways)

    def visit_If(self, node: ast.If) -> None:
        self.branch(node.test, node.body, node.orelse)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)
        skipped = self.now.copy()
        self.visit(node.target)
        self.loop(node.body, node.orelse, [skipped])

    visit_AsyncFor = visit_For

    def visit_While(self, node: ast.While) -> None:
        self.visit(node.test)
        endless = isinstance(node.test, ast.Constant) and bool(node.test.value)
        self.loop(node.body, node.orelse, [] if endless else [self.now.copy()], endless=endless)

    def loop(
        self, body: list[ast.stmt], orelse: list[ast.stmt], ways: list[Paths], *, endless: bool = False
    ) -> None:
        self.breaks.append([])
        self.continues.append([])
        self.visit_all(body)
        ended = join([*ways, *self.continues.pop(), self.now])
        broken = self.breaks.pop()
        self.now = ended
        self.now.alive = ended.alive and not endless  # `while True` is left by `break` alone
        self.visit_all(orelse)
        self.now = join([*broken, self.now])

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        before = self.now.copy()
        swallows = any(_swallows(item.context_expr) for item in node.items)
        self.journals.append([])
        for item in node.items:
            self.visit_all([item.context_expr, item.optional_vars])
        with self.forgiving(any(_swallows_name_error(item.context_expr) for item in node.items)):
            self.visit_all(node.body)
        journal = self.journals.pop()
        if swallows:
            self.now = join([self.interrupted(before, journal), self.now])

    visit_AsyncWith = visit_With

    def visit_Try(self, node: ast.Try | Any) -> None:
        before = self.now.copy()
        self.journals.append([])
        with self.forgiving(catches_name_error(node)):
            self.visit_all(node.body)
        failed = self.interrupted(before, self.journals.pop())
        self.visit_all(node.orelse)
        ways = [self.now]
        for handler in node.handlers:
            self.now = failed.copy()
            self.visit_all([handler.type])
            if handler.name:
                self.bind(handler.name)
            self.visit_all(handler.body)
            if handler.name:
                self.delete(handler.name)  # Python deletes it at the end of the block
            ways.append(self.now)
        self.now = join(ways)
        going = self.now.alive
        self.visit_all(node.finalbody)
        self.now.alive = self.now.alive and going

    visit_TryStar = visit_Try

    def visit_Match(self, node: ast.Match) -> None:
        self.visit(node.subject)
        ways = []
        for case in node.cases:
            missed = self.now.copy()
            self.visit(case.pattern)
            sure = case.guard is None and _always_matches(case.pattern)
            tried = self.now.copy()  # a pattern that fails may have bound names already
            self.visit_all([case.guard, *case.body])
            ways.append(self.now)
            self.now = join([missed, tried])
            self.now.alive = missed.alive and not sure
        self.now = join([*ways, self.now])

    def visit_MatchAs(self, node: ast.MatchAs | ast.MatchStar) -> None:
        self.visit_children(node)
        if node.name:
            self.bind(node.name)

    visit_MatchStar = visit_MatchAs

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        self.visit_children(node)
        if node.rest:
            self.bind(node.rest)


def _postpones_annotations(tree: ast.Module) -> bool:
    if sys.version_info >= (3, 14):
        return True  # PEP 649
    return any(
        isinstance(node, ast.ImportFrom)
        and node.module == "__future__"
        and any(alias.name == "annotations" for alias in node.names)
        for node in tree.body
    )


def _names_in(code: str) -> set[str]:
    try:
        tree = ast.parse(code.strip())
    except SyntaxError:
        return set()  # the cell's own `eval` will say so
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _called_name(node: ast.expr) -> str:
    function = node.func if isinstance(node, ast.Call) else node
    return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")


def _swallows(node: ast.expr) -> bool:
    return _called_name(node) in {"suppress", "raises", "assertRaises"}


def _swallows_name_error(node: ast.expr) -> bool:
    if not (isinstance(node, ast.Call) and _swallows(node)):
        return False
    return any(_called_name(arg) in {"NameError", "Exception", "BaseException"} for arg in node.args)


def _always_matches(pattern: ast.pattern) -> bool:
    if isinstance(pattern, ast.MatchOr):
        return any(_always_matches(part) for part in pattern.patterns)
    return isinstance(pattern, ast.MatchAs) and (pattern.pattern is None or _always_matches(pattern.pattern))
