"""Which Modal a run talks to: one explicit SDK client per target, never environment variables.

`connect` makes connections, `launch` and the step operator use them. Nothing above knows whether Modal or the
local Modal API answers, except for the words that a user reads.
"""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlparse

from zenml_modal_nb.errors import ConnectionFailedError
from zenml_modal_nb.sandboxes import reachability

Place = Literal["local", "modal"]

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
# They tell of every header and ping, to whoever has set the root logger to DEBUG.
_CARRIERS = ("hpack", "grpclib")
_START_SECONDS = 60  # the emulator is there in one; a machine that swaps may need longer


@dataclass(frozen=True, slots=True)
class Connection:
    """An open SDK client and what is known about the other end."""

    client: Any  # modal.Client
    url: str
    place: Place
    workspace: str | None
    environment: str | None
    installs: bool = True  # Python packages; a local Modal API does where its images are virtual environments

    @property
    def billed(self) -> bool:
        """Whether what runs there costs money: a server on loopback is an emulator."""
        return not _is_local(self.url)

    @property
    def server(self) -> str:
        """Who answers, in the words of a sentence."""
        return "Modal" if self.billed else "the local Modal API"

    @property
    def label(self) -> str:
        """The words of the header, e.g. "Modal acme/prod" or "this machine (local Modal API)"."""
        if not self.billed:
            return "this machine (local Modal API)"
        return "Modal " + "/".join(part for part in (self.workspace, self.environment or "default") if part)


def _is_local(url: str) -> bool:
    return urlparse(url).hostname in _LOOPBACK


_open: dict[tuple[Any, ...], Connection] = {}
# One for each place: a Modal that does not answer, for a minute, keeps nobody from this machine.
_locks: Mapping[Place, threading.Lock] = {"local": threading.Lock(), "modal": threading.Lock()}


def default_place() -> Place:
    """Modal when a token is configured for the SDK, else the local Modal API."""
    from modal.config import config

    return "modal" if config.get("token_id") and config.get("token_secret") else "local"


def connect(
    place: Place | None,
    *,
    environment: str | None = None,
    workspace: str | None = None,
    token: tuple[str, str] | None = None,
) -> Connection:
    """Return an open connection, reused while the server and the credentials stay the same.

    A `token`, ID and secret, takes the place of the configured one.

    Raises:
        ConnectionFailedError: no token, a refused token, another workspace than asked for, or no answer.
    """
    place = place or default_place()
    with _locks[place]:
        known = (
            _connect_local(environment)
            if place == "local"
            else _connect_configured(environment, workspace, token)
        )
    refuse_other_workspace(known, workspace)
    return known


def refuse_other_workspace(known: Connection, workspace: str | None) -> None:
    """Raise ConnectionFailedError where the token is not of the workspace asked for."""
    if workspace is not None and known.workspace != workspace:
        raise ConnectionFailedError(
            f"The token belongs to workspace {known.workspace!r}, not {workspace!r}; nothing was created. "
            f"Choose the token of {workspace!r} with `modal profile activate`, or leave out --workspace."
        )


def _connect_local(environment: str | None) -> Connection:
    # Asking the emulator's own command where it is costs a process; a server that still listens is asked directly.
    key = ("local", environment)
    known = _open.get(key)
    if known is None or not _usable(known):
        if known is not None:
            _close(known.client)
        url, credentials, installs = _local_server()
        # The SDK caches some of a server's facts by the environment's name alone, hence a name of its own.
        made = _connect("local", url, credentials, environment or "local")
        known = _open[key] = replace(made, installs=installs)
    return known


def _connect_configured(
    environment: str | None, workspace: str | None, token: tuple[str, str] | None
) -> Connection:
    url, credentials, configured = _configured_server(workspace, token)
    environment = environment or configured
    key = (url, credentials, environment)
    known = _open.get(key)
    if known is None or known.client.is_closed():
        reachability.knock(url)
        known = _open[key] = _connect("modal", url, credentials, environment)
    return known


