"""Why a sandbox ended without a result, told apart and said with what to do."""

from __future__ import annotations

import asyncio
import logging
import re
from enum import Enum, auto
from threading import Event as Flag
from typing import Any

from zenml_modal_nb.errors import SandboxError
from zenml_modal_nb.events import Reason
from zenml_modal_nb.sandboxes.reading import has_ended, lost_contact
from zenml_modal_nb.sandboxes.terms import OF_CELL, OF_STEP, Terms

logger = logging.getLogger(__name__)

_PAUSE = 0.1  # seconds before a sandbox that answers again is waited for again
MODAL = "Modal"

# e.g. "/bin/sh: 1: python: not found", 'exec: "python": executable file not found in $PATH'
_NO_PYTHON = re.compile(
    r"\bpython3?\b[\"']?: (?:command |executable file )?not found|no such file[^\n]*\bpython"
)
_NOT_EXECUTABLE = (
    126,
    127,
)  # what a shell, and a container's runtime, answers where there is no such command
_SECRET = re.compile(r"\bSecret '([^']+)'")

# e.g. "Region selection is not available on the Starter plan": a server's words, whichever its status is.
_PLACE = re.compile(r"\b(?:regions?|clouds?)\b")
_PLAN = re.compile(r"\b(?:plans?|upgrade|tier|enterprise)\b")


class RunEndedError(SandboxError):
    """The sandbox ended without a result; `reason` says why."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class End(Enum):
    """How a sandbox ends, as Modal has it."""

    EXITED = auto()
    TIMED_OUT = auto()
    TERMINATED = auto()


async def end_of(sandbox: Any, patience: float, away: Flag | None = None) -> End:
    """Wait for a sandbox's end; `away` is set while Modal does not answer, which is no end.

    `patience` is for how long it may not answer, in seconds; raises what the SDK raises when that is over.
    """
    import modal

    away = away or Flag()
    while True:
        try:
            await sandbox.wait.aio()
        except modal.exception.SandboxTimeoutError:
            return End.TIMED_OUT
        except modal.exception.SandboxTerminatedError:
            return End.TERMINATED
        except lost_contact() as error:  # the SDK has repeated the call for a second or two
            logger.debug("Sandbox %s cannot be waited for: %r", sandbox.object_id, error)
        else:
            return End.EXITED
        away.set()
        await has_ended(sandbox, patience)  # `wait` tells how
        away.clear()
        await asyncio.sleep(_PAUSE)


async def why_ended(
    sandbox: Any,
    patience: float,
    greeted: bool = True,
    terms: Terms = OF_CELL,
    away: Flag | None = None,
) -> RunEndedError:
    """Wait for a sandbox's end, as `end_of` does, and say how it ended; return codes as in Modal's SDK.

    `greeted` says that the runner was there, which needs a Python that starts.
    """
    match await end_of(sandbox, patience, away):
        case End.TIMED_OUT:
            return RunEndedError(
                Reason.TIMED_OUT,
                f"The {terms.what} did not end within its timeout and the sandbox was stopped. {terms.timeout}",
            )
        case End.TERMINATED:
            return RunEndedError(
                Reason.PREEMPTED,
                f"The sandbox was terminated by Modal or from {terms.outside}. {terms.again}.",
            )
    if not greeted and sandbox.returncode in _NOT_EXECUTABLE:
        return RunEndedError(Reason.NOT_STARTED, _no_python(terms))
    # 137 without a termination: killed, by the kernel for its memory or, rarely, by itself.
    if sandbox.returncode == 137:
        return RunEndedError(
            Reason.OUT_OF_MEMORY,
            "The sandbox's process was killed (exit code 137), most likely because it ran out of memory. "
            f"{terms.memory}",
        )
    return RunEndedError(
        Reason.LOST_CONTACT,
        f"The sandbox's process ended with exit code {sandbox.returncode} before it delivered a result. "
        "What it printed last says more, if anything.",
    )


async def why_step_ended(sandbox: Any, patience: float, away: Flag) -> RunEndedError:
    """Say, at its end, how a sandbox ended that runs ZenML's entrypoint, if that has not said how its step ended."""
    ended = await why_ended(sandbox, patience, terms=OF_STEP, away=away)
    if ended.reason is not Reason.LOST_CONTACT:
        return ended
    return RunEndedError(
        ended.reason,
        f"The sandbox's process ended with exit code {sandbox.returncode} before ZenML had recorded the step. "
        "The sandbox's log at Modal says more.",
    )


