"""One cell, analyzed: everything later stages need to know, or one error that says all that is wrong."""

from __future__ import annotations

import ast
import keyword
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain

from zenml_modal_nb.cells.asked import asked
from zenml_modal_nb.cells.capture import Captured, capture
from zenml_modal_nb.cells.imports import Import
from zenml_modal_nb.cells.names import Names, is_ipythons, names_in
from zenml_modal_nb.cells.refusals import Refusals
from zenml_modal_nb.cells.requirements import Requirements, find_requirements
from zenml_modal_nb.cells.shell import EXIT_CODE
from zenml_modal_nb.cells.source import CellSource, read_source
from zenml_modal_nb.cells.syntax import parsed

MAX_NAME_LENGTH = 40


@dataclass(frozen=True, slots=True)
class AnalyzedCell:
    """A cell that can run elsewhere; made by `analyze`, read by `packaging` and `run`.

    `outputs` are bound on every path, `optional_outputs` perhaps. `imported_names` are bound by an import
    of the cell: they are imported again in the notebook, not shipped. `deleted` names that the sandbox
    lacks at the end are deleted in the notebook too.
    """

    source: CellSource
    names: Names
    captured: Captured
    requirements: Requirements
    outputs: tuple[str, ...]
    optional_outputs: tuple[str, ...]
    imported_names: tuple[Import, ...]
    deleted: tuple[str, ...]
    default_name: str
    lines: Callable[[Iterable[str]], Mapping[str, int]]  # the first line that uses each name


def analyze(
    body: str,
    namespace: Mapping[str, object],
    *,
    inputs: tuple[str, ...] | None = None,
    outputs: tuple[str, ...] | None = None,
    gpu: bool = False,
    first_line: int = 1,
    futures: tuple[str, ...] = (),
    pip: tuple[str, ...] = (),
    own_image: bool = False,
    code: Iterable[object] = (),
    parameters: bool = False,
) -> AnalyzedCell:
    """Analyze a cell's text in a notebook's namespace; `inputs` and `outputs` replace what would be found.

    `first_line` is the number that the body's first line has for the user, e.g. 2 below a magic line; `futures`
    are the `__future__` features that earlier cells have turned on. `pip` is asked for on top of the cell's own
    `%pip install`; `own_image` is one of the user's, in which anything may be installed.
    `code` are functions of the notebook that travel whatever the cell says, e.g. those registered to show things.
    With `parameters` the notebook need not have what the cell reads: somebody will give it.
    Errors: CellError.
    """
    source = read_source(body, first_line=first_line)
    tree = parsed(source.text)
    assert isinstance(tree, ast.Module)
    names = names_in(tree, postponed="annotations" in futures)
    refusals = Refusals(tree, names, namespace, first_line)
    refusals.refuse_input()
    captured = _captured(names, namespace, inputs, refusals, code, parameters)
    imported = {entry.name: entry for entry in names.definite_imports}
    if outputs is None:
        bound = tuple(n for n in names.bound if n not in imported and not is_ipythons(n) and n != EXIT_CODE)
        maybe = [n for n in (*names.maybe_bound, *captured.rebinds, *captured.deletes) if not is_ipythons(n)]
        # These come back, but are no results of the step: e.g. `_` in `for _ in range(3)`.
        maybe += [n for n in (*names.bound, *names.maybe_bound) if n == EXIT_CODE or not n.strip("_")]
        maybe += [EXIT_CODE] if _runs_commands(names) else []  # as in IPython
        maybe_bound = tuple(dict.fromkeys(n for n in maybe if n not in bound))
    else:
        refusals.refuse_unbound(outputs, captured)
        bound = tuple(n for n in outputs if n in names.bound)
        maybe_bound = tuple(n for n in outputs if n not in names.bound)
        imported = {name: entry for name, entry in imported.items() if name not in outputs}
    requirements = _requirements(names, captured, (*source.pip, *pip), gpu=gpu)
    if requirements.not_installed and not own_image:
        refusals.refuse_not_installed(requirements, [asked(text) for text in (*source.pip, *pip)])
    return AnalyzedCell(
        source=source,
        names=names,
        captured=captured,
        requirements=requirements,
        outputs=bound,
        optional_outputs=maybe_bound,
        imported_names=(*imported.values(), *(e for e in names.imports if e.attribute == "*")),
        deleted=tuple(dict.fromkeys((*names.deleted, *captured.deletes))),
        default_name=_default_name(tree, bound, captured.definitions),
        lines=refusals.lines_of,
    )


