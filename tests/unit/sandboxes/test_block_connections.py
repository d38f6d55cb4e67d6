"""Blocks over HTTP, from and to a server that does not always do what it should."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from zenml_modal_nb.sandboxes.blocks import UnavailableError, _Connections

Answer = Callable[[BaseHTTPRequestHandler], None]


class Place:
    """A server whose answers are given one after the other; the last one goes on."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.received: list[bytes] = []
        self.connections = 0
        self.asked = threading.Event()
        self.over = threading.Event()
        place = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                place.connections += 1

            def answer(self) -> None:
                place.received.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
                place.asked.set()
                (place.answers.pop(0) if len(place.answers) > 1 else place.answers[0])(self)

            def do_GET(self) -> None:
                self.answer()

            def do_PUT(self) -> None:
                self.answer()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/block?signed=1"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self) -> None:
        self.over.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def place() -> Iterator[Place]:
    place = Place()
    yield place
    place.close()


@pytest.fixture
def connections() -> Iterator[_Connections]:
    connections = _Connections(lambda host, use_ssl: None)
    yield connections
    connections.close()


def answered(status: int, body: bytes = b"", size: int | None = None) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Content-Length", str(len(body) if size is None else size))
        request.end_headers()
        request.wfile.write(body)
        request.close_connection = size is not None

    return answer


def broken_off(request: BaseHTTPRequestHandler) -> None:
    request.close_connection = True


def test_a_block_is_sent_again_when_the_place_is_busy_or_breaks_off(
    place: Place, connections: _Connections
) -> None:
    place.answers = [answered(503), broken_off, answered(429), answered(200, b"receipt")]
    assert connections.put(place.url, memoryview(b"content")) == b"receipt"
    assert place.received == [b"content"] * 4


def test_one_connection_serves_for_block_after_block(place: Place, connections: _Connections) -> None:
    place.answers = [answered(200, b"receipt")]
    for _ in range(3):
        connections.put(place.url, b"content")
    assert place.connections == 1


def test_what_is_read_ends_with_the_zeros_that_are_left_out(place: Place, connections: _Connections) -> None:
    place.answers = [answered(200, b"abc")]
    content = bytearray(b"?" * 10)  # what an earlier attempt has left
    connections.get(place.url, memoryview(content))
    assert content == b"abc" + bytes(7)


def test_a_block_that_comes_cut_short_or_too_long_is_read_again(
    place: Place, connections: _Connections
) -> None:
    place.answers = [answered(200, b"ab", size=3), answered(200, b"abcdef"), answered(200, b"abc")]
    content = bytearray(3)
    connections.get(place.url, memoryview(content))
    assert content == b"abc"


def test_a_refusal_is_told_at_once(place: Place, connections: _Connections) -> None:
    place.answers = [answered(403, b"expired")]
    with pytest.raises(UnavailableError, match="403: expired"):
        connections.get(place.url, memoryview(bytearray(3)))
    with pytest.raises(UnavailableError, match="403: expired"):
        connections.put(place.url, b"abc")
    assert len(place.received) == 2


def test_closing_ends_what_waits_for_an_answer(place: Place, connections: _Connections) -> None:
    place.answers = [lambda request: place.over.wait(60) and None]
    failed: list[Exception] = []

    def wait() -> None:
        try:
            connections.get(place.url, memoryview(bytearray(3)))
        except UnavailableError as error:
            failed.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    assert place.asked.wait(30)
    connections.close()
    thread.join(30)
    assert not thread.is_alive()
    assert "the transfer has ended" in str(failed)


def test_a_proxy_is_left_to_the_sdk() -> None:
    with pytest.raises(UnavailableError, match="proxy"):
        _Connections(lambda host, use_ssl: "http://proxy:3128")
