"""Who may call: one token for this server, and the short-lived tokens derived from it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable

from zenml_modal_nb.emulator.state.refusals import UnauthenticatedError

LIFETIME = 3600.0  # seconds; the SDK renews a token at half of its life


class Credentials:
    """The server's token, and the key that signs what is issued under it; made once per server."""

    def __init__(self, token_id: str, token_secret: str, clock: Callable[[], float]) -> None:
        self._token = (token_id.encode(), token_secret.encode())
        self._clock = clock
        # Derived, not random: what a client was issued stays valid when the server is started again.
        self._key = hashlib.sha256(b"issued tokens\0" + token_secret.encode()).digest()

    def check_token(self, token_id: str, token_secret: str) -> None:
        """Raise UnauthenticatedError unless both halves are right; takes the same time either way."""
        known = hmac.compare_digest(token_id.encode(), self._token[0])
        # Both comparisons always run: stopping after the first would tell which half was wrong.
        if not known & hmac.compare_digest(token_secret.encode(), self._token[1]):
            raise UnauthenticatedError("The token is not the one this local Modal API was started with.")

    def issue(self, audience: str) -> str:
        """A token in the form of a JWT, whose `exp` the SDK reads to renew it in time."""
        claims = {"aud": audience, "exp": self._clock() + LIFETIME}
        signed = f"{_encode({'alg': 'HS256', 'typ': 'JWT'})}.{_encode(claims)}"
        return f"{signed}.{self._sign(signed)}"

    def check_issued(self, token: str, audience: str) -> None:
        """Raise UnauthenticatedError unless `token` was issued here for `audience` and is still valid."""
        signed, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(signed).encode()):
            raise UnauthenticatedError("This access token was not issued by this local Modal API.")
        # The signature is ours, so the claims have the form `issue` gave them.
        claims = json.loads(base64.urlsafe_b64decode(_padded(signed.partition(".")[2])))
        if claims["aud"] != audience or claims["exp"] <= self._clock():
            raise UnauthenticatedError("This access token has expired or is meant for another service.")

    def _sign(self, signed: str) -> str:
        digest = hmac.digest(self._key, signed.encode(), "sha256")
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _encode(claims: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")


def _padded(text: str) -> str:
    return text + "=" * (-len(text) % 4)
