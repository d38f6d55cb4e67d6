"""Why there is no sandbox, or no result, in words that say what to do."""

from __future__ import annotations

import modal
import pytest

from zenml_modal_nb.errors import SandboxError
from zenml_modal_nb.events import Reason
from zenml_modal_nb.sandboxes.ending import RunEndedError, why_not_created, why_not_followed
from zenml_modal_nb.sandboxes.terms import OF_STEP


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


@pytest.mark.parametrize(
    "error",
    [
        modal.exception.PermissionDeniedError("Region selection is not available on your plan."),
        modal.exception.InvalidError("Upgrade to use cloud 'oci'"),
        modal.exception.ConflictError("Regions need an Enterprise workspace"),
    ],
)
def test_a_place_that_the_plan_does_not_include_is_told_with_the_option_or_the_setting(
    error: Exception,
) -> None:
    said = str(error).rstrip(".")
    assert f"{said}. Leave out --region and --cloud" in str(why_not_created(error))
    assert f"{said}. Leave `region` and `cloud` out of" in str(why_not_created(error, terms=OF_STEP))
    assert "token" not in str(why_not_created(error))


@pytest.mark.parametrize(
    "error",
    [
        modal.exception.ResourceExhaustedError("Insufficient capacity"),
        modal.exception.ResourceExhaustedError("Too many sandboxes"),
        modal.exception.ImageBuildError("/bin/sh: 1: python: not found", "im-1"),
        modal.exception.ImageBuildError("no such package", "im-1"),
        modal.exception.InvalidError("no GPU A1000"),
        modal.exception.NotFoundError("Environment 'prod' not found"),
        modal.exception.ServiceError("busy"),
        OSError("unreachable"),
    ],
)
def test_a_steps_refusal_names_no_option_of_a_cell(error: Exception) -> None:
    told = str(why_not_created(error, terms=OF_STEP))
    assert "--" not in told
    assert "cell" not in told


def test_the_local_modal_api_is_not_called_modal() -> None:
    found = why_not_created(modal.exception.ServiceError("busy"), "the local Modal API")
    assert str(found) == "The local Modal API refused the sandbox: busy. Run the cell again."
