"""Checks of the Modal that cells would run on: token, reachability, workspace, image."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from zenml_modal_nb.doctor import installation
from zenml_modal_nb.doctor.examination import Examination
from zenml_modal_nb.doctor.finding import Finding, ok, problem, skipped, warning
from zenml_modal_nb.errors import ConnectionFailedError
from zenml_modal_nb.sandboxes import account
from zenml_modal_nb.sandboxes.connection import connect, default_place

_NEW_TOKEN = "modal token new"  # noqa: S105 - a command
_REINSTALL = 'pip install --force-reinstall "modal>=1.6.3,<2"'


def check_place(examined: Examination) -> Iterator[Finding]:
    """Say where cells would run, and why there."""
    try:
        account.import_sdk()
        chosen = default_place()
    except ImportError as error:
        yield problem("place", f"Modal's SDK cannot be imported: {error}", _REINSTALL)
        return
    except Exception as error:  # noqa: BLE001 - the SDK reads its configuration when it is imported
        yield problem("place", f"{error}", "Mend that file, or move it away and run `modal token new`.")
        return
    examined.secrets = account.secrets()
    examined.place = examined.scope.on or chosen
    where = "this machine, unbilled" if examined.place == "local" else "Modal"
    if examined.scope.on:
        why = f"asked for by --on {examined.scope.on}"
    else:
        why = "a token is configured" if chosen == "modal" else "no token is configured"
    yield ok("place", f"cells run on {where} ({why})")


def check_python(examined: Examination) -> Iterator[Finding]:
    """Compare this Python with those that Modal has."""
    yield installation.check_python(account.python_versions() if examined.place else ())


def check_token(examined: Examination) -> Iterator[Finding]:
    """Say whether a token is configured and where it comes from."""
    if examined.place is None:
        yield skipped("token", "not known without Modal's SDK")
        return
    token = account.configured_token(examined.scope.workspace)
    where = " and ".join(token.sources)
    if token.complete:
        unused = "; not used on this machine" if examined.place == "local" else ""
        yield ok("token", f"configured by {where}{unused}")
    elif token.sources:
        told = warning if examined.place == "local" else problem
        yield told("token", f"{where} has no token {token.missing[0]} beside it", "modal token set")
    elif examined.place == "local":
        yield skipped(
            "token", f"none is configured, and none is needed on this machine (`{_NEW_TOKEN}` gets one)"
        )
    else:
        yield problem("token", "none is configured", _NEW_TOKEN)


def check_reachability(examined: Examination) -> Iterator[Finding]:
    """Connect as a cell does; the local Modal API is started on demand."""
    wanted = examined.scope.workspace
    if examined.place is None:
        yield skipped("reachability", "not asked without its SDK")
        return
    if examined.place == "modal" and not account.configured_token(wanted).complete:
        yield skipped("reachability", "not asked without a token")
        return
    try:
        connection = connect(examined.place, environment=examined.scope.environment, workspace=wanted)
    except ConnectionFailedError as error:
        if wanted is None:
            raise
        # Whether Modal answers is one thing, whether it is the workspace that was asked for another.
        connection = connect(examined.place, environment=examined.scope.environment)
        examined.mismatch = str(error)
    took = account.answer_time(connection)
    examined.connection = connection
    yield ok("reachability", f"{connection.server} answers in {took * 1000:.0f} ms at {connection.url}")


def check_workspace(examined: Examination) -> Iterator[Finding]:
    """Say whose workspace and which environment it is."""
    connection = examined.connection
    if connection is None:
        yield skipped("workspace", "not known, as Modal could not be asked")
    elif examined.mismatch:
        yield problem("workspace", examined.mismatch)
    else:
        environment = connection.environment or "the workspace's default"
        yield ok("workspace", f"{connection.workspace}, environment {environment}")


def check_image(examined: Examination) -> Iterator[Finding]:
    """Have the image of this Python built, or found, by whoever cells run on."""
    connection = examined.connection
    if connection is None or examined.mismatch:
        yield skipped("image", "not built, as no cell could run")
        return
    took = account.build_image(connection)
    series = f"{sys.version_info.major}.{sys.version_info.minor}"
    yield ok("image", f"Python {series}, built or found in {took:.1f} s by {connection.server}")
