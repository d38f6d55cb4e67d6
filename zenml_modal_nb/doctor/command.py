"""The commands `zenml-modal-nb doctor` and `zenml-modal-nb setup`."""

from __future__ import annotations

import argparse
import subprocess
import sys
import warnings

from zenml_modal_nb.doctor import checks, report, setup
from zenml_modal_nb.doctor.examination import Scope
from zenml_modal_nb.doctor.finding import Finding
from zenml_modal_nb.doctor.report import Report
from zenml_modal_nb.doctor.setup import QuestionRefusedError, Wish
from zenml_modal_nb.errors import ModalStepError

_REFUSED = 2


def run_doctor(given: argparse.Namespace) -> int:
    """Print what is found; 1 if anything is a problem."""
    warnings.simplefilter("ignore")  # what dependencies say of themselves is no finding
    scope = Scope(given.on, given.stack, given.workspace, given.modal_environment)
    found: list[Finding] = []
    for finding in checks.examine(scope):
        found.append(finding)
        if not given.json:
            _tell(finding)
    whole = Report(tuple(found))
    _print(whole.json() if given.json else whole.summary())
    return 0 if whole.healthy else 1


def run_setup(given: argparse.Namespace) -> int:
    """Register what is missing; 1 if something stands in the way or was declined, 2 if nobody could be asked."""
    warnings.simplefilter("ignore")  # as above
    if given.flavor == "modal" and given.stack is None:
        _print("ZenML's own step operator needs a stack of yours: add --stack NAME.", error=True)
        return _REFUSED
    if given.token and not _has_token():
        return _with_new_token(given)
    wish = Wish("local" if given.local else "modal" if given.token else None, given.stack, given.flavor)
    try:
        return 0 if setup.set_up(wish, lambda question: _ask(question, given.yes), _tell) else 1
    except QuestionRefusedError as error:
        _print(str(error), error=True)
        return _REFUSED
    except ModalStepError as error:
        _print(str(error), error=True)
    return 1


def _has_token() -> bool:
    from zenml_modal_nb.sandboxes.account import configured_token

    try:
        return bool(configured_token().sources)
    except Exception:  # noqa: BLE001 - the SDK's, for a configuration that cannot be read; the checks tell it
        return True


def _with_new_token(given: argparse.Namespace) -> int:
    """Let Modal's own command ask for the token, without echo, verify and keep it; then set up with it.

    It is Modal's secret, so it stays in Modal's place, and in no process, record or command line of ours.
    """
    if not sys.stdin.isatty():
        _print(
            "No Modal token is configured, and none can be asked for: standard input is not a terminal. "
            "Run `modal token new` or `modal token set`, or set MODAL_TOKEN_ID and MODAL_TOKEN_SECRET.",
            error=True,
        )
        return _REFUSED
    _print("No Modal token is configured. Its two halves are at https://modal.com/settings/tokens")
    if subprocess.call([sys.executable, "-m", "modal", "token", "set"]) != 0:
        _print("No token was stored, nothing was registered.", error=True)
        return 1
    # In a process of its own: the SDK reads its configuration once.
    words = ["setup", "--token", *(["--yes"] if given.yes else [])]
    words += ["--stack", given.stack, "--flavor", given.flavor] if given.stack else []
    return subprocess.call([sys.executable, "-m", "zenml_modal_nb.cli", *words])


def _ask(question: str, yes: bool) -> bool:
    if yes:
        return True
    if not sys.stdin.isatty():
        raise QuestionRefusedError(
            f"{question} Standard input is not a terminal, so this cannot be asked; nothing was changed. "
            "Add --yes to agree."
        )
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:  # Ctrl-D
        _print("")
        return False


def _tell(finding: Finding) -> None:
    for line in report.lines(finding):
        _print(line)


def _print(text: str, *, error: bool = False) -> None:
    print(text, file=sys.stderr if error else sys.stdout, flush=True)
