"""The exception that a failing cell shows: the user's own, with the user's lines."""

from __future__ import annotations

import linecache
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from zenml_modal_nb.rendering import traceback
from zenml_modal_nb.rendering.ansi import clean
from zenml_modal_nb.run.preparation import Cell
from zenml_modal_nb.sandboxes.termination import advice as ending_advice

GROUP = "_modal_step_group_"  # the attribute of a group of exceptions that holds what the sandbox says of it

# What IPython calls a code object's file for people, e.g. ("Cell", "In[3]"); None for a file that is no cell.
NameOfCell = Callable[[str], str | None]


class Tracebacks:
    """Draws the errors of one cell; made by the cell magic, which knows the cell's text and its neighbours."""

    def __init__(self, cell: Cell, lines: Sequence[str], name_of_cell: NameOfCell) -> None:
        self._cell = cell
        self._lines = lines
        self._name_of_cell = name_of_cell

    def of_cell(
        self, error: BaseException, fields: Mapping[str, Any], advice: str | None = None
    ) -> BaseException:
        """Give the restored exception the remote traceback, drawn as IPython draws its own, and advice below it."""
        report = traceback.read(self._with_sources(fields))
        lines = traceback.draw(
            report, cell_file=self._cell.filename, cell_lines=self._lines, cell_label=self._cell.label
        )
        if advice is not None:
            lines += ["", clean(advice)]
        # IPython asks an exception for its own rendering before it draws one. Not an attribute's assignment, which a
        # class may refuse, e.g. a frozen dataclass.
        vars(error)["_render_traceback_"] = lambda: lines
        if "group" in fields:
            vars(error)[GROUP] = clean(fields["group"])
        return error

    def stopped(self, confirmed: bool = True, sandbox_id: str | None = None) -> KeyboardInterrupt:
        """Return what an interrupted cell raises; `confirmed` says that nothing of the run is left at Modal."""
        return _interrupt(
            "the run was stopped and its sandbox is terminated"
            if confirmed
            else f"the run was stopped, but it is not confirmed that {_sandbox(sandbox_id)} has ended; "
            f"{ending_advice(sandbox_id)}"
        )

    def never_begun(self) -> KeyboardInterrupt:
        """Return what a cell raises that was stopped before it had asked for a sandbox."""
        return _interrupt("the run was stopped before a sandbox was created")

    def abandoned(self) -> KeyboardInterrupt:
        """Return what a cell raises whose end the user did not wait for."""
        return _interrupt(
            "the run is being stopped, but its sandbox's end is not confirmed; at the latest it ends at its timeout"
        )

    def _with_sources(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Add the lines of other cells, which the sandbox has run without having seen their text."""
        frames = []
        for frame in fields["frames"]:
            label = self._name_of_cell(frame["file"])
            if label is not None:
                text = frame["text"] or linecache.getline(frame["file"], frame["line"]).rstrip("\n")
                frame = {**frame, "file": label, "text": text}
            frames.append(frame)
        # The runner sends a list of at most one earlier error.
        linked = {
            link: self._with_sources(fields[link][0]) for link in ("cause", "context") if fields.get(link)
        }
        return {**fields, **linked, "frames": frames}


def _sandbox(sandbox_id: str | None) -> str:
    return "its sandbox" if sandbox_id is None else f"its sandbox {sandbox_id}"


def _interrupt(told: str) -> KeyboardInterrupt:
    error = KeyboardInterrupt(told)
    lines = [f"KeyboardInterrupt: {told}"]
    error._render_traceback_ = lambda: lines  # type: ignore[attr-defined]  # IPython asks for it
    return error
