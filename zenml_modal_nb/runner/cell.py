"""The cell itself: its text compiled as a notebook would, and run in its namespace."""

from __future__ import annotations
import __future__

import ast
import inspect
import io
import linecache
import time
import tokenize
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zenml_modal_nb.runner.functions import Namespace

_FUTURES = 0
for _name in __future__.all_feature_names:
    _FUTURES |= getattr(__future__, _name).compiler_flag


@dataclass(frozen=True, slots=True)
class Run:
    """What the client wants run; read from the header of the input, see ARCHITECTURE.md."""

    source: str
    filename: str
    step: str
    outputs: tuple[str, ...]
    grace: float | None  # seconds; None: never abandoned
    sources: Mapping[str, str] = field(default_factory=dict)  # of the notebook's other cells, by file name
    imports: tuple[tuple[str, str], ...] = ()  # names that import statements bind, and the modules
    narrowed: bool = False  # the user has named the outputs: nothing else is written to the notebook
    fetch: tuple[str, ...] = ()  # patterns of files that are to come back
    volumes: tuple[str, ...] = ()  # mount paths
    interactivity: str = "last_expr"  # whose values are shown, see IPython's `ast_node_interactivity`
    declared: tuple[str, ...] | None = None  # what a ZenML step around the runner returns, if there is one

    @classmethod
    def of_header(cls, header: Mapping[str, Any]) -> Run:
        """Read the header's RUN; raises KeyError where it lacks something."""
        run = header["run"]
        return cls(
            source=run["source"],
            filename=run["filename"],
            step=run["step"],
            outputs=tuple(run["outputs"]),
            grace=run["grace"],
            sources=run.get("sources", {}),
            imports=tuple((name, module) for name, module in run.get("imports", ())),
            narrowed=run.get("narrowed", False),
            fetch=tuple(run.get("fetch", ())),
            volumes=tuple(run.get("volumes", ())),
            interactivity=run.get("interactivity", "last_expr"),
            declared=None if run.get("declared") is None else tuple(run["declared"]),
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the cell ended; made by `execute`, read by `program`."""

    seconds: float
    last: Any = None  # the value of a last expression
    error: BaseException | None = None


def show_sources(run: Run) -> None:
    """Give tracebacks, and compilers that read source, the text of the notebook's cells."""
    for filename, text in {**run.sources, run.filename: run.source}.items():
        # Without a modification time linecache does not look for a file of that name.
        linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)


def execute(run: Run, namespace: Namespace) -> Outcome:
    """Run the cell; whatever it raises is in the outcome."""
    start = time.perf_counter()
    try:
        value = _evaluated(_compiled(run), namespace)
    except SystemExit as error:
        if error.code is None or error.code == 0:
            return Outcome(time.perf_counter() - start)
        return Outcome(time.perf_counter() - start, error=error)
    except BaseException as error:  # noqa: BLE001  # an interrupt too is how this cell ended
        return Outcome(time.perf_counter() - start, error=error)
    return Outcome(time.perf_counter() - start, last=value)


def _compiled(run: Run) -> list[types.CodeType]:
    """Compile the statements, and apart from them those whose values are shown; the last one's value is wanted."""
    tree = ast.parse(run.source, run.filename)
    shows = "none" if _is_silenced(run.source) else run.interactivity
    if shows == "last_expr_or_assign":
        tree.body += _assigned(tree.body)
    wanted = bool(tree.body) and isinstance(tree.body[-1], ast.Expr) and shows != "none"
    expression = ast.Expression(tree.body.pop().value) if wanted else None  # type: ignore[attr-defined]  # an ast.Expr
    first = {"all": 0, "last": len(tree.body) - 1 + wanted}.get(shows, len(tree.body))
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT

    def code(node: Any, mode: str) -> types.CodeType:
        compiled: types.CodeType = compile(node, run.filename, mode, flags, dont_inherit=True)
        return compiled

    # Whole, so that no statement runs before what is wrong with a later one is told.
    whole = code(tree, "exec")
    flags |= whole.co_flags & _FUTURES
    shown = tree.body[first:]
    codes = [code(ast.Module(tree.body[:first], []), "exec") if shown else whole]
    codes += [code(ast.Interactive([each]), "single") for each in shown]
    return [*codes, code(expression, "eval")] if expression is not None else codes


def _assigned(body: list[ast.stmt]) -> list[ast.stmt]:
    """Return the variable that a last statement assigns to, as an expression."""
    match body[-1:]:
        case [ast.Assign([ast.Name(name)]) | ast.AugAssign(ast.Name(name)) | ast.AnnAssign(ast.Name(name))]:
            return [ast.fix_missing_locations(ast.Expr(ast.Name(name, ast.Load())))]
    return []


def _is_silenced(source: str) -> bool:
    """Say whether the cell ends with a semicolon, by which a notebook is told not to show the last value."""
    last = None
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in (
            tokenize.NEWLINE,
            tokenize.NL,
            tokenize.COMMENT,
            tokenize.ENDMARKER,
            tokenize.DEDENT,
        ):
            last = token
    return last is not None and last.type == tokenize.OP and last.string == ";"


def _evaluated(codes: list[types.CodeType], namespace: Namespace) -> Any:
    if not any(code.co_flags & inspect.CO_COROUTINE for code in codes):
        return [eval(code, namespace) for code in codes][-1]  # noqa: S307  # running the cell is the purpose

    import asyncio  # takes 40 ms, which most cells need not wait for

    async def awaited() -> Any:
        # One event loop for the whole cell: what the statements have opened, the last expression uses.
        value = None
        for code in codes:
            value = eval(code, namespace)  # noqa: S307  # running the cell is the purpose
            if code.co_flags & inspect.CO_COROUTINE:
                value = await value
        return value

    return asyncio.run(awaited())
