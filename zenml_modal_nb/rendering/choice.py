"""Which renderer a run gets."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TextIO

from zenml_modal_nb.rendering import widget_support
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
    nbconvert, papermill and consoles do not), and gets widgets, unless it is known to draw none. All others get HTML
    and text, and a headless client saves the last. ZENML_MODAL_NB_PANEL=html asks for that everywhere, =live for
    widgets in every kernel, e.g. in Colab; ZENML_MODAL_NB_PLAIN=1 for lines of text. `stderr` defaults to `stdout`;
    `stop` ends the run.
    """
    in_words = environ.get(PLAIN_VARIABLE, "") not in ("", "0")
    if (kernel_shell := _kernel_shell(shell)) is not None:
        publisher = KernelPublisher(kernel_shell)
        if in_words:
            return PlainRenderer(publisher)
        if stop is not None and _is_live(kernel_shell, publisher, environ.get(PANEL_VARIABLE, "")):
            from zenml_modal_nb.rendering.live import WidgetPage

            return NotebookRenderer(WidgetPage(publisher, stop))
        return NotebookRenderer(HtmlPage(publisher))
    streams = TextPublisher(stdout, stderr or stdout)
    if in_words or not stdout.isatty() or environ.get("TERM") == "dumb":
        return PlainRenderer(streams)
    return TerminalRenderer(streams, lambda: shutil.get_terminal_size().columns)


def prepare(shell: InteractiveShell) -> None:
    """Ask the page that loads the extension whether it draws widgets: so the first run may know."""
    if (kernel_shell := _kernel_shell(shell)) is not None:
        widget_support.of(kernel_shell).ask()


def draws_widgets(shell: InteractiveShell | None, environ: Mapping[str, str]) -> bool:
    """Tell whether to show widgets to whoever runs a cell now: in every kernel, but where there is reason not to."""
    if environ.get(PLAIN_VARIABLE, "") not in ("", "0") or (kernel_shell := _kernel_shell(shell)) is None:
        return False
    return environ.get(PANEL_VARIABLE) == "live" or not widget_support.of(kernel_shell).is_missing()


def _is_live(shell: ZMQInteractiveShell, publisher: KernelPublisher, wanted: str) -> bool:
    if wanted in ("html", "live"):
        return wanted == "live"
    if not widget_support.names_a_cell(shell):
        return False
    support = widget_support.of(shell)
    missing = support.is_missing()
    support.ask()
    if missing and (advice := support.advice()):
        publisher.stream("stderr", advice)
    return not missing


def _kernel_shell(shell: InteractiveShell | None) -> ZMQInteractiveShell | None:
    if not hasattr(shell, "kernel"):  # terminal IPython need not have imported ipykernel
        return None
    from ipykernel.zmqshell import ZMQDisplayPublisher, ZMQInteractiveShell

    # `capture_output()` replaces the shell's publisher: then `stdout` is where the caller wants the text.
    if isinstance(shell, ZMQInteractiveShell) and isinstance(shell.display_pub, ZMQDisplayPublisher):
        return shell
    return None
