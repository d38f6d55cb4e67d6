"""Whether a server takes connections at all, known in seconds; Modal's SDK itself tries for a minute."""

from __future__ import annotations

import socket
import urllib.request
from urllib.parse import ParseResult, urlparse

from zenml_modal_nb.errors import ConnectionFailedError

ELSEWHERE = "Check the network and https://status.modal.com, or run on this machine with --on local."

_PATIENCE = 5.0  # seconds for a connection


def knock(url: str) -> None:
    """Connect and say nothing; behind a proxy only the SDK knows the way.

    Errors: ConnectionFailedError.
    """
    address = urlparse(url)
    if is_behind_proxy(address):
        return
    try:
        port = address.port or (80 if address.scheme == "http" else 443)
        socket.create_connection((address.hostname or "", port), timeout=_PATIENCE).close()
    except (OSError, ValueError) as error:
        raise ConnectionFailedError(f"Modal at {url} takes no connection: {error}. {ELSEWHERE}") from None


def is_behind_proxy(address: ParseResult) -> bool:
    """Whether connections to this address go through a proxy of the user's."""
    proxies = urllib.request.getproxies()
    named = proxies.get(address.scheme) or proxies.get("all")
    return bool(named) and not urllib.request.proxy_bypass(address.hostname or "")
