"""A team's stacks on one machine: a real ZenML server over HTTP, an S3 artifact store, a registry's name.

`team` has two operators of ZenML's own flavor, `modal` and `modal_dev`; `light` has no registry and no image builder,
and two of our flavor, `own` (connected, as the stack is remote) and `apart` (detached). `mixed` has `modal`, the
first, and those two.

Nothing of it is built by Docker: the parent image is prebuilt, and no image is ever pulled, since the local Modal API
runs sandboxes with this interpreter.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from frontend import Home

# ZenML's own image, from the team's mirror; the local Modal API knows what it holds.
IMAGE = (
    f"registry.example.com/zenmldocker/zenml:{version('zenml')}"
    f"-py{sys.version_info.major}.{sys.version_info.minor}"
)

# What of the artifact store, step logs and code archives included, holds one of these.
SEARCH = """
import gzip
def holding(needles):
    store, found, read = Client().active_stack.artifact_store, [], 0
    for root, _, files in store.walk("s3://artifacts"):
        for name in files:
            with store.open(f"{root}/{name}", "rb") as file:
                content = file.read()
            read += 1
            if content.startswith(b"\\x1f\\x8b"):
                content = gzip.decompress(content)
            found += [f"{root}/{name}" for needle in needles if needle.encode() in content]
    return [found, read]
"""

_PATIENCE = 90.0  # seconds that a server may take to be there; creating ZenML's database takes about ten
_REGISTER = """
import json, sys
from zenml.client import Client
from zenml.enums import StackComponentType as Type
from zenml_modal_nb.pipelines.stack import register_flavor

endpoint = sys.argv[1]
client = Client()
client.create_stack_component("s3", "s3", Type.ARTIFACT_STORE, configuration={
    "path": "s3://artifacts", "key": "team", "secret": "team-secret", "client_kwargs": {"endpoint_url": endpoint},
})
client.create_stack_component("registry", "default", Type.CONTAINER_REGISTRY, configuration={
    "uri": "registry.example.com",
})
client.create_stack_component("builder", "local", Type.IMAGE_BUILDER, configuration={})
dev = {"modal_environment": "main", "gpu": "T4"}
client.create_stack_component("modal", "modal", Type.STEP_OPERATOR, configuration={})
client.create_stack_component("modal_dev", "modal", Type.STEP_OPERATOR, configuration=dev)
client.create_stack("team", {
    Type.ORCHESTRATOR: "default", Type.ARTIFACT_STORE: "s3", Type.CONTAINER_REGISTRY: "registry",
    Type.IMAGE_BUILDER: "builder", Type.STEP_OPERATOR: ["modal", "modal_dev"],
})
register_flavor(client)
detached = {"execution": "detached", "modal_environment": "main"}
client.create_stack_component("own", "modal_notebook", Type.STEP_OPERATOR, configuration={"cloud": "gcp"})
client.create_stack_component("apart", "modal_notebook", Type.STEP_OPERATOR, configuration=detached)
client.create_stack("light", {
    Type.ORCHESTRATOR: "default", Type.ARTIFACT_STORE: "s3", Type.STEP_OPERATOR: ["own", "apart"],
})
client.create_stack("mixed", {
    Type.ORCHESTRATOR: "default", Type.ARTIFACT_STORE: "s3", Type.CONTAINER_REGISTRY: "registry",
    Type.IMAGE_BUILDER: "builder", Type.STEP_OPERATOR: ["modal", "own", "apart"],
})
client.activate_stack("team")
"""


@dataclass(frozen=True)
class TeamHome(Home):
    """The home of a user whose ZenML is a server that others use too."""

    server: str = ""
    password: str = ""  # empty: the server asks for none

    @property
    def environment(self) -> dict[str, str]:
        """What a process of this user is started with."""
        known = {"ZENML_STORE_USERNAME": "default", "ZENML_STORE_PASSWORD": self.password}
        return (
            super().environment
            | {"ZENML_STORE_TYPE": "rest", "ZENML_STORE_URL": self.server}
            | (known if self.password else {})
        )


@contextmanager
def team(path: Path, password: str = "") -> Iterator[TeamHome]:
    """Run the server and the store, register the stack and make it the active one."""
    path.mkdir(parents=True, exist_ok=True)
    with ExitStack() as running:
        storage = running.enter_context(_storage(path))
        server = running.enter_context(_server(path, password))
        home = TeamHome(path, server, password)
        script = path / "register.py"  # a file: beside it ZenML looks for what it loads
        script.write_text(_REGISTER, encoding="utf-8")
        registered = home.python(str(script), storage)
        assert registered.returncode == 0, registered.stderr
        yield home


_STORAGE = """
import sys
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
application = DomainDispatcherApplication(create_backend_app)
make_server("127.0.0.1", 0, application, threaded=True, fd=int(sys.argv[1])).serve_forever()
"""


@contextmanager
def _storage(path: Path) -> Iterator[str]:
    """An S3-compatible server with an empty bucket."""
    with _served(path / "s3.log", ["-c", _STORAGE], {}) as url:
        made = urllib.request.Request(f"{url}/artifacts", method="PUT")
        urllib.request.urlopen(made, timeout=_PATIENCE).close()
        yield url


@contextmanager
def _server(path: Path, password: str) -> Iterator[str]:
    """A ZenML server that clients take for a remote one."""
    settings = {
        "ZENML_CONFIG_PATH": str(path / "server"),
        "ZENML_STORE_TYPE": "sql",
        "ZENML_STORE_URL": f"sqlite:///{path / 'server.db'}",
        "ZENML_SERVER_DEPLOYMENT_TYPE": "other",
        "ZENML_SERVER_AUTO_ACTIVATE": "true",
        "ZENML_SERVER_AUTH_SCHEME": "OAUTH2_PASSWORD_BEARER" if password else "NO_AUTH",
        "ZENML_DEFAULT_USER_PASSWORD": password,
        "ZENML_SERVER_DASHBOARD_FILES_PATH": str(path),
        "ZENML_ANALYTICS_OPT_IN": "false",
    }
    command = ["-m", "uvicorn", "zenml.zen_server.zen_server_api:app", "--log-level", "warning", "--fd"]
    with _served(path / "server.log", command, settings) as url:
        urllib.request.urlopen(f"{url}/health", timeout=_PATIENCE).close()
        yield url


@contextmanager
def _served(log: Path, arguments: list[str], settings: dict[str, str]) -> Iterator[str]:
    """A server on a socket that is given to it listening: whoever connects before it is ready waits there."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("ZENML", "MODAL", "AWS"))
    }
    with log.open("wb") as output, socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        process = subprocess.Popen(
            [sys.executable, *arguments, str(listening.fileno())],
            pass_fds=[listening.fileno()], env=kept | settings, cwd=log.parent, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        yield url
    finally:
        process.terminate()
        process.wait()
