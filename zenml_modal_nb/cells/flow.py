"""The cell's statements followed along every path: which names are read before the cell has bound them.

Neither pyflakes nor `symtable` answers that: both see scopes, not paths, so `df = df.dropna()` is lost on one
and `if c: q = 1` followed by `print(q)` on the other; the tests hold this module against both.
"""

# ruff: noqa: N802, N815 - `visit_<NodeType>` is how a handler finds its node, as in `ast.NodeVisitor`

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from zenml_modal_nb.cells.bodies import Body
from zenml_modal_nb.cells.embedded import functions_in, names_in_strings
from zenml_modal_nb.cells.imports import imports_of
from zenml_modal_nb.cells.ledger import Ledger, interrupted
from zenml_modal_nb.cells.paths import Paths, join
from zenml_modal_nb.cells.scopes import class_bodies, comprehension_bodies, function_body
from zenml_modal_nb.cells.syntax import (
    Comprehension,
    FunctionNode,
    always_matches,
    annotations_of,
    asks_namespace,
    catches_name_error,
    parsed,
    postpones_annotations,
    strings_as_names,
    swallows,
    swallows_name_error,
    type_parameters_of,
)


class Flow(Ledger):
    """Runs a module symbolically, statement by statement; made and read by `cells.names`."""

    def __init__(self, tree: ast.Module, postponed: bool = False) -> None:
        super().__init__(postponed or postpones_annotations(tree))
        self.breaks: list[list[Paths]] = []  # of the loops around us: the ways that `break` takes
        self.continues: list[list[Paths]] = []
        self.visit_all(tree.body)
        self.close()

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
        elif not isinstance(node.func, ast.Lambda):
            self.visit(node.func)
        else:
            self.visit_defaults(node.func)
        self.visit_all([*node.args, *(keyword.value for keyword in node.keywords)])
        self.read_code_in_strings(node)
        if isinstance(node.func, ast.Lambda):
            self.run(function_body(node.func, self))
        if isinstance(node.func, ast.Name):
            self.call(node.func.id)
            if node.func.id in {"exec", "globals"}:
                self.run_unseen(node)

    def run_unseen(self, node: ast.Call) -> None:
        """After `exec` and `globals()` there may be names that nothing here binds."""
        match node.args:
            case [ast.Constant(str(text))] if isinstance(tree := parsed(text), ast.Module):
                with self.forgiving():
                    self.visit_all(tree.body)
            case [] | [_]:  # with a namespace of its own, `exec` binds nothing here
                self.unseen = True

    def read_code_in_strings(self, node: ast.Call) -> None:
        with self.forgiving():
            for name in names_in_strings(node):
                self.mention(name)
        for function in functions_in(node):
            self.run(function_body(function, self))

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
        self.visit_defaults(node)
        self.refer(function_body(node, self))

    def visit_defaults(self, node: FunctionNode) -> None:
        self.visit_all([*node.args.defaults, *node.args.kw_defaults])

    def visit_ListComp(self, node: Comprehension) -> None:
        self.visit(node.generators[0].iter)
        now, later = comprehension_bodies(node, self)
        (self.refer if isinstance(node, ast.GeneratorExp) else self.run)(now)
        self.refer(later)

    visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_ListComp

    # -- simple statements -----------------------------------------------------------------------------------

    def visit_Assign(self, node: ast.Assign) -> None:
        if isinstance(node.value, ast.Lambda) and all(isinstance(t, ast.Name) for t in node.targets):
            self.visit_defaults(node.value)
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
        if node.value:
            self.visit(node.value)
        if node.value or not isinstance(node.target, ast.Name):
            self.visit(node.target)
        self.annotation(node.annotation)  # Python assigns first

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
            body = replace(body, lazy=True)
        self.define(node.name, body)
        if node.decorator_list:
            self.refer(body)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.visit_all(node.decorator_list)
        with self.forgiving(bool(type_parameters_of(node))):
            self.visit_all([*node.bases, *(keyword.value for keyword in node.keywords)])
        now, perhaps, later = class_bodies(node, self)
        self.run(now)
        self.refer(perhaps)
        self.define(node.name, later)
        if node.decorator_list or node.bases or node.keywords:
            self.refer(later)  # e.g. a base's `__init_subclass__` uses methods

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
        self.journals.append([])
        self.visit_all(body)
        journal = self.journals.pop()
        ended = join([*ways, *self.continues.pop(), self.now])
        # A `break` may be reached in a later round, when the rest of the body has run before it.
        broken = [interrupted(way, journal) for way in self.breaks.pop()]
        self.now = ended
        self.now.alive = ended.alive and not endless  # `while True` is left by `break` alone
        self.visit_all(orelse)
        self.now = join([*broken, self.now])

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        before = self.now.copy()
        goes_on = any(swallows(item.context_expr) for item in node.items)
        self.journals.append([])
        for item in node.items:
            self.visit_all([item.context_expr, item.optional_vars])
        with self.forgiving(any(swallows_name_error(item.context_expr) for item in node.items)):
            self.visit_all(node.body)
        journal = self.journals.pop()
        if goes_on:
            self.now = join([interrupted(before, journal), self.now])

    visit_AsyncWith = visit_With

    def visit_Try(self, node: ast.Try | Any) -> None:
        before = self.now.copy()
        self.journals.append([])
        with self.forgiving(catches_name_error(node)):
            self.visit_all(node.body)
        failed = interrupted(before, self.journals.pop())
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
            sure = case.guard is None and always_matches(case.pattern)
            tried = self.now.copy()  # a pattern that fails may have bound names already
            self.visit_all([case.guard, *case.body])
            ways.append(self.now)
            self.now = tried if always_matches(case.pattern) else join([missed, tried])
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
