"""Run a notebook cell on cloud GPUs as a tracked ZenML step in a Modal sandbox: `%load_ext zenml_modal_nb`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from zenml_modal_nb.picker.resource_picker import ResourcePicker as ResourcePicker

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Import what is public when it is first used: loading the extension stays fast."""
    if name == "ResourcePicker":
        from zenml_modal_nb.picker.resource_picker import ResourcePicker

        return ResourcePicker
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register the magics; called by `%load_ext zenml_modal_nb`."""
    from zenml_modal_nb.magics.extension import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Remove the magics; called by `%unload_ext zenml_modal_nb`."""
    from zenml_modal_nb.magics.extension import unload

    unload(shell)