def why_not_followed(error: Exception, terms: Terms = OF_CELL) -> SandboxError:
    """Say that what became of a sandbox is not known, unless the error knows it."""
    if isinstance(error, SandboxError):
        return error
    ended = RunEndedError(
        Reason.LOST_CONTACT,
        f"The sandbox could not be followed to its end: {type(error).__name__}: {str(error).rstrip('.')}. "
        f"{terms.again}.",
    )
    ended.__cause__ = error
    return ended


def why_not_created(
    error: Exception, server: str = MODAL, log: str = "", terms: Terms = OF_CELL
) -> RunEndedError:
    """Say what a failed creation means, where the SDK's own words do not.

    `server` is who refused it, in words; `log` is the end of the build log of an image that failed.
    """
    import modal

    said = str(error).rstrip(".")
    if isinstance(error, build_error()):
        told = f"{said}\n{log}".strip()
        if _NO_PYTHON.search(told.lower()):
            return RunEndedError(Reason.BUILD_FAILED, f"{_no_python(terms)} The build said: {told}")
        return RunEndedError(
            Reason.BUILD_FAILED,
            f"The image could not be built: {told}. {terms.packages}",
        )
    if _NO_PYTHON.search(said.lower()):
        return RunEndedError(Reason.NOT_STARTED, f"{_no_python(terms)} {_at_start(server)} said: {said}")
    if isinstance(error, modal.exception.ResourceExhaustedError):
        if "insufficient capacity" in said.lower():
            return RunEndedError(
                Reason.NO_CAPACITY,
                f"{_at_start(server)} has no capacity for this request: {said}. {terms.gpu}",
            )
        return RunEndedError(
            Reason.NOT_STARTED,
            f"A limit of rate or account is reached at {server}: {said}. Wait a little, or end "
            f"what else runs there. {terms.again}.",
        )
    if isinstance(error, modal.exception.Error):
        return RunEndedError(
            Reason.NOT_STARTED,
            f"{_at_start(server)} refused the sandbox: {said}. {_advice(error, said, server, terms)}",
        )
    return RunEndedError(
        Reason.NOT_STARTED,
        f"The sandbox could not be created: {type(error).__name__}: {error}. {terms.again}.",
    )


def is_of_stopped_app(error: Exception) -> bool:
    """Whether there is no sandbox because its app, found earlier, has been stopped or deleted since."""
    import modal

    cause = error.__cause__
    if not isinstance(cause, modal.exception.Error):
        return False
    said = str(cause).lower()
    gone = isinstance(cause, modal.exception.NotFoundError) or "stopped" in said
    return gone and re.search(r"\bapp\b", said) is not None


def build_error() -> type[Exception]:
    """What the SDK raises for an image that cannot be built."""
    import modal

    # A class of its own from SDK 1.6 on; before, and for other remote failures, there is the general one.
    found: type[Exception] = getattr(modal.exception, "ImageBuildError", modal.exception.RemoteError)
    return found


def _no_python(terms: Terms) -> str:
    return (
        f"The image has no Python, which a {terms.what} needs: ubuntu and nvidia/cuda images, for example, come "
        f"without. {terms.image}"
    )


def _advice(error: Exception, said: str, server: str, terms: Terms) -> str:
    import modal

    if _PLACE.search(said.lower()) and _PLAN.search(said.lower()):
        return terms.place

    secret = _SECRET.search(said)
    if secret is not None:
        return (
            f"Correct --secret {secret[1]}: `modal secret list` shows the secrets of the environment, "
            "`modal secret create` makes one."
        )
    match error:
        case modal.exception.AuthError() | modal.exception.PermissionDeniedError():
            return "Check the token with `modal token info`, set another one with `modal token set`."
        case modal.exception.NotFoundError():
            return terms.environment
        case modal.exception.InvalidError():
            return terms.options
    trouble = "; https://status.modal.com says whether Modal has trouble" if server == MODAL else ""
    return f"{terms.again}{trouble}."


def _at_start(server: str) -> str:
    return server[0].upper() + server[1:]
