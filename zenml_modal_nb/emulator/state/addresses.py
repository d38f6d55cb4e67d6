"""Addresses at which one content can be put or read for a while, by whoever has been given them."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode, urlsplit

from zenml_modal_nb.emulator.state.refusals import UnauthenticatedError

LIFETIME = 6 * 3600  # seconds; the upload of a large volume may take hours


@dataclass(frozen=True)
class Address:
    """What may be done: `method` PUT or GET, with the `kind` "block" or "blob" and its name.

    A reader gets `length` bytes from `start` on; of a block only those that are stored, which leaves out zeros
    at its end, unless `padded`.
    """

    method: str
    kind: str
    name: str
    start: int = 0
    length: int = 0
    padded: bool = False


class Addresses:
    """Gives out addresses below `base`, signed with a key of this process, and knows them again."""

    def __init__(self, base: str, clock: Callable[[], float]) -> None:
        self._base = base
        self._clock = clock
        self._key = secrets.token_bytes(32)

    def url(self, address: Address) -> str:
        """A URL for this use and no other."""
        expires = int(self._clock()) + LIFETIME
        words = {
            "start": address.start,
            "length": address.length,
            "padded": int(address.padded),
            "expires": expires,
            "token": self._token(address, expires),
        }
        return f"{self._base}/{address.kind}/{address.name}?{urlencode(words)}"

    def read(self, method: str, target: str) -> Address:
        """The address that a request's target is; raises UnauthenticatedError if it was not given out here."""
        try:
            parts = urlsplit(target)
            _, kind, name = parts.path.split("/")
            words = {key: values[0] for key, values in parse_qs(parts.query).items()}
            start, length = int(words["start"]), int(words["length"])
            address = Address(method, kind, name, start, length, words["padded"] == "1")
            expires, token = int(words["expires"]), words["token"]
        except (ValueError, KeyError) as error:
            raise UnauthenticatedError("There is nothing at this address.") from error
        if not hmac.compare_digest(token.encode(), self._token(address, expires).encode()):
            raise UnauthenticatedError("There is nothing at this address.")
        if expires <= self._clock():
            raise UnauthenticatedError("This address has expired.")
        return address

    def _token(self, address: Address, expires: int) -> str:
        return hmac.digest(self._key, repr((address, expires)).encode(), "sha256").hex()
