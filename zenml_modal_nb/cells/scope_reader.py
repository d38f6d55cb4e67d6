"""The reader of nested code: which names it takes from the module around it, and which it gives.

Python's scoping rules, read from the syntax tree: parameters and assigned names are local, class bodies hide
nothing from their methods, `global` and `nonlocal` reach outwards, a walrus in a comprehension binds
outside it.
"""

# ruff: noqa: N802, N815 - `visit_<NodeType>` is how a handler finds its node, as in `ast.NodeVisitor`

from __future__ import annotations

import ast
from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any

from zenml_modal_nb.cells.bodies import Body
from zenml_modal_nb.cells.embedded import functions_in
from zenml_modal_nb.cells.imports import Import, imports_of
from zenml_modal_nb.cells.nesting import AT_ONCE, Kind, Scope
from zenml_modal_nb.cells.syntax import (
    Comprehension,
    FunctionNode,
    Visitor,
    annotations_of,
    asks_namespace,
    catches_name_error,
    is_generator,
    parameters_of,
    strings_as_names,
    type_parameters_of,
)


class ScopeReader(Visitor):
    """Walks one piece of nested code for `scopes`; what it takes from the module ends up in the outermost scope."""

    def __init__(self, outer: Visitor) -> None:
        super().__init__(outer.postponed, outer.attributes, outer.declared)
        self.stack = [Scope("outside")]
        self.guarded = 0  # depth of `try` blocks around us that catch a NameError
        self.walrus: set[str] = set()  # bound at module level by comprehensions
        self.binds: set[str] = set()
        self.bound_at_once: set[str] = set()  # those of `binds` that no function binds which only may run
        self.calls: set[str] = set()
        self.imports: list[Import] = []
        self.mentioned: set[str] = set()  # by lambdas in the body of a class, which may run at once
        self.methods: set[str] = set()
        self.generator = False

    # -- names -----------------------------------------------------------------------------------------------

    def read(self, name: str) -> None:
        scope = self.stack[-1]
        if name in self.walrus or name == "__class__":
            return
        if scope.kind == "class" and name in scope.bound:
            if name in scope.perhaps:  # e.g. bound in an `if`: else the body of a class reads on outside
                scope.tries.add(name)
            return
        if name in scope.declared_global:
            if name in self.binds:
                return  # e.g. `global n; n = 1; return n` needs no n from outside
            scope = self.stack[0]
            if self.in_function():
                (scope.inner_tries if self.guarded else scope.inner_reads).add(name)
                return
        (scope.tries if self.guarded else scope.reads).add(name)

    def bind(self, name: str) -> None:
        scope = self.stack[-1]
        scope.functions.pop(name, None)
        if name in scope.declared_global:
            self.binds.add(name)
            if not self.in_function():
                self.bound_at_once.add(name)
        elif name not in scope.declared_nonlocal:
            scope.bind(name)

    def delete(self, name: str) -> None:
        scope = self.stack[-1]
        if scope.kind != "class" or name in scope.declared_global:
            if name in scope.declared_global:
                self.read(name)
            self.bind(name)
        else:
            scope.delete(name)

    def enter(self, kind: Kind, names: Iterable[str] = ()) -> None:
        self.stack.append(Scope(kind, set(names)))

    def leave(self) -> None:
        scope, outer, outside = self.stack.pop(), self.stack[-1], self.stack[0]
        if scope.kind == "class":  # a method does not see the names of its class
            outer.reads |= scope.reads
            outer.tries |= scope.tries
            outer.inner_reads |= scope.inner_reads
            outer.inner_tries |= scope.inner_tries
            return
        declared = scope.inner_reads & scope.declared_global
        outside.inner_reads |= declared
        hidden = scope.bound | declared
        if scope.kind in AT_ONCE:
            outer.reads |= scope.reads - hidden
            outer.tries |= scope.tries - hidden
        else:
            outer.inner_reads |= scope.reads - hidden
            outer.inner_tries |= scope.tries - hidden
        outer.inner_reads |= scope.inner_reads - hidden
        outer.inner_tries |= scope.inner_tries - hidden

    # -- statements and expressions --------------------------------------------------------------------------

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self.read(node.id)
        elif isinstance(node.ctx, ast.Store):
            self.bind(node.id)
        else:
            self.delete(node.id)

    def visit_Global(self, node: ast.Global) -> None:
        self.stack[-1].declared_global.update(node.names)
        self.declared.update(node.names)

    def visit_Nonlocal(self, node: ast.Nonlocal) -> None:
        self.stack[-1].declared_nonlocal.update(node.names)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        self.visit_all(node.targets)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self.read(node.target.id)
        self.visit(node.value)
        self.visit(node.target)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value:
            self.visit(node.value)
        if node.value or self.stack[-1].kind == "function":
            self.visit(node.target)  # in a function, `x: int` makes x local even without a value
        if self.stack[-1].kind == "class":
            self.annotation(node.annotation)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        home = next(scope for scope in reversed(self.stack) if scope.kind != "comprehension")
        if home.kind == "outside":
            self.walrus.add(node.target.id)
            self.binds.add(node.target.id)
        elif node.target.id in home.declared_global:
            self.binds.add(node.target.id)
        elif node.target.id not in home.declared_nonlocal:
            home.bound.add(node.target.id)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name):
            self.calls.add(node.func.id)
        if isinstance(node.func, ast.Lambda):
            self.called_lambda(node, node.func)
        else:
            self.visit_children(node)
        for function in functions_in(node):
            self.function(function)
        if isinstance(node.func, ast.Name) and (called := self.stack[-1].functions.get(node.func.id)):
            # Its definition has noted what it binds, but what it reads first has to be there.
            self.binds, known = set(self.bound_at_once), self.binds
            self.function(called, "called")
            self.binds |= known

    def called_lambda(self, node: ast.Call, function: ast.Lambda) -> None:
        self.visit_all([*function.args.defaults, *function.args.kw_defaults, *node.args, *node.keywords])
        self.function(function, "function" if is_generator(function) else "called")

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)
        with self.stack[-1].branch():
            self.visit(node.target)
            self.visit_all(node.body)
            self.visit_all(node.orelse)

    visit_AsyncFor = visit_For

    def visit_While(self, node: ast.While) -> None:
        self.visit(node.test)
        with self.stack[-1].branch():
            self.visit_all(node.body)
            self.visit_all(node.orelse)

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        found = imports_of(node)
        self.imports.extend(found)
        for entry in found:
            self.bind(entry.name)

    visit_ImportFrom = visit_Import

    def visit_Try(self, node: ast.Try | Any) -> None:
        guard = int(catches_name_error(node))
        self.guarded += guard
        with self.stack[-1].branch() if node.handlers else nullcontext():
            self.visit_all(node.body)
        self.guarded -= guard
        with self.stack[-1].branch():
            self.visit_all(node.handlers)
            self.visit_all(node.orelse)
        self.visit_all(node.finalbody)

    visit_TryStar = visit_Try

    def visit_If(self, node: ast.If | ast.IfExp) -> None:
        self.visit(node.test)
        asks = asks_namespace(node.test)
        constant = bool(node.test.value) if isinstance(node.test, ast.Constant) else None
        for part, taken in ((node.body, constant is not False), (node.orelse, constant is not True)):
            guard = int(asks or not taken)
            self.guarded += guard
            with nullcontext() if constant and taken else self.stack[-1].branch():
                self.visit_all(part if isinstance(part, list) else [part])
            self.guarded -= guard

    visit_IfExp = visit_If

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        self.visit_all([node.type])
        if node.name:
            self.bind(node.name)
        self.visit_all(node.body)
        if node.name:
            self.delete(node.name)  # Python deletes it at the end of the block

    def visit_Match(self, node: ast.Match) -> None:
        self.visit(node.subject)
        with self.stack[-1].branch():
            self.visit_all(node.cases)

    def visit_MatchAs(self, node: ast.MatchAs | ast.MatchStar) -> None:
        self.visit_children(node)
        if node.name:
            self.bind(node.name)

    visit_MatchStar = visit_MatchAs

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        self.visit_children(node)
        if node.rest:
            self.bind(node.rest)

    def visit_Yield(self, node: ast.Yield | ast.YieldFrom) -> None:
        self.generator = self.generator or len(self.stack) == 3  # outside, type parameters, itself
        self.visit_children(node)

    visit_YieldFrom = visit_Yield

    # -- nested scopes ---------------------------------------------------------------------------------------

    def annotation(self, node: ast.expr) -> None:
        self.guarded += int(self.postponed)
        self.visit(node)
        self.guarded -= int(self.postponed)
        self.stack[-1].tries |= strings_as_names(node)

    def visit_comprehension_parts(self, node: Comprehension, first: bool) -> None:
        """Visit a comprehension; `first`: with the first iterable, which is evaluated outside it."""
        if first:
            self.visit(node.generators[0].iter)
        self.enter("comprehension")
        for index, part in enumerate(node.generators):
            if index:
                self.visit(part.iter)
            self.visit(part.target)
            self.visit_all(part.ifs)
        self.visit_all([node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt])
        self.leave()

    def visit_ListComp(self, node: Comprehension) -> None:
        self.visit_comprehension_parts(node, first=True)

    visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_ListComp

    def function(self, node: FunctionNode, kind: Kind = "function") -> None:
        """Visit the inside of a function: what runs when it is called."""
        self.enter(kind, (parameter.arg for parameter in parameters_of(node.args)))
        self.visit_all(node.body if isinstance(node.body, list) else [node.body])
        self.leave()

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.visit_all([*node.args.defaults, *node.args.kw_defaults])
        before = set(self.stack[-1].inner_reads)
        self.function(node)
        if not self.in_function():
            targets = {name for scope in self.stack if scope.kind in AT_ONCE for name in scope.bound}
            self.mentioned |= self.stack[-1].inner_reads - before - targets

    def in_function(self) -> bool:
        return any(scope.kind == "function" for scope in self.stack)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.visit_all([*node.decorator_list, *node.args.defaults, *node.args.kw_defaults])
        self.bind(node.name)
        if not self.in_function():
            self.methods.add(node.name)
            if not (node.decorator_list or isinstance(node, ast.AsyncFunctionDef) or is_generator(node)):
                self.stack[-1].functions[node.name] = node
        self.enter("comprehension", (parameter.name for parameter in type_parameters_of(node)))
        for annotation in annotations_of(node):
            self.annotation(annotation)
        self.function(node)
        self.leave()

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.visit_all(node.decorator_list)
        self.enter("comprehension", (parameter.name for parameter in type_parameters_of(node)))
        self.visit_all([*node.bases, *(keyword.value for keyword in node.keywords)])
        self.class_body(node)
        self.leave()
        self.bind(node.name)

    def class_body(self, node: ast.ClassDef) -> None:
        self.enter("class", ("__module__", "__qualname__"))
        self.visit_all(node.body)
        self.leave()

    def visit_TypeAlias(self, node: Any) -> None:
        self.enter("comprehension", (parameter.name for parameter in type_parameters_of(node)))
        self.guarded += 1  # the value of `type X = ...` is evaluated when somebody asks for it
        self.visit(node.value)
        self.guarded -= 1
        self.leave()
        self.bind(node.name.id)

    # -- results ---------------------------------------------------------------------------------------------

    def body(self, *, inner: bool, lazy: bool = False) -> Body:
        """Return what was found; `inner`: what functions inside will do, else what has run already."""
        outside = self.stack[0]
        reads = outside.inner_reads if inner else outside.reads
        tries = outside.inner_tries if inner else outside.tries
        return Body(
            frozenset(reads), frozenset(tries - reads), frozenset(self.calls & reads), frozenset(self.binds),
            tuple(self.imports), lazy,
        )  # fmt: skip
