"""The report in a notebook, growing as the checks go on, and the questions of a setup there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from zenml_modal_nb.doctor import checks, report, setup
from zenml_modal_nb.doctor.examination import Scope
from zenml_modal_nb.doctor.finding import Finding
from zenml_modal_nb.doctor.report import Report
from zenml_modal_nb.doctor.setup import QuestionRefusedError, Wish

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_RUNNING = "examining …"


def examine(shell: InteractiveShell, scope: Scope) -> None:
    """Show what is found."""
    with _Board(shell) as board:
        for finding in checks.examine(scope):
            board.add(finding)


def mend(shell: InteractiveShell, wish: Wish, scope: Scope, *, yes: bool) -> None:
    """Register what is missing, then show what is found.

    Errors: ModalStepError for what stands in the way, or cannot be asked.
    """
    with _Board(shell) as board:
        done = setup.set_up(wish, lambda question: yes or _ask(question), board.add)
    if done:
        examine(shell, scope)


class _Board:
    """One display that is replaced as findings come; lines of text where there is no kernel."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._findings: list[Finding] = []
        self._handle: Any = None
        if hasattr(shell, "kernel"):
            from IPython.display import display

            began = Report((), _RUNNING)
            self._handle = display(began, display_id=True)  # type: ignore[no-untyped-call]  # IPython's

    def __enter__(self) -> _Board:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, KeyboardInterrupt):
            told = ["KeyboardInterrupt: not finished; what is shown above has been found and done"]
            error._render_traceback_ = lambda: told  # type: ignore[attr-defined]  # IPython asks for it
        end = Report(tuple(self._findings), "" if kind is None else "not finished")
        self._show(end, [end.summary()])

    def add(self, finding: Finding) -> None:
        """Show one more finding."""
        self._findings.append(finding)
        self._show(Report(tuple(self._findings), _RUNNING), report.lines(finding))

    def _show(self, whole: Report, new: Iterable[str]) -> None:
        if self._handle is not None:
            self._handle.update(whole)
            return
        for line in new:
            print(line)  # noqa: T201 - terminal IPython has no display that could be replaced


def _ask(question: str) -> bool:
    from IPython.core.error import StdinNotImplementedError

    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except (StdinNotImplementedError, EOFError):
        raise QuestionRefusedError(
            f"{question} This front end cannot ask; nothing was changed. Add --yes to agree."
        ) from None
