"""The HTTP endpoint beside the API: large contents go in by PUT and out by GET, at addresses the API gives.

Threads, not the server's loop: hashing and copying let go of the interpreter, and the API answers meanwhile.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import BinaryIO

from zenml_modal_nb.emulator.state.addresses import Address, Addresses
from zenml_modal_nb.emulator.state.blobs import Blobs
from zenml_modal_nb.emulator.state.blocks import BLOCK_SIZE, Blocks
from zenml_modal_nb.emulator.state.refusals import NotFoundError, RefusedError, UnauthenticatedError

MOST_CONNECTIONS = 256
IDLE_SECONDS = 75.0  # longer than aiohttp keeps an idle connection
LARGEST_BLOB = 1 << 40  # bytes
ZEROS = bytes(1024 * 1024)

log = logging.getLogger(__name__)


class Transfers(HTTPServer):
    """Listens on a port of its own; `start` and `close` are called by the server's loop."""

    address_family = socket.AF_INET
    request_queue_size = 128

    def __init__(self, host: str, blocks: Blocks, blobs: Blobs, latency: Callable[[str], float]) -> None:
        """Answer a call, `TransferPut` or `TransferGet`, as many seconds later as `latency` says."""
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, 0), _Handler)
        self.blocks = blocks
        self.blobs = blobs
        self.latency = latency
        self.addresses: Addresses | None = None
        self._connections: set[socket.socket] = set()
        self._room = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._acceptor = threading.Thread(target=self.serve_forever, name="transfers", daemon=True)

    @property
    def url(self) -> str:
        """E.g. `http://127.0.0.1:40123`."""
        host, port = self.server_address[:2]
        name = host if isinstance(host, str) else host.decode()
        return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"

    def start(self, addresses: Addresses) -> None:
        """Begin to answer at these addresses."""
        self.addresses = addresses
        self._acceptor.start()

    def close(self) -> None:
        """End every connection and stop listening."""
        self.closing.set()
        self.shutdown()
        with self._lock:
            for connection in self._connections:
                # Wakes the thread that reads from it, which then closes it.
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            threads = list(self._threads)
        for thread in threads:
            thread.join(5)
        self._acceptor.join(5)
        self.server_close()

    def process_request(self, request: object, client_address: object) -> None:
        """Answer one connection in a thread of its own; waits while there are too many."""
        assert isinstance(request, socket.socket)
        while not self._room.acquire(timeout=0.5):
            if self.closing.is_set():
                self.shutdown_request(request)
                return
        thread = threading.Thread(target=self._answer, args=(request, client_address), daemon=True)
        with self._lock:
            self._connections.add(request)
            self._threads.add(thread)
        thread.start()

    def _answer(self, request: socket.socket, client_address: object) -> None:
        try:
            request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.finish_request(request, client_address)
        except (
            ConnectionError,
            TimeoutError,
            BlockingIOError,
        ):  # the last is what a socket's own limit gives
            log.debug("a client has gone in the middle of a transfer")
        except Exception:  # one connection's trouble must not end the endpoint
            log.exception("a transfer failed")
        finally:
            with self._lock:
                self._connections.discard(request)
                self._threads.discard(threading.current_thread())
            self.shutdown_request(request)
            self._room.release()


