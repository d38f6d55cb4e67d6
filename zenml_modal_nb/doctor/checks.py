"""All checks in their order, each with a limit; whatever is broken becomes a finding."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path

from zenml_modal_nb.doctor import account, installation, stacks
from zenml_modal_nb.doctor.examination import Examination, Scope
from zenml_modal_nb.doctor.finding import Finding, problem
from zenml_modal_nb.errors import ModalStepError
from zenml_modal_nb.pipelines.inventory import without_user
from zenml_modal_nb.sandboxes import state
from zenml_modal_nb.sandboxes.reachability import ELSEWHERE

_SPACE = re.compile(r"\s+")
_LONGEST = 400  # characters of what is told, e.g. of a build's log
_DEAF = 1.0  # seconds; a signal that comes just before a thread waits for a lock does not wake it


@dataclass(frozen=True, slots=True)
class Check:
    """A check, what it is called if it fails itself, its limit, and what to do then."""

    name: str
    find: Callable[[Examination], Iterable[Finding]]
    advice: str
    seconds: float = 60.0


def _packages(examined: Examination) -> Iterator[Finding]:
    yield from installation.check_packages()


def _disk(examined: Examination) -> Iterator[Finding]:
    artifacts = [examined.store.artifacts] if examined.store else []
    yield from installation.check_disk([state.home(), *artifacts, Path.cwd()])


_ZENML = (
    "`zenml status` shows the configuration; `zenml login` or `zenml login --local` chooses another store."
)

CHECKS: tuple[Check, ...] = (
    Check("packages", _packages, "Install the package again in this environment."),
    Check("place", account.check_place, "Look at Modal's configuration: `modal config show`."),
    Check("python", account.check_python, "Make an environment with another Python."),
    Check("token", account.check_token, "Look at Modal's configuration: `modal config show`."),
    Check("reachability", account.check_reachability, ELSEWHERE, 90.0),
    Check("workspace", account.check_workspace, ELSEWHERE),
    Check("image", account.check_image, "Look at the build in Modal's dashboard, then try again.", 600.0),
    Check("zenml store", stacks.check_store, _ZENML, 120.0),
    Check("registration", stacks.check_registration, _ZENML, 120.0),
    Check("stack", stacks.check_stack, _ZENML, 120.0),
    Check("stock operator", stacks.check_components, _ZENML, 120.0),
    Check("addresses", stacks.check_addresses, _ZENML, 120.0),
    Check("disk", _disk, "Look whether the directories above can be read."),
)


def examine(scope: Scope, checks: Iterable[Check] = CHECKS) -> Iterator[Finding]:
    """Carry the checks out, one after the other; each finding comes when it is there."""
    examined = Examination(scope)
    for check in checks:
        for finding in _carried_out(check, examined):
            yield _shown(finding, examined.secrets)


def _carried_out(check: Check, examined: Examination) -> Iterable[Finding]:
    done: Future[tuple[Finding, ...]] = Future()
    # Not on this thread, so that an interrupt is heard and what never answers has an end.
    threading.Thread(
        target=_settle, args=(done, check, examined), name="zenml-modal-nb-doctor", daemon=True
    ).start()
    end = time.monotonic() + check.seconds
    while (left := end - time.monotonic()) > 0:
        if futures.wait([done], min(left, _DEAF)).done:
            return done.result()
    return (problem(check.name, f"no answer within {check.seconds:.0f} s", check.advice),)


def _settle(done: Future[tuple[Finding, ...]], check: Check, examined: Examination) -> None:
    found: list[Finding] = []
    try:
        for finding in check.find(examined):
            found.append(finding)  # one by one: what was found before a failure is kept
    except ModalStepError as error:
        found.append(problem(check.name, str(error)))  # which says what to do itself
    except Exception as error:  # noqa: BLE001 - a broken installation is what is looked for
        found.append(problem(check.name, f"{type(error).__name__}: {error}", check.advice))
    done.set_result(tuple(found))


def _shown(finding: Finding, secrets: Iterable[str]) -> Finding:
    """Return a finding on one line, without what must not be shown."""
    return replace(
        finding,
        found=_clean(finding.found, secrets),
        advice=tuple(_clean(each, secrets) for each in finding.advice),
    )


def _clean(text: str, secrets: Iterable[str]) -> str:
    text = _SPACE.sub(" ", without_user(text)).strip()
    for secret in secrets:
        text = text.replace(secret, "•••")
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
