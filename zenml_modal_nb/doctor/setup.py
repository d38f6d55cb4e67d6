"""Registers what cells need in the user's ZenML; asks before it touches what exists, and does nothing twice."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from zenml_modal_nb.doctor import checks
from zenml_modal_nb.doctor.examination import Scope
from zenml_modal_nb.doctor.finding import Finding, Verdict, ok, skipped
from zenml_modal_nb.errors import ModalStepError
from zenml_modal_nb.pipelines import registration
from zenml_modal_nb.pipelines.inventory import silently, store, without_user
from zenml_modal_nb.pipelines.registration import Part
from zenml_modal_nb.pipelines.stack import NAME
from zenml_modal_nb.request import Place

Flavor = Literal["modal_notebook", "modal"]
Ask = Callable[[str], bool]
Tell = Callable[[Finding], None]
T = TypeVar("T")

_CONNECTION = tuple(
    check for check in checks.CHECKS if check.name in ("place", "token", "reachability", "workspace")
)


class QuestionRefusedError(ModalStepError):
    """Something that exists would be changed, and nobody is there to be asked."""


class StoreFailedError(ModalStepError):
    """ZenML, or the database below it, did not do what was asked of it, e.g. since its configuration is broken."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be set up; made by the command line and the line magic."""

    on: Place | None = None  # verified first; None: where a cell would run
    stack: str | None = None  # an existing stack that gets a step operator; None: our own
    flavor: Flavor = "modal_notebook"  # of that step operator
    workspace: str | None = None  # Modal's, and its environment, as a cell would take them
    environment: str | None = None


def set_up(wish: Wish, ask: Ask, tell: Tell) -> bool:
    """Verify where cells run, then register what is missing; returns whether all is there now.

    Errors: QuestionRefusedError from `ask`, RegistrationError for what stands in the way, ConnectionFailedError for
    a ZenML server that does not answer, nothing was changed then; StoreFailedError for what ZenML itself raises.
    """
    where = Scope(on=wish.on, workspace=wish.workspace, environment=wish.environment)
    for finding in checks.examine(where, _CONNECTION):
        tell(finding)
        if finding.verdict is Verdict.PROBLEM:
            return False  # a token that Modal refuses must not be found out by the first cell

    def plan() -> Sequence[Part]:
        store()  # its server's silence is told at once
        if wish.stack is None:
            return registration.plan_own()
        return registration.plan_stack(wish.stack, wish.flavor)

    parts = _of_zenml(plan)
    # All questions come first: an answer that is missing leaves nothing half done.
    declined = {part.what for part in parts if part.question and not ask(part.question)}
    if declined:
        tell(skipped("setup", f"nothing was changed: {' and '.join(sorted(declined))} stays as it is"))
        return False
    for part in parts:
        if part.carry_out is not None:
            _of_zenml(part.carry_out)
        tell(ok("setup", f"{part.what} {part.done}"))
    tell(ok("setup", _closing(wish, any(not part.there for part in parts))))
    return True


def _of_zenml(work: Callable[[], T]) -> T:
    """Do what goes to ZenML's store; whatever it raises by itself is told in one message."""
    try:
        return silently(work)
    except ModalStepError:
        raise
    except Exception as error:  # noqa: BLE001 - ZenML's and the database's own, with a broken store
        told = without_user(" ".join(str(error).split()))
        raise StoreFailedError(
            f"ZenML cannot be used: {type(error).__name__}: {told} `zenml-modal-nb doctor` says what to do."
        ) from None


def _closing(wish: Wish, changed: bool) -> str:
    state = "the active stack stays as it is" if changed else "everything was there, nothing was changed"
    if wish.stack is None:
        return f"{state}; cells run on '{NAME}'"
    if wish.flavor == registration.STOCK:
        return f"{state}; `zenml-modal-nb doctor --stack {shlex.quote(wish.stack)}` says what the stack still lacks"
    return state
