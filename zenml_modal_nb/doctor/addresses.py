"""Which addresses a sandbox at Modal cannot reach: those of this machine and of private networks."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from urllib.parse import urlsplit

Resolve = Callable[[str], tuple[str, ...]]

# Names that are no public ones: multicast DNS, home and company networks, clouds' and Docker's own.
_PRIVATE_ENDINGS = (
    ".local",
    ".localhost",
    ".localdomain",
    ".internal",
    ".lan",
    ".home.arpa",
    ".intranet",
    ".corp",
)


def look_up(host: str) -> tuple[str, ...]:
    """Return the IP addresses of a host, none where this machine cannot find it."""
    try:
        found = socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError):  # UnicodeError: no host's name, e.g. a label of 64 characters
        return ()
    return tuple(dict.fromkeys(str(each[4][0]) for each in found))


def why_unreachable(address: str, resolve: Resolve = look_up) -> str | None:
    """Say why a sandbox cannot reach a URL, a registry or an artifact store's path; None where it may.

    A bucket (`s3://…`, `gs://…`) has no host of its own.
    """
    scheme, separator, _ = address.partition("://")
    if separator and scheme.lower() not in ("http", "https", "tcp", "mysql", "file", "sqlite"):
        return None
    if scheme.lower() in ("file", "sqlite") or (not separator and _is_path(address)):
        return "it is on this machine's disk"
    try:
        host = urlsplit(address if separator else f"//{address}").hostname
    except ValueError:
        return "it is no valid address"
    return _why_not_host(host, resolve) if host else None


def _is_path(address: str) -> bool:
    # A registry is host[:port]/path, e.g. docker.io/acme or localhost:5000.
    return address.startswith(("/", ".", "~", "\\")) or " " in address or address[1:3] in (":\\", ":/")


def _why_not_host(host: str, resolve: Resolve) -> str | None:
    host = host.rstrip(".").lower()
    if (kind := _kind(host)) is not None:
        return kind or None
    if host == "localhost":
        return "it is this machine itself"
    if host.endswith(_PRIVATE_ENDINGS):
        return "its name is known in a private network only"
    if "." not in host:
        return "its name has no domain, so only this machine or network knows it"
    found = resolve(host)
    kinds = [_kind(each) for each in found]
    if found and all(kinds):
        return f"its name leads to {found[0]}, where {kinds[0]}"
    return None


def _kind(address: str) -> str | None:
    """Say what an IP address is: empty for a public one, None for what is none."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])  # e.g. fe80::1%eth0
    except ValueError:
        return None
    if ip.version == 6 and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if ip.is_loopback or ip.is_unspecified:
        return "it is this machine itself"
    if ip.is_link_local:
        return "it is link-local, known to this network's machines only"
    if not ip.is_global:
        return "it is in a private network"
    return ""
