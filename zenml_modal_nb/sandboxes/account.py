"""What can be told of the Modal that cells would run on: its token, whether it answers, its image of this Python."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import time
from dataclasses import dataclass

from zenml_modal_nb.errors import ConnectionFailedError
from zenml_modal_nb.sandboxes import reachability
from zenml_modal_nb.sandboxes.connection import Connection
from zenml_modal_nb.sandboxes.image import ImageSpec, define

_APP = "zenml-modal-nb-doctor"  # an image is built in an app
_VARIABLES = {"token_id": "MODAL_TOKEN_ID", "token_secret": "MODAL_TOKEN_SECRET"}
_WORDS = {"token_id": "ID", "token_secret": "secret"}


@dataclass(frozen=True, slots=True)
class Token:
    """Where a token's two halves come from, never what they are."""

    sources: tuple[str, ...]  # one where both halves come from the same place
    missing: tuple[str, ...]  # "ID", "secret"

    @property
    def complete(self) -> bool:
        """Whether both halves are there."""
        return not self.missing


def import_sdk() -> None:
    """Import Modal's SDK without the banner that it prints where that fails.

    Errors: whatever the SDK raises, also where its configuration cannot be read.
    """
    if "modal" not in sys.modules:
        with contextlib.redirect_stdout(io.StringIO()):
            import modal  # noqa: F401 - later imports find it


def configured_token(workspace: str | None = None) -> Token:
    """Look for the token that cells would use: of the profile named as the workspace, else of the active one."""
    from modal import config

    named = workspace if workspace in config.config_profiles() else None  # type: ignore[no-untyped-call]  # the SDK's
    sources: list[str] = []
    missing: list[str] = []
    for setting, variable in _VARIABLES.items():
        if not config.config.get(setting, profile=named, use_env=named is None):
            missing.append(_WORDS[setting])
        elif named is None and os.environ.get(variable):
            sources.append(f"the variable {variable}")
        else:
            sources.append(f"profile '{named or config._profile}' of {config.user_config_path}")
    return Token(tuple(dict.fromkeys(sources)), tuple(missing))


def secrets() -> tuple[str, ...]:
    """Return what must not be shown: both halves of every configured token.

    Errors: whatever the SDK raises where its configuration cannot be read.
    """
    from modal import config

    profiles: list[str | None] = [None, *config.config_profiles()]  # type: ignore[no-untyped-call]  # the SDK's
    found = (
        config.config.get(setting, profile=profile, use_env=profile is None)
        for profile in profiles
        for setting in _VARIABLES
    )
    return tuple(str(each) for each in found if each)


def answer_time(connection: Connection) -> float:
    """Return how long Modal takes to answer, in seconds.

    Errors: ConnectionFailedError.
    """
    import modal

    began = time.monotonic()
    try:
        connection.client.hello()
    except (modal.exception.Error, OSError) as error:
        raise ConnectionFailedError(
            f"Modal at {connection.url} does not answer: {error}. {reachability.ELSEWHERE}"
        ) from None
    return time.monotonic() - began


def python_versions() -> tuple[str, ...]:
    """Return the Python versions of the newest image builder that the SDK knows; empty if it tells none."""
    from modal import _image

    # An SDK that has moved its table is no reason to doubt the user's Python: the image itself is asked for too.
    series = getattr(_image, "SUPPORTED_PYTHON_SERIES", {})
    newest = getattr(_image, "LATEST_IMAGE_BUILDER_VERSION", None)
    return tuple(series.get(newest, ()))


def build_image(connection: Connection) -> float:
    """Have the plain image of this Python built or found; returns how long that took, in seconds.

    Errors: ConnectionFailedError with what the server or the end of the build's log says.
    """
    import modal

    began = time.monotonic()
    try:
        app = modal.App.lookup(
            _APP, create_if_missing=True, client=connection.client, environment_name=connection.environment
        )
        define(ImageSpec(), ()).build(app)
    except (modal.exception.Error, OSError) as error:
        raise ConnectionFailedError(
            f"The image could not be built: {error} Look at the build in Modal's dashboard, then try again."
        ) from None
    return time.monotonic() - began
