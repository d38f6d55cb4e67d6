"""Which renderer a run gets."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, TextIO

from zenml_modal_nb.rendering.notebook import NotebookRenderer
from zenml_modal_nb.rendering.plain import PlainRenderer
from zenml_modal_nb.rendering.publisher import KernelPublisher, TextPublisher
from zenml_modal_nb.rendering.renderer import Renderer
from zenml_modal_nb.rendering.terminal import TerminalRenderer

if TYPE_CHECKING:
    from ipykernel.zmqshell import ZMQInteractiveShell
    from IPython.core.interactiveshell import InteractiveShell

PLAIN_VARIABLE = "ZENML_MODAL_NB_PLAIN"


def choose(
    shell: InteractiveShell | None,
    *,
    stdout: TextIO,
    environ: Mapping[str, str],
    stderr: TextIO | None = None,
) -> Renderer:
    """Return a renderer for the cell that is running now; call it on the thread that runs the cell.

    Nothing tells a live notebook from a headless one (nbconvert, papermill and nbclient leave no mark in the
    kernel), and nothing has to: display updates carry HTML and text, and a headless client saves the last.
    `stderr` defaults to `stdout`. ZENML_MODAL_NB_PLAIN=1 asks for lines of text everywhere.
    """
    in_words = environ.get(PLAIN_VARIABLE, "") not in ("", "0")
    if (kernel_shell := _kernel_shell(shell)) is not None:
        publisher = KernelPublisher(kernel_shell)
        return PlainRenderer(publisher) if in_words else NotebookRenderer(publisher)
    streams = TextPublisher(stdout, stderr or stdout)
    if in_words or not stdout.isatty() or environ.get("TERM") == "dumb":
        return PlainRenderer(streams)
    return TerminalRenderer(streams, lambda: shutil.get_terminal_size().columns)


def _kernel_shell(shell: InteractiveShell | None) -> ZMQInteractiveShell | None:
    if not hasattr(shell, "kernel"):  # terminal IPython need not have imported ipykernel
        return None
    from ipykernel.zmqshell import ZMQDisplayPublisher, ZMQInteractiveShell

    # `capture_output()` replaces the shell's publisher: then `stdout` is where the caller wants the text.
    if isinstance(shell, ZMQInteractiveShell) and isinstance(shell.display_pub, ZMQDisplayPublisher):
        return shell
    return None
