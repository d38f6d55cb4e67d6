"""Which SDK calls, and at which address it accepts a command router."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass

from grpclib.events import RecvRequest
from modal_proto import api_pb2

# Modal's SDKs for JavaScript and Go; they insist on an https address, and on loopback speak plainly to it all the
# same (modal-js 0.11: _TaskCommandRouterClientImpl.tryInit).
_LITE = (
    api_pb2.CLIENT_TYPE_LIBMODAL,
    api_pb2.CLIENT_TYPE_LIBMODAL_JS,
    api_pb2.CLIENT_TYPE_LIBMODAL_GO,
)
PLAIN_SINCE = (1, 5)  # the first Python SDK that takes an http address on loopback


@dataclass(frozen=True)
class Caller:
    """What the SDK says about itself with each call."""

    type: int = api_pb2.CLIENT_TYPE_CLIENT
    version: tuple[int, ...] = PLAIN_SINCE


_CALLER: ContextVar[Caller] = ContextVar("caller", default=Caller())  # noqa: B039  frozen


async def note(event: RecvRequest) -> None:
    """Remember who makes this call, for as long as it lasts; a listener of grpclib's."""
    said_type = str(event.metadata.get("x-modal-client-type", ""))
    said_version = str(event.metadata.get("x-modal-client-version", "")).split(".")[:2]
    # Whoever says nothing, or nonsense, is taken for the newest.
    version = tuple(int(part) for part in said_version) if all(map(_is_number, said_version)) else PLAIN_SINCE
    _CALLER.set(Caller(int(said_type) if _is_number(said_type) else Caller.type, version))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 10


class RouterAddress:
    """Where the command router is, in the words of the SDK that asks; `secure` opens a second port with TLS."""

    def __init__(self, url: str, secure: Callable[[], Awaitable[str]]) -> None:
        self._url = url
        self._secure = secure
        self._opening: asyncio.Task[str] | None = None

    async def url(self) -> str:
        """The address for the present caller; raises ConflictError if it can have none."""
        caller = _CALLER.get()
        if caller.type in _LITE:
            return self._url.replace("http://", "https://", 1)
        if caller.version >= PLAIN_SINCE:
            return self._url
        if self._opening is None or (self._opening.done() and self._opening.exception() is not None):
            self._opening = asyncio.ensure_future(self._secure())
        return await asyncio.shield(self._opening)
