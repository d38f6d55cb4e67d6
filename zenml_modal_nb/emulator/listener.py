"""The ports of a server: one for everything, and one with TLS once an older SDK needs it."""

from __future__ import annotations

import asyncio
import socket
import weakref
from collections.abc import Collection
from pathlib import Path

import grpclib.server
from grpclib.protocol import H2Protocol

from zenml_modal_nb.emulator.certificates import secured
from zenml_modal_nb.emulator.faults.wire import StatusDetails
from zenml_modal_nb.emulator.services.calls import Servable


class Listener(grpclib.server.Server):
    """grpclib's server, which can also end its connections: since Python 3.12 waiting for the end waits for them."""

    def __init__(self, services: Collection[Servable]) -> None:
        super().__init__(services, status_details_codec=StatusDetails())
        self.services = services
        self._connections: weakref.WeakSet[H2Protocol] = weakref.WeakSet()
        self._with_tls: asyncio.Server | None = None

    async def listen_with_tls(self, host: str, directory: Path) -> int:
        """Answer on a second port too, with the certificate kept in `directory`; returns the port."""
        context = await secured(directory)
        bound = bind(host, 0)
        loop = asyncio.get_running_loop()
        self._with_tls = await loop.create_server(self._protocol_factory, sock=bound, ssl=context)
        port: int = bound.getsockname()[1]
        return port

    def close(self) -> None:
        """Accept no more connections."""
        super().close()
        if self._with_tls is not None:
            self._with_tls.close()

    def disconnect(self) -> None:
        """Drop every client; the calls they wait for end with an error."""
        for protocol in list(self._connections):
            if hasattr(protocol, "processor"):  # set once the connection is there
                protocol.processor.close("The server is closing")

    def _protocol_factory(self) -> H2Protocol:
        protocol = super()._protocol_factory()
        self._connections.add(protocol)
        return protocol


def bind(host: str, port: int) -> socket.socket:
    """A socket on this port, 0 for any free one; raises OSError when it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio turns Nagle's algorithm off only for sockets that name it; with it on,
    # every second answer waits 40 ms for an acknowledgement.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound
