"""Which renderer a run gets."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TextIO

from zenml_modal_nb.rendering.front import FRONT, WHY
from zenml_modal_nb.rendering.notebook import NotebookRenderer
from zenml_modal_nb.rendering.page import HtmlPage
from zenml_modal_nb.rendering.plain import PlainRenderer
from zenml_modal_nb.rendering.publisher import KernelPublisher, TextPublisher
from zenml_modal_nb.rendering.renderer import Renderer
from zenml_modal_nb.rendering.terminal import TerminalRenderer

if TYPE_CHECKING:
    from ipykernel.zmqshell import ZMQInteractiveShell
    from IPython.core.interactiveshell import InteractiveShell

PLAIN_VARIABLE = "ZENML_MODAL_NB_PLAIN"
PANEL_VARIABLE = "ZENML_MODAL_NB_PANEL"


def choose(
    shell: InteractiveShell | None,
    *,
    stdout: TextIO,
    environ: Mapping[str, str],
    stderr: TextIO | None = None,
    stop: Callable[[], None] | None = None,
) -> Renderer:
    """Return a renderer for the cell that is running now; call it on the thread that runs the cell.

    A notebook that somebody looks at names the cell in its request (JupyterLab, Notebook 7 and VS Code do; nbclient,
    nbconvert, papermill and consoles do not), and gets widgets, unless it has shown that it has none (`front`). All
    others get HTML and text, and a headless client saves the last. ZENML_MODAL_NB_PANEL=html asks for that everywhere,
    =live for widgets in every kernel, e.g. in Colab; ZENML_MODAL_NB_PLAIN=1 for lines of text. `stderr` defaults to
    `stdout`; `stop` ends the run.
    """
    in_words = environ.get(PLAIN_VARIABLE, "") not in ("", "0")
    if (kernel_shell := _kernel_shell(shell)) is not None:
        publisher = KernelPublisher(kernel_shell)
        if in_words:
            return PlainRenderer(publisher)
        if stop is not None and _is_live(kernel_shell, environ.get(PANEL_VARIABLE, ""), publisher):
            from zenml_modal_nb.rendering.live import WidgetPage

            return NotebookRenderer(WidgetPage(publisher, stop))
        return NotebookRenderer(HtmlPage(publisher))
    streams = TextPublisher(stdout, stderr or stdout)
    if in_words or not stdout.isatty() or environ.get("TERM") == "dumb":
        return PlainRenderer(streams)
    return TerminalRenderer(streams, lambda: shutil.get_terminal_size().columns)


def _is_live(shell: ZMQInteractiveShell, wanted: str, publisher: KernelPublisher) -> bool:
    if wanted in ("html", "live"):
        return wanted == "live"
    request: Mapping[str, Any] = shell.get_parent()  # type: ignore[no-untyped-call] # ipykernel's
    if not request.get("metadata", {}).get("cellId"):
        return False
    if FRONT.shows_widgets(request.get("header", {}).get("date")):
        return True
    publisher.stream("stderr", WHY)
    return False


def _kernel_shell(shell: InteractiveShell | None) -> ZMQInteractiveShell | None:
    if not hasattr(shell, "kernel"):  # terminal IPython need not have imported ipykernel
        return None
    from ipykernel.zmqshell import ZMQDisplayPublisher, ZMQInteractiveShell

    # `capture_output()` replaces the shell's publisher: then `stdout` is where the caller wants the text.
    if isinstance(shell, ZMQInteractiveShell) and isinstance(shell.display_pub, ZMQDisplayPublisher):
        return shell
    return None
