"""Which Modal a run talks to, and what a user reads when it cannot be reached."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from zenml_modal_nb import emulator
from zenml_modal_nb.emulator.private_server import PrivateServer
from zenml_modal_nb.errors import ConnectionFailedError
from zenml_modal_nb.sandboxes.connection import Connection, connect, default_place


@pytest.fixture(scope="module")
def server() -> Iterator[PrivateServer]:
    with emulator.running() as server:
        yield server


@pytest.fixture
def token(server: PrivateServer, monkeypatch: pytest.MonkeyPatch) -> PrivateServer:
    """A token in the environment, as a user may have one, of a server that answers."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return server


@pytest.fixture
def local_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state directory for the user's own local Modal API, ended after the test."""
    monkeypatch.setenv("ZENML_MODAL_NB_STATE_DIR", str(tmp_path / "state"))
    yield tmp_path / "state"
    subprocess.run([sys.executable, "-m", "zenml_modal_nb.emulator", "stop"], check=True, capture_output=True)


def in_a_fresh_process(program: str, tmp_path: Path, **variables: str) -> str:
    """Run a program as a user who has configured nothing but what is given."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MODAL_")}
    environment |= {"HOME": str(tmp_path), "MODAL_CONFIG_PATH": str(tmp_path / "modal.toml"), **variables}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_without_a_token_the_place_is_this_machine_and_modal_is_refused(tmp_path: Path) -> None:
    program = """
from zenml_modal_nb.sandboxes.connection import connect, default_place
print(default_place())
try:
    connect("modal")
except Exception as error:
    print(type(error).__name__, error)
"""
    place, refusal = in_a_fresh_process(program, tmp_path).splitlines()
    assert place == "local"
    assert refusal.startswith("ConnectionFailedError No Modal token is configured.")
    assert "modal token new" in refusal
    assert "--on local" in refusal


def test_with_a_token_the_place_is_modal(token: PrivateServer) -> None:
    assert default_place() == "modal"
    connection = connect(None)
    assert (connection.place, connection.url, connection.workspace) == ("modal", token.url, "local")


def test_a_connection_is_reused_while_nothing_changes(token: PrivateServer) -> None:
    assert connect("modal") is connect("modal")
    assert connect("modal", environment="other") is not connect("modal")


def test_threads_that_connect_at_once_share_one_connection(token: PrivateServer) -> None:
    found: list[Connection] = []
    threads = [
        threading.Thread(target=lambda: found.append(connect("modal", environment="of threads")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len({id(each) for each in found}) == 1


def test_a_refused_token_is_told_with_what_to_do(
    token: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODAL_TOKEN_SECRET", "as-wrong")
    with pytest.raises(
        ConnectionFailedError, match=r"refuses the token.*modal token set.*--on local"
    ) as refused:
        connect("modal")
    assert "as-wrong" not in str(refused.value)


def test_a_refused_token_leaves_no_open_connection(
    token: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODAL_TOKEN_SECRET", "as-wrong-too")
    before = len(psutil.Process().net_connections())
    for _ in range(3):
        with pytest.raises(ConnectionFailedError):
            connect("modal")
    assert len(psutil.Process().net_connections()) <= before


def test_a_server_that_is_not_there_is_told(token: PrivateServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MODAL_SERVER_URL", f"http://127.0.0.1:{free.getsockname()[1]}")
    with pytest.raises(ConnectionFailedError, match=r"takes no connection.*Check the network"):
        connect("modal")


def test_another_workspace_than_the_tokens_is_refused(token: PrivateServer) -> None:
    with pytest.raises(
        ConnectionFailedError, match=r"belongs to workspace 'local', not 'acme'.*nothing was created"
    ):
        connect("modal", workspace="acme")
    assert connect("modal", workspace="local").workspace == "local"


def test_a_workspace_chooses_the_profile_of_its_name(server: PrivateServer, tmp_path: Path) -> None:
    token_id, secret = server.environment["MODAL_TOKEN_ID"], server.environment["MODAL_TOKEN_SECRET"]
    (tmp_path / "modal.toml").write_text(
        '[acme]\ntoken_id = "ak-other"\ntoken_secret = "as-other"\nactive = true\n'
        f'[local]\ntoken_id = "{token_id}"\ntoken_secret = "{secret}"\n'
    )
    program = """
