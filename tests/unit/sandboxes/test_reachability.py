"""Whether Modal takes a connection at all, in networks with a proxy too."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from zenml_modal_nb.errors import ConnectionFailedError
from zenml_modal_nb.sandboxes.connection import connect
from zenml_modal_nb.sandboxes.reachability import knock


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a configured server that takes no connections, and no proxy."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and does not listen
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        monkeypatch.setenv("MODAL_SERVER_URL", url)
        yield url


def test_a_server_that_takes_no_connection_is_told(nobody: str) -> None:
    with pytest.raises(ConnectionFailedError, match="takes no connection"):
        knock(nobody)


@pytest.mark.parametrize("variable", ["http_proxy", "ALL_PROXY"])
def test_behind_a_proxy_it_is_left_to_the_sdk_which_knows_the_way(
    monkeypatch: pytest.MonkeyPatch, nobody: str, variable: str
) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:9")
    knock(nobody)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(ConnectionFailedError, match="takes no connection"):
        knock(nobody)


@pytest.mark.usefixtures("nobody")
def test_a_run_hears_of_it_too_rather_than_wait_for_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODAL_TOKEN_ID", "ak-nobody")
    monkeypatch.setenv("MODAL_TOKEN_SECRET", "as-nobody")
    with pytest.raises(ConnectionFailedError, match="takes no connection"):
        connect("modal")
