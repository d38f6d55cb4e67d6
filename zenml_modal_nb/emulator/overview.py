"""What runs in a server, asked of the server itself; nothing here runs inside it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from zenml_modal_nb.emulator.record import LifecycleError, ServerRecord

ANSWER_SECONDS = 10.0


@dataclass(frozen=True)
class RunningSandbox:
    """One line of `status`; `created_at` is in seconds since 1970, `app` and `name` are as their user named them."""

    id: str
    app: str
    name: str
    created_at: float

    def age(self) -> str:
        """How long ago it was made, e.g. `4 min`."""
        seconds = max(0, round(time.time() - self.created_at))
        if seconds < 120:
            return f"{seconds} s"
        return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


def running_sandboxes(server: ServerRecord) -> list[RunningSandbox]:
    """The sandboxes that run now, newest first; raises LifecycleError when the server does not answer."""
    from grpclib import GRPCError
    from grpclib.exceptions import ProtocolError, StreamTerminatedError

    try:
        return asyncio.run(asyncio.wait_for(_ask(server), ANSWER_SECONDS))
    except (OSError, TimeoutError, GRPCError, ProtocolError, StreamTerminatedError) as error:
        raise LifecycleError(f"The local Modal API at {server.url} does not answer: {error}") from error


async def _ask(server: ServerRecord) -> list[RunningSandbox]:
    from grpclib.client import Channel
    from modal_proto import api_pb2
    from modal_proto.api_grpc import ModalClientStub

    address = urlsplit(server.url)
    metadata = {"x-modal-token-id": server.token_id, "x-modal-token-secret": server.token_secret}
    async with Channel(address.hostname or "", address.port or 0) as channel:
        calls = ModalClientStub(channel)
        listed = await calls.SandboxListV2(api_pb2.SandboxListRequest(), metadata=metadata)
        apps = {}
        for app_id in {item.app_id for item in listed.sandboxes}:
            told = await calls.AppGetInfo(api_pb2.AppGetInfoRequest(app_id=app_id), metadata=metadata)
            apps[app_id] = told.info.description
        return [
            RunningSandbox(item.id, apps[item.app_id], item.name, item.created_at)
            for item in listed.sandboxes
        ]
