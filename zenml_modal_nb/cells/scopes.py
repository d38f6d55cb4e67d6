"""What a function, lambda, class body or comprehension does to the names of the module around it."""

from __future__ import annotations

import ast
from dataclasses import replace

from zenml_modal_nb.cells.bodies import Body
from zenml_modal_nb.cells.scope_reader import ScopeReader
from zenml_modal_nb.cells.syntax import Comprehension, FunctionNode, Visitor, type_parameters_of


def function_body(node: FunctionNode, outer: Visitor) -> Body:
    """Return what calling this function does to the module's names."""
    reader = ScopeReader(outer)
    reader.enter("comprehension", (parameter.name for parameter in type_parameters_of(node)))
    reader.function(node)
    reader.leave()
    outside = reader.stack[0]
    outside.inner_reads |= outside.reads  # reads through `global` went past the function to the module
    outside.inner_tries |= outside.tries
    lazy = reader.generator or isinstance(node, ast.AsyncFunctionDef)
    return reader.body(inner=True, lazy=lazy)


def class_bodies(node: ast.ClassDef, outer: Visitor) -> tuple[Body, Body, Body]:
    """Return what defining this class does at once, what it may do at once, and what its methods may do later.

    Nothing tells which methods will run, so what they read is never required, e.g. a `report` method that needs a
    function of a later cell.
    """
    reader = ScopeReader(outer)
    reader.enter("comprehension", (parameter.name for parameter in type_parameters_of(node)))
    reader.class_body(node)
    reader.leave()
    found = reader.body(inner=True, lazy=True)
    later = replace(found, reads=frozenset(), tries=found.reads | found.tries)
    # A class body that calls its own functions may run any of them, e.g. `def make(): ...` then `made = make()`.
    inside = later.tries if reader.methods & reader.calls else frozenset()
    perhaps = Body(frozenset(reader.mentioned), inside - reader.mentioned, lazy=True)
    return reader.body(inner=False), perhaps, later


def comprehension_bodies(node: Comprehension, outer: Visitor) -> tuple[Body, Body]:
    """Return what a comprehension does after its first iterable, and what functions inside it may do later."""
    reader = ScopeReader(outer)
    reader.visit_comprehension_parts(node, first=False)
    return reader.body(inner=False), reader.body(inner=True, lazy=True)
