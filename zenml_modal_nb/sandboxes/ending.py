"""Why a sandbox ended without a result, told apart and said with what to do."""

from __future__ import annotations

from typing import Any

from zenml_modal_nb.errors import SandboxError
from zenml_modal_nb.events import Reason


class RunEndedError(SandboxError):
    """The sandbox ended without a result; `reason` says why."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


async def why_ended(sandbox: Any) -> RunEndedError:
    """Ask a sandbox whose output has ended how it ended; return codes as in Modal's SDK."""
    import modal

    try:
        await sandbox.wait.aio()
    except modal.exception.SandboxTimeoutError:
        return RunEndedError(
            Reason.TIMED_OUT,
            "The cell did not end within its timeout and the sandbox was stopped. Give it more with --timeout.",
        )
    except modal.exception.SandboxTerminatedError:
        return RunEndedError(
            Reason.PREEMPTED,
            "The sandbox was terminated by Modal or from outside this notebook. Run the cell again.",
        )
    # 137 without a termination: the kernel killed the process, and memory is why it does.
    if sandbox.returncode == 137:
        return RunEndedError(
            Reason.OUT_OF_MEMORY, "The sandbox ran out of memory. Ask for more, e.g. --memory 32GiB."
        )
    return RunEndedError(
        Reason.LOST_CONTACT,
        f"The sandbox's process ended with exit code {sandbox.returncode} before it delivered a result. "
        "What it printed last says more, if anything.",
    )


def why_not_followed(error: Exception) -> SandboxError:
    """Say that what became of a sandbox is not known, unless the error knows it."""
    if isinstance(error, SandboxError):
        return error
    ended = RunEndedError(
        Reason.LOST_CONTACT,
        f"The sandbox could not be followed to its end: {type(error).__name__}: {error}. Run the cell again.",
    )
    ended.__cause__ = error
    return ended


def why_not_created(error: Exception) -> RunEndedError:
    """Say what a failed creation means, where the SDK's own words do not."""
    import modal

    if isinstance(error, modal.exception.ResourceExhaustedError):
        return RunEndedError(
            Reason.NO_CAPACITY,
            f"Modal has no capacity for this request: {error}. Try another --gpu, or no --region.",
        )
    if isinstance(error, modal.exception.RemoteError) and "mage" in str(error):
        return RunEndedError(
            Reason.BUILD_FAILED,
            f"The image could not be built: {error}. Check --pip, --apt and --image.",
        )
    if isinstance(error, modal.exception.Error):
        return RunEndedError(Reason.NOT_STARTED, f"Modal refused the sandbox: {error}")
    return RunEndedError(
        Reason.NOT_STARTED, f"The sandbox could not be created: {type(error).__name__}: {error}"
    )
