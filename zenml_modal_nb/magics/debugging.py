"""Where `%debug` begins after a cell has failed: at the cell, whose variables are there, not in our own code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionResult, InteractiveShell


@contextmanager
def from_the_cell(shell: InteractiveShell) -> Iterator[None]:
    """Cut what lies below the notebook's code from an error's traceback, once IPython has it."""
    try:
        yield
    except BaseException as error:
        _cut_later(shell, error)
        raise


def _cut_later(shell: InteractiveShell, error: BaseException) -> None:
    def cut(_: ExecutionResult) -> None:
        shell.events.unregister("post_run_cell", cut)
        step, cell = error.__traceback__, None
        while step is not None:
            if step.tb_frame.f_globals is shell.user_global_ns:
                cell = step
            step = step.tb_next
        if cell is not None:
            cell.tb_next = None

    shell.events.register("post_run_cell", cut)
