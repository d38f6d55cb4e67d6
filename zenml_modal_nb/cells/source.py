"""A cell's text as plain Python: IPython's own syntax rewritten, every line where it was."""

from __future__ import annotations

import ast
import warnings
from dataclasses import dataclass
from functools import lru_cache

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


def read_source(body: str, *, first_line: int = 1) -> CellSource:
    """Turn a cell's text into plain Python; `first_line` is the number of its first line in messages.

    Errors: CellError, naming the line and what to do.
    """
    if not isinstance(parsed(body), SyntaxError):
        return CellSource(body, ())
    rewriter = CellRewriter(body, first_line)
    text = rewriter.rewrite()
    tree = parsed(text)
    if isinstance(tree, SyntaxError):
        raise CellError(_explained(tree, body, first_line))
    return CellSource(text, rewriter.pip)


@lru_cache(maxsize=16)
def parsed(text: str) -> ast.Module | SyntaxError:
    """Return the syntax tree of code that compiles in a notebook; top-level `await` does, `return` does not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the cell warns when it runs, e.g. of `"\d"`
        try:
            tree = ast.parse(text)
            compile(tree, "<cell>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        except SyntaxError as error:
            return error
        except ValueError as error:  # a null byte, before Python 3.12
            return SyntaxError(str(error))
    return tree


def _explained(error: SyntaxError, body: str, first_line: int) -> str:
    line = error.lineno or 1
    lines = body.splitlines()
    parts = [f"line {line - 1 + first_line}: {error.msg}."]
    if 0 < line <= len(lines):
        shown = lines[line - 1]
        parts.append(f"    {shown}")
        if error.offset:
            parts.append("    " + " " * (min(error.offset, len(shown) + 1) - 1) + "^")
    return "\n".join([*parts, "Correct the cell and run it again; nothing was created."])
