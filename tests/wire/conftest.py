"""A local Modal API on a thread of its own, and the unmodified SDK connected to it over a real socket."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import modal
import pytest
from modal_proto import api_pb2

from zenml_modal_nb.emulator.server import Server, serve
from zenml_modal_nb.emulator.settings import ServerSettings

Result = TypeVar("Result")
TOKEN = ("ak-tests", "as-tests")


class Loop:
    """An event loop that runs on a thread until it is stopped."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def start(self, coroutine: Coroutine[Any, Any, Result]) -> Future[Result]:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def stop(self) -> None:
        self.run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@dataclass(frozen=True)
class Local:
    """A running server with a client, an app and an image, as a user of the SDK holds them."""

    server: Server
    state_dir: Path
    client: modal.Client
    app: modal.App
    image: modal.Image
    loop: Loop

    def create(self, *command: str, **options: Any) -> modal.Sandbox:
        options.setdefault("image", self.image)
        return modal.Sandbox.create(*command, app=self.app, client=self.client, **options)

    def close(self) -> None:
        self.loop.run(self.server.close())


StartLocal = Callable[..., Local]


def connect(url: str, token: tuple[str, str] = TOKEN) -> modal.Client:
    client = modal.Client(url, api_pb2.CLIENT_TYPE_CLIENT, token)
    client.__enter__()
    return client


@pytest.fixture(scope="module")
def start_local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartLocal]:
    """Start servers; each is closed, with everything that runs in it, after the module."""
    loop = Loop()
    started: list[Local] = []

    def start(state_dir: Path | None = None, **options: Any) -> Local:
        directory = state_dir or tmp_path_factory.mktemp("state")
        server = loop.run(serve(ServerSettings(directory, *TOKEN, **options)))
        client = connect(server.url)
        app = modal.App.lookup("tests", create_if_missing=True, client=client, environment_name="local")
        local = Local(server, directory, client, app, modal.Image.debian_slim(), loop)
        started.append(local)
        return local

    yield start
    for local in started:
        local.client.__exit__(None, None, None)
        local.close()
    loop.stop()


@pytest.fixture(scope="module")
def local(start_local: StartLocal) -> Local:
    """One server for the tests of a module that do not change it."""
    return start_local()


@pytest.fixture(params=["V1", "V2"])
def backend(request: pytest.FixtureRequest) -> dict[str, str]:
    """Options that make the SDK choose each of Modal's two sandbox backends."""
    return {"gpu": "T4"} if request.param == "V1" else {}
