"""Servers for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import modal
import pytest
from local_api import TOKEN, Local, Loop, StartLocal, connect

from zenml_modal_nb.emulator.server import serve
from zenml_modal_nb.emulator.settings import ServerSettings


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
