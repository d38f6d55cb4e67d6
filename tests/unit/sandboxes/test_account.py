"""Whether Modal takes a connection at all, in networks with a proxy too."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from zenml_modal_nb.errors import ConnectionFailedError
from zenml_modal_nb.sandboxes import account
from zenml_modal_nb.sandboxes.connection import connect


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A configured server that takes no connections, and no proxy."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and does not listen
        monkeypatch.setenv("MODAL_SERVER_URL", f"http://127.0.0.1:{held.getsockname()[1]}")
        yield


@pytest.mark.usefixtures("nobody")
def test_a_server_that_takes_no_connection_is_told() -> None:
    with pytest.raises(ConnectionFailedError, match="takes no connection"):
        account.knock()


@pytest.mark.usefixtures("nobody")
@pytest.mark.parametrize("variable", ["http_proxy", "ALL_PROXY"])
def test_behind_a_proxy_it_is_left_to_the_sdk_which_knows_the_way(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:9")
    account.knock()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(ConnectionFailedError, match="takes no connection"):
        account.knock()


@pytest.mark.usefixtures("nobody")
def test_a_run_hears_of_it_too_rather_than_wait_for_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODAL_TOKEN_ID", "ak-nobody")
    monkeypatch.setenv("MODAL_TOKEN_SECRET", "as-nobody")
    with pytest.raises(ConnectionFailedError, match="takes no connection"):
        connect("modal")
