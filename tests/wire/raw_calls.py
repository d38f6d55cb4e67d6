"""Modal's calls without the SDK around them, for what the SDK would smooth over or never sends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import grpclib.client
from local_api import TOKEN, Local
from modal_proto import api_pb2
from modal_proto.api_grpc import ModalClientStub
from modal_proto.task_command_router_grpc import TaskCommandRouterStub

METADATA = {"x-modal-token-id": TOKEN[0], "x-modal-token-secret": TOKEN[1]}


@dataclass(frozen=True)
class Stubs:
    """Both services as the SDK's own channel reaches them, with the router's token for one sandbox."""

    control: ModalClientStub
    router: TaskCommandRouterStub
    task_id: str
    bearer: dict[str, str]


def converse(local: Local, sandbox_id: str, talk: Callable[[Stubs], Awaitable[None]]) -> None:
    async def run() -> None:
        async with grpclib.client.Channel("127.0.0.1", local.server.port) as channel:
            control = ModalClientStub(channel)
            asked = api_pb2.SandboxGetTaskIdRequest(sandbox_id=sandbox_id)
            task = await control.SandboxGetTaskIdV2(asked, metadata=METADATA)
            access = await control.SandboxGetCommandRouterAccess(
                api_pb2.SandboxGetCommandRouterAccessRequest(sandbox_id=sandbox_id), metadata=METADATA
            )
            bearer = {"authorization": f"Bearer {access.jwt}"}
            await talk(Stubs(control, TaskCommandRouterStub(channel), task.task_id, bearer))

    asyncio.run(run())
