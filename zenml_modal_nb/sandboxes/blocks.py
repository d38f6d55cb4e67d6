"""Contents of volumes, put and got block by block: many at once, from memory and into it, each byte touched once.

The SDK's own `put_file` and `read_file` copy each block up to four times and digest it up to three times. This takes
the same calls (VolumePutFiles2 and VolumeGetFile2 of Modal's API, and HTTP for the blocks), which the SDK does not
offer to others: UnavailableError says that the caller has to do with what it does offer.
"""

from __future__ import annotations

import asyncio
import http
import http.client
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar
from urllib.parse import urlsplit

from zenml_modal_nb.runner import digests

logger = logging.getLogger(__name__)

_WORKERS = 8  # connections
_TRIES = 6
_FIRST_PAUSE = 0.25  # seconds; doubles. The first time at once: a connection may have been idle for too long
_SILENCE = 60.0  # seconds without a byte after which a connection is given up
_MOST_FILES = 64  # blocks named in one call: the addresses it answers with do not last

Advance = Callable[[int], None]
T = TypeVar("T")


class UnavailableError(Exception):
    """The blocks cannot be moved this way; nothing is known to be wrong with the volume."""


@dataclass(frozen=True, slots=True)
class _Calls:
    """What we take of the SDK that it does not promise; see `tests/unit/sandboxes/test_private_calls.py`."""

    put: Any  # (client, request) → response, by `.aio` from any event loop
    get: Any
    messages: Any  # modal_proto.api_pb2
    proxy: Callable[..., str | None]


@cache
def _calls() -> _Calls:
    """Raises UnavailableError when the SDK has moved something."""
    try:
        from modal._utils.async_utils import synchronize_api
        from modal._utils.grpc_utils import Retry
        from modal._utils.proxy_support import get_proxy_url
        from modal.client import _Client
        from modal_proto import api_pb2

        if not isinstance(vars(_Client)["_stub"], property):
            raise AttributeError("Client._stub")
        retry = Retry(base_delay=1)
    except (ImportError, AttributeError, KeyError, TypeError) as error:
        raise UnavailableError(f"the SDK has changed: {error!r}") from error

    # Functions of this module to the SDK, which runs them on its own event loop, where its connection lives.
    async def put(client: Any, request: Any) -> Any:
        return await client._stub.VolumePutFiles2(request, retry=retry)

    async def get(client: Any, request: Any) -> Any:
        return await client._stub.VolumeGetFile2(request)

    wrap: Any = synchronize_api
    return _Calls(wrap(put), wrap(get), api_pb2, get_proxy_url)


async def put(
    client: Any, volume_id: str, directory: str, blocks: Mapping[str, Sequence[memoryview]], advance: Advance
) -> None:
    """Put blocks into a directory of a volume, each a file under its digest; what Modal has already is not sent.

    `advance` hears of the bytes of each block, also of those. Raises UnavailableError and Modal's errors.
    """
    names = list(blocks)
    for start in range(0, len(names), _MOST_FILES):
        batch = {name: digests.stripped(blocks[name]) for name in names[start : start + _MOST_FILES]}
        await _put(client, volume_id, directory, batch, advance)


async def _put(
    client: Any, volume_id: str, directory: str, batch: Mapping[str, list[memoryview]], advance: Advance
) -> None:
    calls = _calls()
    request = calls.messages.VolumePutFiles2Request
    names = list(batch)

    def asked(sent: Mapping[str, bytes]) -> Any:
        files = [
            request.File(
                path=f"{directory}/{name}",
                size=sum(part.nbytes for part in parts),
                mode=0o644,
                # A file of zeros only is empty here, so it has no block.
                blocks=[request.Block(contents_sha256=bytes.fromhex(name), put_response=sent.get(name))]
                if parts
                else [],
            )
            for name, parts in batch.items()
        ]
        return request(volume_id=volume_id, files=files)

    response = await calls.put.aio(client, asked({}))
    missing = {names[each.file_index]: each.put_url for each in response.missing_blocks}
    advance(sum(part.nbytes for name, parts in batch.items() if name not in missing for part in parts))
    sent: dict[str, bytes] = {}

    def send(connections: _Connections, name: str) -> int:
        parts = batch[name]
        sent[name] = connections.put(missing[name], parts[0] if len(parts) == 1 else b"".join(parts))
        return sum(part.nbytes for part in parts)

    if missing:
        await _side_by_side(send, list(missing), advance)
        response = await calls.put.aio(client, asked(sent))
        if response.missing_blocks:
            raise UnavailableError(
                f"{len(response.missing_blocks)} blocks are still missing after they were sent"
            )


async def get(
    client: Any, volume_id: str, wanted: Mapping[str, memoryview], advance: Advance
) -> Mapping[str, str]:
    """Read files of a volume, by path, into memory, and return their contents' digests.

    Those that are not there, or have another size, are left out. Raises UnavailableError and Modal's errors.
    """
    calls = _calls()
    answers = await asyncio.gather(*(_addresses(calls, client, volume_id, each) for each in wanted))
    pieces: list[tuple[str, memoryview]] = []  # addresses, and where their contents belong
    found: dict[str, list[str]] = {}
    for (path, content), answer in zip(wanted.items(), answers, strict=True):
        if answer is None or answer.size != content.nbytes:
            continue
        addresses = list(answer.get_urls)
        parts = [content[at : at + digests.BLOCK] for at in range(0, content.nbytes, digests.BLOCK)]
        if len(addresses) != len(parts):
            raise UnavailableError(f"a file of {content.nbytes} bytes comes in {len(addresses)} pieces")
        pieces += zip(addresses, parts, strict=True)
        found[path] = [""] * len(parts)
    places = [(path, number) for path, blocks in found.items() for number in range(len(blocks))]

    def receive(connections: _Connections, number: int) -> int:
        address, piece = pieces[number]
        connections.get(address, piece)
        path, block = places[number]
        found[path][block] = digests.of_parts([piece])
        return piece.nbytes

    if pieces:
        await _side_by_side(receive, range(len(pieces)), advance)
    return {path: digests.joined(blocks) for path, blocks in found.items()}


async def _addresses(calls: _Calls, client: Any, volume_id: str, path: str) -> Any:
    """Ask for the addresses of a file's blocks; None if there is no such file."""
    import modal

    request = calls.messages.VolumeGetFile2Request(volume_id=volume_id, path=path, client_pads_blocks=True)
    try:
        return await calls.get.aio(client, request)
    except modal.exception.NotFoundError:
        return None


async def _side_by_side(
    act: Callable[[_Connections, Any], int], each: Sequence[Any], advance: Advance
) -> None:
    """Act in several threads, which have ended or are about to when this returns, whatever happens."""
    loop = asyncio.get_running_loop()
    connections = _Connections(_calls().proxy)
    threads = ThreadPoolExecutor(min(len(each), _WORKERS), thread_name_prefix="zenml-modal-nb-blocks")

    def work(one: Any) -> None:
        size = act(connections, one)
        loop.call_soon_threadsafe(advance, size)

    try:
        await asyncio.gather(*(asyncio.wrap_future(threads.submit(work, one)) for one in each))
        await asyncio.sleep(0)  # what was told last is heard before this returns
    finally:
        connections.close()
        threads.shutdown(wait=False, cancel_futures=True)


class _Connections:
    """Connections to the places where blocks are kept, used by several threads; `close` breaks off what goes on."""

    def __init__(self, proxy: Callable[..., str | None]) -> None:
        if proxy(None, use_ssl=True) is not None:
            raise UnavailableError("a proxy stands between, through which only the SDK knows the way")
        self._idle: list[tuple[str, http.client.HTTPConnection]] = []
        self._open: set[http.client.HTTPConnection] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def put(self, url: str, content: bytes | memoryview) -> bytes:
        """Send a block, and return what Modal answers; raises UnavailableError."""
        headers = {"Content-Type": "application/octet-stream"}  # as the SDK does

        def attempt(connection: http.client.HTTPConnection, target: str) -> bytes:
            connection.request("PUT", target, content, headers)
            response = connection.getresponse()
            answer = response.read()
            _check(response, answer)
            return answer

        return self._try(url, attempt)

    def get(self, url: str, content: memoryview) -> None:
        """Read a block into memory, with the zeros that its end leaves out; raises UnavailableError."""

        def attempt(connection: http.client.HTTPConnection, target: str) -> None:
            connection.request("GET", target)
            response = connection.getresponse()
            if response.status != http.HTTPStatus.OK:
                _check(response, response.read())
            at = 0
            while at < content.nbytes and (count := response.readinto(content[at:])):
                at += count
            if response.read(1) or response.length:
                raise http.client.IncompleteRead(b"", response.length)
            content[at:] = bytes(content.nbytes - at)

        self._try(url, attempt)

    def close(self) -> None:
        """Close all of them, also those in use."""
        self._closed.set()
        with self._lock:
            found = list(self._open)
        for connection in found:
            _close(connection)

    def _try(self, url: str, attempt: Callable[[http.client.HTTPConnection, str], T]) -> T:
        address = urlsplit(url)
        target = address._replace(scheme="", netloc="").geturl()
        pause = 0.0
        for number in range(_TRIES):
            if self._closed.wait(pause):
                raise UnavailableError("the transfer has ended")
            pause = _FIRST_PAUSE * 2**number
            connection = self._connection(f"{address.scheme}://{address.netloc}")
            try:
                done = attempt(connection, target)
            except (OSError, http.client.HTTPException, _RefusedError) as error:
                self._drop(connection)
                logger.debug("A block was not transferred: %r", error)
                if isinstance(error, _RefusedError) and not error.passing:
                    raise UnavailableError(str(error)) from error
                last: Exception = error
            else:
                with self._lock:
                    self._idle.append((f"{address.scheme}://{address.netloc}", connection))
                return done
        raise UnavailableError(f"{_TRIES} attempts failed, the last with {last!r}") from last

    def _connection(self, place: str) -> http.client.HTTPConnection:
        with self._lock:
            for each in self._idle:
                if each[0] == place:
                    self._idle.remove(each)
                    return each[1]
        scheme, _, netloc = place.partition("://")
        made: http.client.HTTPConnection
        if scheme == "https":
            made = http.client.HTTPSConnection(netloc, timeout=_SILENCE, context=_trust())
        else:
            made = http.client.HTTPConnection(netloc, timeout=_SILENCE)
        with self._lock:
            self._open.add(made)
        return made

    def _drop(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            self._open.discard(connection)
        connection.close()


class _RefusedError(Exception):
    """An answer that is no success; `passing` if it may be another one soon."""

    def __init__(self, status: int, answer: bytes) -> None:
        super().__init__(f"HTTP status {status}: {answer[:300].decode(errors='replace')}")
        self.passing = (
            status >= http.HTTPStatus.INTERNAL_SERVER_ERROR or status == http.HTTPStatus.TOO_MANY_REQUESTS
        )


def _check(response: http.client.HTTPResponse, answer: bytes) -> None:
    if response.status >= http.HTTPStatus.MULTIPLE_CHOICES:
        raise _RefusedError(response.status, answer)


def _close(connection: http.client.HTTPConnection) -> None:
    """End a connection that another thread may wait for."""
    held = connection.sock
    if held is not None:
        with suppress(OSError):  # it has ended by itself
            held.shutdown(socket.SHUT_RDWR)
    connection.close()


@cache
def _trust() -> ssl.SSLContext:
    import certifi

    return ssl.create_default_context(cafile=certifi.where())  # as the SDK does