def requiring(
    cell: AnalyzedCell, modules: Iterable[str], *, gpu: bool, pip: tuple[str, ...] = ()
) -> AnalyzedCell:
    """Add modules that the values themselves turned out to need, e.g. pyarrow for a pandas column of strings."""
    wanted = (*cell.source.pip, *pip)
    return replace(cell, requirements=_requirements(cell.names, cell.captured, wanted, modules, gpu=gpu))


def _requirements(
    names: Names, captured: Captured, pip: Iterable[str], more: Iterable[str] = (), *, gpu: bool
) -> Requirements:
    modules = {entry.module for entry in (*names.imports, *names.inner_imports)}
    return find_requirements(
        {*modules, *captured.imported, *more},
        gpu=gpu,
        attributes=captured.attributes,
        wanted=[asked(text) for text in pip],
    )


def _runs_commands(names: Names) -> bool:
    return EXIT_CODE in names.bound or ("get_ipython" in names.builtins and "system" in names.attributes)


def _captured(
    names: Names,
    namespace: Mapping[str, object],
    inputs: tuple[str, ...] | None,
    refusals: Refusals,
    code: Iterable[object],
    parameters: bool,
) -> Captured:
    own_builtins = {name for name in names.builtins if name in namespace}  # e.g. the notebook's own `sum`
    found = capture(names.required, names.optional | own_builtins, namespace, names.attributes, code)
    # e.g. after `def make(): global fresh; fresh = 1` of another cell: `make()` and then `fresh`
    if not parameters:
        refusals.refuse_undefined(name for name in found.missing if name not in found.rebinds)
    refusals.refuse_helpers(found)
    if inputs is None:
        return found
    if parameters:
        refusals.refuse_left_out(name for name in found.missing if name not in inputs)
        inputs = tuple(name for name in inputs if name in namespace)
    refusals.refuse_absent(inputs)
    refusals.refuse_left_out(name for name in found.values if name in names.required and name not in inputs)
    # Code the cell calls, and what that code reads, is needed whatever the data: `--in` chooses among the
    # values the cell names itself, and may add some it does not name.
    named = names.required | names.optional
    chosen = capture(inputs, (), namespace, names.attributes)
    return replace(
        found,
        values={**{n: v for n, v in found.values.items() if n not in named or n in inputs}, **chosen.values},
        definitions={**found.definitions, **chosen.definitions},
        references={**found.references, **chosen.references},
        modules={**found.modules, **chosen.modules},
        submodules=tuple(sorted({*found.submodules, *chosen.submodules})),
        rebinds=tuple(sorted({*found.rebinds, *chosen.rebinds})),
        deletes=tuple(sorted({*found.deletes, *chosen.deletes})),
        imported=found.imported | chosen.imported,
        attributes=found.attributes | chosen.attributes,
    )


def _default_name(tree: ast.Module, bound: tuple[str, ...], defined: Container[str]) -> str:
    """Derive a step name: the first public name bound, else the notebook's function called first, else "cell".

    Not e.g. `print`, `sleep` or the `append` of a list: they say nothing about the cell.
    """
    calls = (
        node.func for statement in tree.body for node in ast.walk(statement) if isinstance(node, ast.Call)
    )
    called = (function.id for function in calls if isinstance(function, ast.Name) and function.id in defined)
    for name in chain((name for name in bound if not name.startswith("_")), called):
        name = name.strip("_")[:MAX_NAME_LENGTH]
        if name.isascii() and name.isidentifier() and not keyword.iskeyword(name):
            return name
    return "cell"
