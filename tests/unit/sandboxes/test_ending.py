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
        (modal.exception.ResourceExhaustedError("none left"), Reason.NO_CAPACITY, "Try another --gpu"),
        (
            modal.exception.RemoteError("Image build for im-1 failed"),
            Reason.BUILD_FAILED,
            "--pip, --apt and --image",
        ),
        (
            modal.exception.InvalidError("no GPU A1000"),
            Reason.NOT_STARTED,
            "Modal refused the sandbox: no GPU A1000",
        ),
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
