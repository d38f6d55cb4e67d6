"""One cell, analyzed: everything later stages need to know, or one error that says all that is wrong."""

from __future__ import annotations

import ast
import builtins
import difflib
import keyword
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from zenml_modal_nb.cells.capture import Captured, capture
from zenml_modal_nb.cells.imports import Import
from zenml_modal_nb.cells.names import Names, is_ipythons, names_in
from zenml_modal_nb.cells.requirements import Requirements, find_requirements
from zenml_modal_nb.cells.source import CellSource, read_source
from zenml_modal_nb.errors import CellError

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
    has_last_expression: bool
    default_name: str


def analyze(
    body: str,
    namespace: Mapping[str, object],
    *,
    inputs: tuple[str, ...] | None = None,
    outputs: tuple[str, ...] | None = None,
    gpu: bool = False,
) -> AnalyzedCell:
    """Analyze a cell's text in a notebook's namespace; `inputs` and `outputs` replace what would be found.

    Errors: CellError.
    """
    source = read_source(body)
    tree = ast.parse(source.text)
    names = names_in(tree)
    _refuse_input(tree, names, namespace)
    captured = _captured(tree, names, namespace, inputs)
    imported = {entry.name: entry for entry in names.definite_imports}
    if outputs is None:
        bound = tuple(n for n in names.bound if n not in imported and not is_ipythons(n))
        maybe = [n for n in (*names.maybe_bound, *captured.rebinds) if not is_ipythons(n)]
        maybe_bound = tuple(dict.fromkeys(n for n in maybe if n not in bound))
    else:
        _refuse_unbound(outputs, names, captured)
        bound = tuple(n for n in outputs if n in names.bound)
        maybe_bound = tuple(n for n in outputs if n not in names.bound)
        imported = {name: entry for name, entry in imported.items() if name not in outputs}
    modules = {entry.module for entry in (*names.imports, *names.inner_imports)}
    return AnalyzedCell(
        source=source,
        names=names,
        captured=captured,
        requirements=find_requirements(modules | captured.imported, gpu=gpu, attributes=names.attributes),
        outputs=bound,
        optional_outputs=maybe_bound,
        imported_names=tuple(imported.values()),
        deleted=names.deleted,
        has_last_expression=_has_last_expression(tree, source.text),
        default_name=_default_name(tree, bound),
    )


def _captured(
    tree: ast.Module, names: Names, namespace: Mapping[str, object], inputs: tuple[str, ...] | None
) -> Captured:
    own_builtins = {name for name in names.builtins if name in namespace}  # e.g. the notebook's own `sum`
    captured = capture(names.required, names.optional | own_builtins, namespace, names.attributes)
    if inputs is not None:
        absent = [name for name in inputs if name not in namespace]
        if absent:
            raise CellError(_absent_inputs(absent, namespace))
        # Code the cell calls is needed whatever the data is: `--in` chooses among values alone.
        chosen = capture(inputs, (), namespace, names.attributes)
        kept = {n: v for n, v in captured.values.items() if n not in names.required | names.optional}
        captured = replace(
            captured,
            values={**kept, **chosen.values},
            definitions={**captured.definitions, **chosen.definitions},
            references={**captured.references, **chosen.references},
            modules={**captured.modules, **chosen.modules},
            imported=captured.imported | chosen.imported,
        )
    if captured.missing:
        raise CellError(_undefined(tree, captured.missing, {*namespace, *names.bound, *names.maybe_bound}))
    return captured


def _undefined(tree: ast.Module, missing: Iterable[str], known: set[str]) -> str:
    lines: dict[str, int] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in set(missing):
            lines[node.id] = min(node.lineno, lines.get(node.id, node.lineno))
    parts = [
        f"line {line}: '{name}' is not defined.{_did_you_mean(name, known)}"
        for name, line in sorted(lines.items(), key=lambda item: (item[1], item[0]))
    ]
    return "\n".join([*parts, "Run the cell that defines it, or correct the name; nothing was created."])


def _absent_inputs(absent: list[str], namespace: Mapping[str, object]) -> str:
    parts = [f"--in {name}: the notebook has no '{name}'.{_did_you_mean(name, namespace)}" for name in absent]
    return "\n".join([*parts, "Name variables that exist, or leave --in away; nothing was created."])


def _refuse_unbound(outputs: tuple[str, ...], names: Names, captured: Captured) -> None:
    known = {*names.bound, *names.maybe_bound, *captured.rebinds, *captured.values}
    absent = [name for name in outputs if name not in known]
    if absent:
        parts = [
            f"--out {name}: the cell never binds '{name}'.{_did_you_mean(name, known)}" for name in absent
        ]
        binds = ", ".join(names.bound + names.maybe_bound) or "no name"
        raise CellError("\n".join([*parts, f"It binds {binds}; nothing was created."]))


def _refuse_input(tree: ast.Module, names: Names, namespace: Mapping[str, object]) -> None:
    if "input" not in names.builtins or "input" in namespace:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "input":
            raise CellError(
                f"line {node.lineno}: input() cannot ask anybody in a sandbox. Call it in a cell of its own and "
                "use the variable here; nothing was created."
            )


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    candidates = [n for n in known if not n.startswith("_")] + [n for n in dir(builtins) if n.islower()]
    close = difflib.get_close_matches(name, candidates, n=1)
    return f" Did you mean '{close[0]}'?" if close else ""


def _has_last_expression(tree: ast.Module, text: str) -> bool:
    """Tell whether the cell ends in an expression to display; IPython is silent after `;`."""
    if not tree.body or not isinstance(last := tree.body[-1], ast.Expr):
        return False
    line = text.splitlines()[(last.end_lineno or 1) - 1].encode()
    return not line[last.end_col_offset or 0 :].decode().lstrip().startswith(";")


def _default_name(tree: ast.Module, bound: tuple[str, ...]) -> str:
    """Derive a step name: the first public name bound, else the first function called, else "cell"."""
    candidates = [name for name in bound if not name.startswith("_")]
    for statement in tree.body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Call):
                function = node.func
                candidates.append(
                    function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
                )
                break
    for name in candidates:
        name = name.strip("_")[:MAX_NAME_LENGTH]
        if name.isascii() and name.isidentifier() and not keyword.iskeyword(name):
            return name
    return "cell"