class _Handler(BaseHTTPRequestHandler):
    """One connection; each request has an address that says everything about it."""

    protocol_version = "HTTP/1.1"
    server_version = "transfers"
    sys_version = ""
    rbufsize = 65536
    server: Transfers

    def setup(self) -> None:
        """Let the kernel, not Python, wait for whole pieces, and give up on a client that is silent too long."""
        super().setup()
        limit = struct.pack("ll", int(IDLE_SECONDS), 0)  # a timeval
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            self.connection.setsockopt(socket.SOL_SOCKET, option, limit)

    def _filler(self) -> Callable[[memoryview], int]:
        """What fills a buffer with the request's body, first with what came along with its head."""
        began = False

        def fill(buffer: memoryview) -> int:
            nonlocal began
            if not began:
                began = True
                return self.rfile.readinto1(buffer) or 0
            received: int = self.connection.recv_into(buffer, len(buffer), socket.MSG_WAITALL)
            return received

        return fill

    def handle_expect_100(self) -> bool:
        """Ask for nothing yet: `do_PUT` does, once, when it wants what is announced."""
        return True

    def do_PUT(self) -> None:
        try:
            address = self._address()
            size = _size(self.headers.get("Content-Length", ""))
            if size is None:
                self._refuse(HTTPStatus.LENGTH_REQUIRED, "A content of known size is needed.")
                return
            if size > (BLOCK_SIZE if address.kind == "block" else LARGEST_BLOB):
                self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The content is too large.")
                return
            if self.headers.get("Expect", "").lower() == "100-continue":
                self.send_response_only(HTTPStatus.CONTINUE)
                self.end_headers()
            etag = ""
            if address.kind == "block":
                self.server.blocks.receive(address.name, size, self._filler())
            else:
                etag = self.server.blobs.receive(address.name, size, self._filler())
        except RefusedError as error:
            self._refuse(_status(error), str(error))
            return
        self.send_response(HTTPStatus.OK)
        if etag:
            self.send_header("ETag", f'"{etag}"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        try:
            address = self._address()
            with self._source(address) as source:
                held = os.fstat(source.fileno()).st_size
                whole = (
                    address.length if address.padded else max(0, min(address.length, held - address.start))
                )
                begin, end = _range(self.headers.get("Range", ""), whole)
                partial = (begin, end) != (0, whole)
                self.send_response(HTTPStatus.PARTIAL_CONTENT if partial else HTTPStatus.OK)
                self.send_header("Content-Type", "application/octet-stream")
                self.send_header("Content-Length", str(end - begin))
                self.send_header("Accept-Ranges", "bytes")
                if partial:
                    self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{whole}")
                self.end_headers()
                self._send(source, address.start + begin, end - begin, held)
        except RefusedError as error:
            self._refuse(_status(error), str(error))
        except ValueError as error:
            self._refuse(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, str(error))

    def _send(self, source: BinaryIO, position: int, length: int, held: int) -> None:
        stored = max(0, min(length, held - position))
        if stored:
            self._send_stored(source, position, stored)
        zeros = length - stored
        while zeros:
            self.wfile.write(ZEROS[:zeros])
            zeros -= min(zeros, len(ZEROS))

    def _send_stored(self, source: BinaryIO, position: int, length: int) -> None:
        # Not the socket's own sendfile, which would wait for ever for a client that does not read.
        while length:
            sent = os.sendfile(self.connection.fileno(), source.fileno(), position, length)
            if not sent:
                raise ConnectionAbortedError("The content has become shorter.")
            position += sent
            length -= sent

    def _source(self, address: Address) -> BinaryIO:
        if address.kind == "block":
            return self.server.blocks.open(address.name)
        path: Path = self.server.blobs.path(address.name)
        return path.open("rb", buffering=0)

    def _address(self) -> Address:
        if self.server.addresses is None or self.headers.get("Transfer-Encoding"):
            raise UnauthenticatedError("There is nothing at this address.")
        self.server.closing.wait(self.server.latency(f"Transfer{self.command.capitalize()}"))
        address = self.server.addresses.read(self.command, self.path)
        if address.kind == "blob" and not address.length and self.command == "GET":
            size = self.server.blobs.path(address.name).stat().st_size
            return Address(address.method, address.kind, address.name, 0, size)
        return address

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        # What the client still sends is not read, so the connection cannot go on.
        body = message.encode()
        self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Log nothing: addresses are secrets."""


def _status(error: RefusedError) -> HTTPStatus:
    if isinstance(error, UnauthenticatedError):
        return HTTPStatus.FORBIDDEN
    return HTTPStatus.NOT_FOUND if isinstance(error, NotFoundError) else HTTPStatus.BAD_REQUEST


def _size(header: str) -> int | None:
    """What a Content-Length header says; None for one that is no number. A very large one is cut short."""
    return int(header[:20]) if header.isascii() and header.isdecimal() else None


def _range(header: str, size: int) -> tuple[int, int]:
    """The first byte and the one behind the last that a Range header asks for; ValueError if there are none."""
    asked = re.fullmatch(r"bytes=(\d*)-(\d*)", header.strip())
    if not asked or asked.group() == "bytes=-":
        return 0, size  # several ranges, or another unit: the whole, as the standard allows
    first, last = asked.groups()
    begin = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if begin >= end:
        raise ValueError(f"The content has {size} bytes.")
    return begin, end
