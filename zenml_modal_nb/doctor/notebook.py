"""The report in a notebook, growing as the checks go on, and the questions of a setup there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from zenml_modal_nb.doctor import checks, report, setup
from zenml_modal_nb.doctor.examination import Scope
from zenml_modal_nb.doctor.finding import Finding
from zenml_modal_nb.doctor.report import Report
from zenml_modal_nb.doctor.setup import QuestionRefusedError, Wish

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def examine(shell: InteractiveShell, scope: Scope) -> None:
    """Show what is found."""
    board = _Board(shell)
    for finding in checks.examine(scope):
        board.add(finding)
    board.end()


def mend(shell: InteractiveShell, wish: Wish, scope: Scope, *, yes: bool) -> None:
    """Register what is missing, then show what is found.

    Errors: ModalStepError for what stands in the way, or cannot be asked.
    """
    board = _Board(shell)
    try:
        set_up = setup.set_up(wish, lambda question: yes or _ask(question), board.add)
    finally:
        board.end()
    if set_up:
        examine(shell, scope)


class _Board:
    """One display that is replaced as findings come; lines of text where there is no kernel."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._findings: list[Finding] = []
        self._in_kernel = hasattr(shell, "kernel")
        self._handle = None
        if self._in_kernel:
            from IPython.display import display

            self._handle = display(Report((), running=True), display_id=True)  # type: ignore[no-untyped-call]  # IPython's

    def add(self, finding: Finding) -> None:
        self._findings.append(finding)
        self._show(report.lines(finding), running=True)

    def end(self) -> None:
        whole = Report(tuple(self._findings))
        self._show(iter([whole.summary()]), running=False)

    def _show(self, lines: Iterator[str], *, running: bool) -> None:
        if self._handle is not None:
            self._handle.update(Report(tuple(self._findings), running=running))
            return
        for line in lines:
            print(line)  # noqa: T201 - terminal IPython has no display that could be replaced


def _ask(question: str) -> bool:
    from IPython.core.error import StdinNotImplementedError

    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except (StdinNotImplementedError, EOFError):
        raise QuestionRefusedError(
            f"{question} This front end cannot ask; nothing was changed. Add --yes to agree."
        ) from None
