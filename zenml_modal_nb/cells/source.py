"""A cell's text as plain Python: IPython's own syntax rewritten, every line where it was."""

from __future__ import annotations

import ast
import warnings
from dataclasses import dataclass

from zenml_modal_nb.cells.magics import CellRewriter
from zenml_modal_nb.errors import CellError


@dataclass(frozen=True, slots=True)
class CellSource:
    """The text of a cell as plain Python; made by `read_source`, read by `cells.cell` and `packaging`.

    `text` keeps IPython's top-level `await` and the line numbers of the cell. `pip` are the requirements of
    its `%pip install` and `!pip install` lines, which do nothing in `text`.
    """

    text: str
    pip: tuple[str, ...]


def read_source(body: str) -> CellSource:
    """Turn a cell's text into plain Python.

    Errors: CellError, naming the line and what to do.
    """
    error = _syntax_error(body)
    if error is None:
        return CellSource(body, ())
    rewriter = CellRewriter(body)
    text = rewriter.rewrite()
    if text != body:
        error = _syntax_error(text)
    if error is not None:
        raise CellError(_explained(error, body))
    return CellSource(text, rewriter.pip)


def _syntax_error(text: str) -> SyntaxError | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the cell warns when it runs, e.g. of `"\d"`
        try:
            compile(text, "<cell>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        except SyntaxError as error:
            return error
        except ValueError as error:  # a null byte, before Python 3.12
            return SyntaxError(str(error))
    return None


def _explained(error: SyntaxError, body: str) -> str:
    line = error.lineno or 1
    lines = body.splitlines()
    parts = [f"line {line}: {error.msg}."]
    if 0 < line <= len(lines):
        shown = lines[line - 1]
        parts.append(f"    {shown}")
        if error.offset:
            parts.append("    " + " " * (min(error.offset, len(shown) + 1) - 1) + "^")
    return "\n".join([*parts, "Correct the cell and run it again; nothing was created."])
