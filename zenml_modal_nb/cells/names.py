"""The names a cell takes from the notebook and the names it gives back."""

from __future__ import annotations

import ast
import builtins
import re
from dataclasses import dataclass

from zenml_modal_nb.cells.flow import Flow
from zenml_modal_nb.cells.imports import Import
from zenml_modal_nb.cells.paths import BOUND, DELETED, UNTOUCHED
from zenml_modal_nb.cells.syntax import nodes_in

__all__ = ["PROVIDED", "Import", "Names", "find_names", "is_ipythons", "names_in"]

# The runner provides the first two; the others are there in a notebook, and in Python by `site`.
_RUNNERS = frozenset({"display", "get_ipython", "exit", "quit"})
_BUILTINS = frozenset(dir(builtins)) | _RUNNERS
# Every module has these.
_MODULES = frozenset({
    "__name__", "__file__", "__doc__", "__builtins__", "__spec__", "__loader__", "__package__",
    "__annotations__",
})  # fmt: skip
PROVIDED = _BUILTINS | _MODULES  # names that need no definition of the user's

# e.g. `_`, `___`, `_3`, `_i`, `_ii`, `_i12`, `_oh`; kept by IPython itself in the notebook's namespace
_IPYTHONS = re.compile(r"_{1,3}|_\d+|_i{1,3}|_i\d+|_[iod]h|In|Out|exit|quit|get_ipython")


@dataclass(frozen=True, slots=True)
class Names:
    """What a cell does with the notebook's names; made here, read by `cells.cell`.

    `optional` names are read where the cell may not have bound them, or where a missing name does no harm.
    `bound` and `maybe_bound` are in order of first binding; what is deleted on some paths may also stay, so it is
    among the latter. `builtins` are the builtin names it reads: the notebook may have its own.
    `definite_imports` are the `imports` whose name is bound on every path, by that import alone.
    `inner_imports` happen inside functions that may run. `attributes` are all names behind a dot.
    """

    required: frozenset[str]
    optional: frozenset[str]
    bound: tuple[str, ...]
    maybe_bound: tuple[str, ...]
    deleted: tuple[str, ...]
    imports: tuple[Import, ...]
    star: bool
    builtins: frozenset[str] = frozenset()
    definite_imports: tuple[Import, ...] = ()
    inner_imports: tuple[Import, ...] = ()
    attributes: frozenset[str] = frozenset()


def is_ipythons(name: str) -> bool:
    """Tell whether IPython keeps this name itself, e.g. `_` or `In`."""
    return _IPYTHONS.fullmatch(name) is not None


def find_names(source: str) -> Names:
    """Find the names in plain Python, as `cells.source` makes it.

    Errors: SyntaxError.
    """
    return names_in(ast.parse(source))


def names_in(tree: ast.Module, postponed: bool = False) -> Names:
    """Find the names in a parsed cell; `postponed`: annotations are not evaluated, by an import of another cell."""
    flow = Flow(tree, postponed)
    end = flow.now
    marks = {name: end.mark(name) for name in flow.first_bound}
    inside = _deleted_inside(tree, flow.declared) if flow.declared else []
    deleted = tuple(dict.fromkeys([*(name for name, mark in end.marks.items() if mark & DELETED), *inside]))
    # Whether such a name is gone afterwards depends on the path, so the notebook's own value has to be there.
    undecided = {name for name in deleted if end.mark(name) & UNTOUCHED} | {*inside}
    read = flow.required | flow.optional
    provided = read & PROVIDED
    ipythons = {name for name in read - provided if is_ipythons(name)}
    required = flow.required - provided - ipythons
    optional = ((flow.optional | undecided) - provided - required) | ipythons
    perhaps = (name for name, mark in marks.items() if mark not in (BOUND, DELETED))
    definite = [end.imports[name] for name, mark in marks.items() if mark == BOUND and name in end.imports]
    return Names(
        required=frozenset(required),
        optional=frozenset(optional),
        bound=tuple(name for name, mark in marks.items() if mark == BOUND),
        maybe_bound=tuple(dict.fromkeys([*perhaps, *(name for name in deleted if name in undecided)])),
        deleted=deleted,
        imports=tuple(flow.imports),
        star=flow.star,
        builtins=frozenset(provided & _BUILTINS - _MODULES),
        definite_imports=tuple(entries[0] for entries in definite if len(entries) == 1),
        inner_imports=tuple(flow.inner_imports),
        attributes=frozenset(flow.attributes),
    )


def _deleted_inside(tree: ast.Module, declared: set[str]) -> list[str]:
    """Return the module's names that functions of the cell delete, e.g. `def drop(): global x; del x`."""
    return [
        node.id
        for node in nodes_in(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Del) and node.id in declared
    ]
