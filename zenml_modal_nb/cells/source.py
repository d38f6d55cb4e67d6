"""A cell's text as plain Python: IPython's own syntax rewritten, every line where it was."""

from __future__ import annotations

from dataclasses import dataclass

from zenml_modal_nb.cells.magics import CellRewriter
from zenml_modal_nb.cells.syntax import parsed
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
