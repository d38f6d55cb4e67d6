"""Homes, kernels and gates for the tests that go through a user's door."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import hypothesis
import pytest
from frontend import STRICT, Gate, Home, Kernel

# How long an example takes says how busy the machine is, nothing about the code: no clock decides a test.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")

# A shell's background job ignores interrupts, and so would all that it starts: servers, sandboxes and kernels.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_numbers = count(1)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A user's home with a strict local Modal API, for all tests that only add to it."""
    home = Home(tmp_path_factory.mktemp("home"))
    with home.local_modal(*STRICT):
        yield home


@pytest.fixture(scope="session")
def kernel(home: Home) -> Iterator[Kernel]:
    """A warm kernel with the extension loaded, for tests that use names of their own and leave `_` to IPython."""
    yield from _started(home, "shared")


@pytest.fixture
def new_kernel(home: Home) -> Iterator[Kernel]:
    """A kernel that has run nothing yet."""
    kernel = Kernel(home, str(next(_numbers)))
    try:
        yield kernel
    finally:
        kernel.close()


@pytest.fixture(scope="module")
def own_kernel(home: Home) -> Iterator[Kernel]:
    """A warm kernel of this module's own, for tests that interrupt it."""
    yield from _started(home, f"own-{next(_numbers)}")


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    """A gate that a cell can wait at."""
    os.mkfifo(tmp_path / "gate")
    return Gate(tmp_path / "gate")


@pytest.fixture
def silent_modal() -> Iterator[str]:
    """A cell that makes Modal a server which takes connections and never answers, with a token for it."""
    with socket.create_server(("127.0.0.1", 0)) as server:  # the system itself takes them, nobody reads
        variables = {
            "MODAL_SERVER_URL": f"http://127.0.0.1:{server.getsockname()[1]}",
            "MODAL_TOKEN_ID": "ak-silent",
            "MODAL_TOKEN_SECRET": "as-silent",
        }
        yield f"import os\nos.environ.update({variables!r})"


def _started(home: Home, name: str) -> Iterator[Kernel]:
    kernel = Kernel(home, name)
    try:
        kernel.run("%load_ext zenml_modal_nb")
        kernel.run("from zenml.client import Client")  # waits for the warm-up
        yield kernel
    finally:
        kernel.close()
