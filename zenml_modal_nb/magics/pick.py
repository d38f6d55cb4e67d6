"""`%modal_pick`: opens the picker, alone or on top of a cell that waits for the choice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

if TYPE_CHECKING:
    from zenml_modal_nb.picker.resource_picker import ResourcePicker

HELP = """Choose GPU, CPU, memory, place and time limit by sight, with their price.

    %modal_pick
    %modal_pick --gpu A100 --timeout 2h

opens a form (in a terminal: a table of prices) that begins with the options on its line, the same as those of
%%modal_step, and shows the line that says the same. The line can be copied, put into a new cell, or made the
default of every cell. `picker = %modal_pick` keeps the choice: picker.line, picker.request, picker.price,
picker.insert(), picker.use_as_default().

    %%modal_pick
    model = train(X, y)

holds the cell back. "Run this cell with it" puts the chosen line in the place of %%modal_pick, in JupyterLab and
Notebook 7; in other front ends it makes the cell run with the choice when it is executed once more. Nothing runs,
and nothing is paid, before that.
"""


@magics_class
class PickMagics(Magics):
    """The magic; registered by the extension."""

    shell: InteractiveShell  # always given here; IPython allows None

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self._armed: dict[
            tuple[str, str], ResourcePicker
        ] = {}  # by the line and the text of the cell that waits

    @no_var_expand
    @line_cell_magic
    def modal_pick(self, line: str, cell: str | None = None) -> object:
        """Open the picker, or run a cell whose choice has been made."""
        if cell is not None and (chosen := self._armed.pop((line, cell), None)) is not None:
            # With what is chosen now, as the form shows it, also if that changed after the button.
            return self.shell.run_cell_magic("modal_step", chosen.options, cell)  # type: ignore[no-untyped-call]  # IPython's
        from zenml_modal_nb.picker.resource_picker import ResourcePicker

        def arm(picker: ResourcePicker) -> None:
            if cell is not None:
                self._armed[line, cell] = picker

        return ResourcePicker(line, shell=self.shell, cell=cell, arm=arm)


PickMagics.modal_pick.__doc__ = HELP