from zenml_modal_nb.sandboxes.connection import connect
print(connect("modal", workspace="local").workspace)
"""
    assert in_a_fresh_process(program, tmp_path, MODAL_SERVER_URL=server.url) == "local"


def test_the_environment_is_the_one_that_modal_is_configured_for(
    token: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODAL_ENVIRONMENT", "main")
    connection = connect("modal")
    assert connection.environment == "main"
    assert connect("modal", environment="local").environment == "local"
    monkeypatch.delenv("MODAL_ENVIRONMENT")
    assert connect("modal").environment is None


def test_another_profile_brings_its_own_environment(server: PrivateServer, tmp_path: Path) -> None:
    token_id, secret = server.environment["MODAL_TOKEN_ID"], server.environment["MODAL_TOKEN_SECRET"]
    keys = f'token_id = "{token_id}"\ntoken_secret = "{secret}"\n'
    (tmp_path / "modal.toml").write_text(
        f'[acme]\n{keys}environment = "acmes"\nactive = true\n[local]\n{keys}environment = "main"\n'
    )
    program = """
from zenml_modal_nb.sandboxes.connection import connect
print(connect("modal").environment, connect("modal", workspace="local").environment)
"""
    assert in_a_fresh_process(program, tmp_path, MODAL_SERVER_URL=server.url) == "acmes main"


def test_a_profile_without_an_environment_has_its_workspaces_default(
    server: PrivateServer, tmp_path: Path
) -> None:
    token_id, secret = server.environment["MODAL_TOKEN_ID"], server.environment["MODAL_TOKEN_SECRET"]
    keys = f'token_id = "{token_id}"\ntoken_secret = "{secret}"\n'
    (tmp_path / "modal.toml").write_text(
        f'[acme]\n{keys}environment = "acmes"\nactive = true\n[local]\n{keys}'
    )
    program = """
import modal
from zenml_modal_nb.sandboxes.connection import connect
connection = connect("modal", workspace="local")
app = modal.App.lookup("a", create_if_missing=True, client=connection.client,
                       environment_name=connection.environment)
print(repr(connection.environment), connection.label, bool(app.app_id))
"""
    found = in_a_fresh_process(program, tmp_path, MODAL_SERVER_URL=server.url)
    assert found == "'local' this machine (local Modal API) True"


def test_the_local_api_is_started_when_it_is_first_needed_and_kept(local_state: Path) -> None:
    connection = connect("local")
    assert connection.url == json.loads((local_state / "server.json").read_text())["url"]
    assert connection.environment == "local"
    assert not connection.billed
    assert connection.label == "this machine (local Modal API)"
    assert connect("local") is connection


def test_a_local_api_that_died_is_started_again(local_state: Path) -> None:
    first = connect("local")
    process = psutil.Process(json.loads((local_state / "server.json").read_text())["pid"])
    process.kill()
    process.wait(10)
    second = connect("local")
    assert second is not first
    second.client.hello()
    assert first.client.is_closed()


def test_a_local_api_that_cannot_be_started_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ZENML_MODAL_NB_STATE_DIR", str(tmp_path / "file" / "state"))
    monkeypatch.setattr("zenml_modal_nb.sandboxes.connection._open", {})
    with pytest.raises(ConnectionFailedError, match="could not be started"):
        connect("local")


def test_the_users_own_modal_code_keeps_its_target(
    local_state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from modal.config import config

    monkeypatch.setenv("MODAL_SERVER_URL", "https://example.invalid")
    monkeypatch.setenv("MODAL_ENVIRONMENT", "mine")
    before = dict(os.environ)
    connect("local")
    assert dict(os.environ) == before
    assert (config.get("server_url"), config.get("environment")) == ("https://example.invalid", "mine")


@pytest.mark.parametrize(
    ("url", "workspace", "environment", "billed", "label"),
    [
        ("https://api.modal.com", "acme", "prod", True, "Modal acme/prod"),
        ("https://api.modal.com", "acme", None, True, "Modal acme/default"),
        ("https://api.modal.com", None, None, True, "Modal default"),
        ("http://127.0.0.1:5000", "local", "local", False, "this machine (local Modal API)"),
        ("http://[::1]:5000", "local", "local", False, "this machine (local Modal API)"),
    ],
)
def test_the_words_of_the_header(
    url: str, workspace: str | None, environment: str | None, billed: bool, label: str
) -> None:
    connection = Connection(None, url, "modal", workspace, environment)
    assert (connection.billed, connection.label) == (billed, label)
