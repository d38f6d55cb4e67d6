"""`%%modal_step`: parses the line, hands the cell to `run`, returns the value of its last expression."""

from __future__ import annotations
import __future__

import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import PurePath
from traceback import walk_stack
from typing import TYPE_CHECKING, Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, cell_magic, magics_class, no_var_expand

from zenml_modal_nb.magics import arguments, debugging
from zenml_modal_nb.magics.defaults import ModalStep

if TYPE_CHECKING:
    from zenml_modal_nb.run.failure import Tracebacks
    from zenml_modal_nb.run.preparation import Cell, Prepared

_FUTURES = {name: getattr(__future__, name).compiler_flag for name in __future__.all_feature_names}
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_.-]+")  # what Modal's and ZenML's names may hold


@magics_class
class ModalStepMagics(Magics):
    """The magics; registered by the extension."""

    shell: InteractiveShell  # always given here; IPython allows None

    def __init__(self, shell: InteractiveShell, defaults: ModalStep) -> None:
        super().__init__(shell)
        self._step_defaults = defaults

    @no_var_expand
    @cell_magic
    def modal_step(self, line: str, cell: str) -> object:
        """Run this cell in a Modal sandbox, as a tracked ZenML step."""
        with debugging.from_the_cell(self.shell):
            return self._modal_step(line, cell)

    def _modal_step(self, line: str, cell: str) -> object:
        from zenml_modal_nb.run.definition import define
        from zenml_modal_nb.run.plan import Plan
        from zenml_modal_nb.run.preparation import prepare

        request = arguments.parse(line, self._step_defaults)
        here = self._cell(cell)
        tracebacks = self._tracebacks(here, line, cell)
        with _nothing_created():
            if request.define:
                return define(request, here, self.shell.user_ns, tracebacks)
            prepared = prepare(request, here, self.shell.user_ns)
        if request.dry_run:
            return Plan.of(prepared)
        self._turn_on(prepared.futures)
        return self._run(prepared, tracebacks)

    def _tracebacks(self, here: Cell, line: str, body: str) -> Tracebacks:
        from zenml_modal_nb.run.failure import Tracebacks

        lines = [f"%%modal_step {line}".rstrip(), *body.splitlines()]
        return Tracebacks(here, lines, self._name_of_cell)

    def _run(self, prepared: Prepared, tracebacks: Tracebacks) -> object:
        from zenml_modal_nb.rendering.choice import choose
        from zenml_modal_nb.run.cell_run import CellRun

        renderer = choose(
            self.shell,
            stdout=sys.stdout,
            stderr=sys.stderr,
            environ=os.environ,
            stop=lambda: run.cancel(),  # a button of the page, when there is a run
        )
        run = CellRun(prepared, self.shell.user_ns, renderer, tracebacks)
        self.shell.user_ns["_modal_run"] = run
        try:
            return run.follow()
        except BaseExceptionGroup:
            from zenml_modal_nb.magics import groups

            groups.show_next(self.shell)
            raise

    def _cell(self, body: str) -> Cell:
        from zenml_modal_nb.run.preparation import Cell

        label = self._label()
        flags = self.shell.compile.flags
        on = tuple(name for name, flag in _FUTURES.items() if flags & flag)
        name = _notebook_name(self.shell.user_ns)
        return Cell(body, label, f"<{label}>", name, on, self.shell.ast_node_interactivity)

    def _turn_on(self, futures: Iterable[str]) -> None:
        """Compile later cells with what this one imports from `__future__`, as IPython does."""
        for name in futures:
            self.shell.compile.flags |= _FUTURES[name]

    def _label(self) -> str:
        """Return what IPython calls the cell that runs now, from its outermost frame.

        The shell's counter tells it in some versions only: IPython 9.16 counts a cell before it runs it.
        """
        names = [self._name_of_cell(frame.f_code.co_filename) for frame, _ in walk_stack(None)]
        return next(filter(None, reversed(names)), f"Cell In[{self.shell.execution_count}]")

    def _name_of_cell(self, filename: str) -> str | None:
        named = self.shell.compile.format_code_name(filename)
        return None if named is None else " ".join(named)


@contextmanager
def _nothing_created() -> Iterator[None]:
    """Show an interrupt without the frames that it came through."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        told = ["KeyboardInterrupt: nothing was created"]
        interrupt._render_traceback_ = lambda: told  # type: ignore[attr-defined]  # IPython asks for it
        raise


def _notebook_name(namespace: dict[str, Any]) -> str:
    """Name of the notebook's file, "notebook" where no front end tells it."""
    # jupyter_server tells kernels by the variable, VS Code by a name among the user's.
    path = namespace.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME") or "notebook"
    return _NOT_IN_A_NAME.sub("-", PurePath(str(path)).stem).strip("-.")[:40] or "notebook"


ModalStepMagics.modal_step.__doc__ = arguments.help_text()
