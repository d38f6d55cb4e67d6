"""Run a notebook cell on cloud GPUs as a tracked ZenML step in a Modal sandbox: `%load_ext zenml_modal_nb`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__version__ = "0.1.0"


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register the magics; called by `%load_ext zenml_modal_nb`."""
    from zenml_modal_nb.magics.extension import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Remove the magics; called by `%unload_ext zenml_modal_nb`."""
    from zenml_modal_nb.magics.extension import unload

    unload(shell)
