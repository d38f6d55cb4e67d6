"""What surely happens when a cell runs: the calls, reads and imports that no branch, loop or `try` can leave out.

`cells.refusals` refuses by it, and only by it, what code outside the cell would do: what merely may happen is found out
where it would be here, when it does.
"""

from __future__ import annotations

import ast
import getpass
import inspect
import linecache
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType, FunctionType

from zenml_modal_nb.cells.syntax import Comprehension, parsed

# Whatever calls one of these may have bound any name, or given up before what follows it.
UNSEEN = frozenset({
    "exec", "eval", "globals", "locals", "vars", "setattr", "__import__", "import_module", "get_ipython", "exit",
    "quit", "_exit", "kill",
})  # fmt: skip
_QUIET_CALLS = frozenset({"print", "display"})  # these cannot make a module importable
_QUIET_MODULES = frozenset({"warnings", "time"})


@dataclass(frozen=True, slots=True)
class Use:
    """A name that is surely read or called; `way` are the functions that lead there, the cell's own call first."""

    name: str
    called: bool
    line: int  # in the cell, of the call that leads there
    way: tuple[str, ...] = ()


def uses_in(tree: ast.Module, namespace: Mapping[str, object], bound: Iterable[str]) -> Iterator[Use]:
    """Yield what the cell, and the notebook's functions that it surely calls, surely read and call.

    `bound` are names that the cell binds itself: what they stand for is not followed.
    """
    own = frozenset(bound)
    seen: set[CodeType] = set()

    def follow(function: FunctionType, line: int, way: tuple[str, ...]) -> Iterator[Use]:
        definition = _definition(function)
        if definition is None or function.__code__ in seen:
            return
        seen.add(function.__code__)
        code = function.__code__
        local = {*code.co_varnames, *code.co_cellvars, *code.co_freevars}
        for node in _sure(definition.body):
            yield from step(node, line, way, local)

    def step(
        node: ast.Name | ast.Call, line: int | None, way: tuple[str, ...], local: Iterable[str]
    ) -> Iterator[Use]:
        at = node.lineno if line is None else line
        if isinstance(node, ast.Name):
            if node.id not in local:
                yield Use(node.id, False, at, way)
            return
        name = _called(node, namespace, local)
        if not name:
            return
        yield Use(name, True, at, way)
        target = namespace.get(name)
        if name not in own and isinstance(target, FunctionType) and target.__globals__ is namespace:
            yield from follow(target, at, (*way, name))

    for node in _sure(tree.body):
        yield from step(node, None, (), ())


def imports_in(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield the modules that the cell imports before it could make one importable, each with its line."""
    for statement in tree.body:
        if isinstance(statement, ast.Import):
            yield from ((alias.name, statement.lineno) for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            if statement.module and not statement.level:
                yield statement.module, statement.lineno
        elif not _is_inert(statement):
            return


def asks_somebody(use: Use, namespace: Mapping[str, object]) -> bool:
    """Tell whether a call waits for an answer that nobody gives in a sandbox."""
    if not use.called:
        return False
    if use.name == "input":
        return "input" not in namespace
    return use.name == "getpass.getpass" or namespace.get(use.name) is getpass.getpass


def _called(node: ast.Call, namespace: Mapping[str, object], local: Iterable[str]) -> str:
    match node.func:
        case ast.Name(id=name) if name not in local:
            return name
        case ast.Attribute(value=ast.Name(id=owner), attr="getpass") if namespace.get(owner) is getpass:
            return "getpass.getpass"
    return ""


def _definition(function: FunctionType) -> ast.FunctionDef | None:
    """Return the text of a function that runs when it is called, as a tree; None if it is not to be had."""
    code = function.__code__
    if code.co_flags & (inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
        return None
    tree = parsed("".join(linecache.getlines(code.co_filename)))
    if isinstance(tree, SyntaxError):
        return None
    return _functions(tree).get((code.co_name, code.co_firstlineno))


@lru_cache(maxsize=64)
def _functions(tree: ast.Module) -> dict[tuple[str, int], ast.FunctionDef]:
    return {
        (node.name, node.lineno): node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and not node.decorator_list
    }


def _sure(body: list[ast.stmt]) -> Iterator[ast.Name | ast.Call]:
    """Yield the reads and calls that every run of these statements comes to, in order."""
    for statement in body:
        match statement:
            case ast.Expr() | ast.Assign() | ast.AugAssign() | ast.AnnAssign() | ast.Return() | ast.Delete():
                yield from _evaluated(statement)
            case ast.If(test=test) | ast.While(test=test) | ast.Assert(test=test):
                yield from _evaluated(test)
            case ast.For(iter=iterable):
                yield from _evaluated(iterable)
            case ast.With(items=items):
                yield from _evaluated(items[0].context_expr)
            case ast.Match(subject=subject):
                yield from _evaluated(subject)
        if _may_leave(statement):
            return


def _evaluated(node: ast.AST) -> Iterator[ast.Name | ast.Call]:
    """Yield the reads and calls of code that is evaluated whole, without what only may be evaluated in it."""
    match node:
        case ast.Name(ctx=ast.Load()):
            yield node
        case ast.Lambda():
            pass
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            yield from _evaluated(_iterable(node))
        case ast.IfExp(test=test):
            yield from _evaluated(test)
        case ast.BoolOp(values=[first, *_]):
            yield from _evaluated(first)
        case ast.Compare(left=left, comparators=[first, *_]):
            yield from _evaluated(left)
            yield from _evaluated(first)
        case ast.AnnAssign(value=value, simple=simple) if simple:  # annotations may be left unevaluated
            if value is not None:
                yield from _evaluated(value)
        case _:
            for child in ast.iter_child_nodes(node):
                yield from _evaluated(child)
            if isinstance(node, ast.Call):
                yield node


def _iterable(node: Comprehension) -> ast.expr:
    return node.generators[0].iter


def _may_leave(statement: ast.stmt) -> bool:
    """Tell whether what follows may not be reached although nothing has failed."""
    for node in _outside_functions(statement):
        if isinstance(node, ast.Return | ast.Raise | ast.Break | ast.Continue):
            return True
        if isinstance(node, ast.Call):
            function = node.func
            name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
            if name in UNSEEN:
                return True
    return False


def _is_inert(statement: ast.stmt) -> bool:
    """Tell whether a statement cannot make a module importable, e.g. as `sys.path.append(...)` does."""
    for node in _outside_functions(statement):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in _QUIET_CALLS:
                continue
            case ast.Call(func=ast.Attribute(value=ast.Name(id=owner))) if owner in _QUIET_MODULES:
                continue
            case ast.Call() | ast.Await() | ast.ClassDef() | ast.With() | ast.AsyncWith():
                return False
            case ast.Attribute(ctx=ast.Store()) | ast.Subscript(ctx=ast.Store()) | ast.Raise():
                return False
            case ast.FunctionDef() | ast.AsyncFunctionDef() if node.decorator_list:
                return False
            case ast.Import() | ast.ImportFrom() if node is not statement:
                continue  # e.g. `try: import tomllib`, which binds a name at most
    return True


def _outside_functions(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return
    for child in ast.iter_child_nodes(node):
        yield from _outside_functions(child)
