"""A local Modal API on a thread of its own, and the unmodified SDK connected to it over a real socket."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import modal
from modal_proto import api_pb2

from zenml_modal_nb.emulator.server import Server

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