def local_answers() -> bool:
    """Whether this process is connected to a local Modal API that still runs; starts nothing."""
    return any(known.place == "local" and _usable(known) for known in list(_open.values()))


def _usable(known: Connection) -> bool:
    address = urlparse(known.url)
    try:
        socket.create_connection((address.hostname or "", address.port or 443), timeout=1).close()
    except OSError:
        return False
    return not known.client.is_closed()


def _connect(place: Place, url: str, credentials: tuple[str, str], environment: str | None) -> Connection:
    import modal
    from modal_proto import api_pb2

    for carrier in map(logging.getLogger, _CARRIERS):
        if not carrier.level:
            carrier.setLevel(logging.INFO)
    # The constructor takes the server's address, which `Client.from_credentials` reads from the
    # process-wide configuration only.
    client = modal.Client(url, api_pb2.CLIENT_TYPE_CLIENT, credentials)
    try:
        client.__enter__()  # type: ignore[no-untyped-call]  # the SDK's stub leaves it out
        client.hello()
        name = modal.Workspace.from_context(client=client).hydrate().name
        if environment is None and modal.config.config.get("environment"):
            # Left out, the SDK would take the active profile's, which may be another workspace's.
            environment = _default_environment(client)
    except modal.exception.AuthError as error:
        _close(client)
        raise ConnectionFailedError(
            f"Modal at {url} refuses the token: {error}. Set a valid one with `modal token set`, "
            "or run on this machine with --on local."
        ) from None
    except (modal.exception.Error, OSError) as error:
        _close(client)
        raise ConnectionFailedError(
            f"Modal at {url} does not answer: {str(error).rstrip('.')}. {reachability.ELSEWHERE}"
        ) from None
    # Of a local Modal API that was found by the token's settings it is not known.
    return Connection(client, url, place, name, environment, installs=not _is_local(url))


def _default_environment(client: Any) -> str | None:
    from modal.environments import list_environments

    return next((str(each.name) for each in list_environments(client=client) if each.default), None)


def _close(client: Any) -> None:
    client.__exit__(None, None, None)


def _configured_server(
    workspace: str | None, token: tuple[str, str] | None
) -> tuple[str, tuple[str, str], str | None]:
    """Address, credentials and, where one is configured, the environment."""
    from modal.config import config, config_profiles

    if token is not None:  # the configured environment may be one of another workspace
        return str(config.get("server_url")), token, None
    # A profile is named after the workspace its token belongs to, unless the user renamed it.
    profile = workspace if workspace in config_profiles() else None  # type: ignore[no-untyped-call]  # as above
    token_id = config.get("token_id", profile=profile, use_env=profile is None)
    token_secret = config.get("token_secret", profile=profile, use_env=profile is None)
    if not token_id or not token_secret:
        raise ConnectionFailedError(
            "No Modal token is configured. Run `modal token new` to get one, "
            "or try it on this machine, unbilled, with --on local."
        )
    return (
        str(config.get("server_url", profile=profile)),
        (str(token_id), str(token_secret)),
        config.get("environment", profile=profile) or None,
    )


def _local_server() -> tuple[str, tuple[str, str], bool]:
    """Address, credentials and whether packages are installed: this user's local Modal API.

    It is started as its own process when none runs.
    """
    command = [sys.executable, "-m", "zenml_modal_nb.emulator", "start", "--json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_START_SECONDS, check=False)
        if done.returncode != 0:
            raise ConnectionFailedError(
                f"The local Modal API could not be started: {done.stderr.strip() or done.stdout.strip()}. "
                "`zenml-modal-nb emulator status` says what runs."
            )
        place = json.loads(done.stdout)
        state = json.loads(Path(place["state_file"]).read_text("utf-8"))
        token = str(state["token_id"]), str(state["token_secret"])
        return str(place["url"]), token, state.get("images") == "venv"
    except (subprocess.TimeoutExpired, OSError, ValueError, KeyError) as error:
        raise ConnectionFailedError(
            f"The local Modal API could not be started: {error!r}. "
            "Try `zenml-modal-nb emulator stop`, then run the cell again."
        ) from error
