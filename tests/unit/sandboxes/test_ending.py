"""Why there is no sandbox, or no result, in words that say what to do."""

from __future__ import annotations

import modal
import pytest

from zenml_modal_nb.errors import SandboxError
from zenml_modal_nb.events import Reason
from zenml_modal_nb.sandboxes.ending import RunEndedError, why_not_created, why_not_followed


@pytest.mark.parametrize(
    ("error", "reason", "words"),
    [
        (
            modal.exception.ResourceExhaustedError("Insufficient capacity to create sandbox."),
            Reason.NO_CAPACITY,
            "Try another --gpu",
        ),
        (
            modal.exception.ResourceExhaustedError("Too many sandboxes"),
            Reason.NOT_STARTED,
            "Too many sandboxes. Wait a little",
        ),
        (
            modal.exception.ImageBuildError("Image build for im-1 failed", "im-1"),
            Reason.BUILD_FAILED,
            "--pip and --apt",
        ),
        (
            modal.exception.ImageBuildError("/bin/sh: 1: python: not found", "im-1"),
            Reason.BUILD_FAILED,
            "The image has no Python",
        ),
        (
            modal.exception.InvalidError('exec: "python": executable file not found in $PATH'),
            Reason.NOT_STARTED,
            "The image has no Python",
        ),
        (
            modal.exception.InvalidError("no GPU A1000"),
            Reason.NOT_STARTED,
            "Modal refused the sandbox: no GPU A1000. Correct the options",
        ),
        (
            modal.exception.NotFoundError("Secret 'wandb' not found in environment 'main'"),
            Reason.NOT_STARTED,
            "Correct --secret wandb: `modal secret list`",
        ),
        (modal.exception.RemoteError("Image of a kind"), Reason.NOT_STARTED, "status.modal.com"),
        (modal.exception.RemoteError("something else"), Reason.NOT_STARTED, "something else"),
        (modal.exception.AuthError("token"), Reason.NOT_STARTED, "token"),
        (OSError("unreachable"), Reason.NOT_STARTED, "OSError: unreachable"),
        (TypeError("argument"), Reason.NOT_STARTED, "TypeError: argument"),
    ],
)
def test_a_failed_creation_is_told_with_its_reason(error: Exception, reason: Reason, words: str) -> None:
    found = why_not_created(error)
    assert found.reason is reason
    assert words in str(found)


def test_an_end_that_is_known_is_told_as_it_is() -> None:
    known = RunEndedError(Reason.TIMED_OUT, "too long")
    assert why_not_followed(known) is known


def test_an_error_of_our_own_that_is_no_end_stays_what_it_is() -> None:
    error = SandboxError("damaged")
    assert why_not_followed(error) is error


def test_anything_else_is_lost_contact_with_its_cause() -> None:
    error = ConnectionResetError("reset")
    found = why_not_followed(error)
    assert isinstance(found, RunEndedError)
    assert found.reason is Reason.LOST_CONTACT
    assert found.__cause__ is error
    assert "ConnectionResetError: reset" in str(found)


def test_what_pip_said_last_is_told() -> None:
    error = modal.exception.ImageBuildError("Image build for im-1 failed", "im-1")
    log = "ERROR: No matching distribution found for nump\n"
    assert "No matching distribution found for nump. Check" in str(why_not_created(error, log=log))


def test_the_local_modal_api_is_not_called_modal() -> None:
    found = why_not_created(modal.exception.ServiceError("busy"), "the local Modal API")
    assert str(found) == "The local Modal API refused the sandbox: busy. Run the cell again."
