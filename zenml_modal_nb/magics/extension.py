"""What `%load_ext zenml_modal_nb` does: registers the magics and imports the rest, and ZenML, in the background."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from zenml_modal_nb.magics.defaults import ModalStep

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def load(shell: InteractiveShell) -> None:
    """Register the magics and `%config ModalStep`."""
    from zenml_modal_nb.magics import completion
    from zenml_modal_nb.magics.cell_magic import ModalStepMagics
    from zenml_modal_nb.magics.doctor_magic import DoctorMagics
    from zenml_modal_nb.magics.pick import PickMagics
    from zenml_modal_nb.pipelines import warmup
    from zenml_modal_nb.rendering import choice

    choice.prepare(shell)
    defaults = _defaults(shell)
    shell.register_magics(ModalStepMagics(shell, defaults), PickMagics(shell), DoctorMagics(shell, defaults))
    completion.register(shell, defaults)
    warmup.begin(_import_what_a_cell_needs)


def _import_what_a_cell_needs() -> None:
    import zenml_modal_nb.run.cell_run
    import zenml_modal_nb.run.definition
    import zenml_modal_nb.run.preparation

    if "ipykernel.zmqshell" in sys.modules:  # a terminal shows no widgets
        import zenml_modal_nb.rendering.live  # noqa: F401


def unload(shell: InteractiveShell) -> None:
    """Remove what `load` registered."""
    from zenml_modal_nb.magics import completion

    completion.remove(shell)
    registered = shell.magics_manager.magics
    registered["cell"].pop("modal_step", None)
    for kind in ("line", "cell"):
        registered[kind].pop("modal_pick", None)
    registered["line"].pop("modal_doctor", None)
    shell.configurables[:] = [each for each in shell.configurables if not isinstance(each, ModalStep)]


def _defaults(shell: InteractiveShell) -> ModalStep:
    """Return the defaults, those of an earlier load if there was one: a reload keeps what the user has set."""
    if (known := ModalStep.of(shell)) is not None:
        return known
    defaults = ModalStep(parent=shell)
    shell.configurables.append(defaults)  # type: ignore[arg-type]  # IPython types the list by its first item
    return defaults
