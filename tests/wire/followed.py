"""Followers of real sandboxes of a strict local Modal API, through the unmodified SDK."""

from __future__ import annotations

import secrets
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import modal
from modal_proto import api_pb2

from zenml_modal_nb import emulator
from zenml_modal_nb.emulator.faults import Fault
from zenml_modal_nb.emulator.private_server import PrivateServer
from zenml_modal_nb.events import Event, Log, Started
from zenml_modal_nb.packaging.archive import runner_archive
from zenml_modal_nb.packaging.payload import pack
from zenml_modal_nb.packaging.recognition import Recognized
from zenml_modal_nb.packaging.returned import restore
from zenml_modal_nb.pricing.meter import Meter
from zenml_modal_nb.pricing.rates import snapshot
from zenml_modal_nb.sandboxes.conversation import Outcome
from zenml_modal_nb.sandboxes.depot import Depot
from zenml_modal_nb.sandboxes.ending import RunEndedError
from zenml_modal_nb.sandboxes.follow import Follower
from zenml_modal_nb.sandboxes.launch import Launch, Part

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
BACKENDS = {"V1": {"gpu": "T4"}, "V2": {}}
PATIENCE = 60  # seconds until a test that waits has failed


@dataclass(frozen=True)
class Modal:
    """A private server and an SDK client of it."""

    server: PrivateServer
    client: modal.Client
    app: modal.App
    image: modal.Image

    @contextmanager
    def fault(self, fault: Fault) -> Iterator[None]:
        """Let something go wrong, for one block."""
        name = self.server.faults.add(fault)
        try:
            yield
        finally:
            self.server.faults.clear(name)

    def running(self) -> list[str]:
        """The IDs of the sandboxes that run now, as the SDK lists them."""
        return [
            sandbox.object_id for sandbox in modal.Sandbox.list(app_id=self.app.app_id, client=self.client)
        ]

    def sandbox(self, sandbox_id: str) -> modal.Sandbox:
        return modal.Sandbox.from_id(sandbox_id, client=self.client)

    def follow(self, source: str, **options: Any) -> Followed:
        return Followed(self, source, **options)


@contextmanager
def strict_modal(**options: Any) -> Iterator[Modal]:
    """Start a server that keeps little of an output, and delays and splits what is read of it."""
    strict = {"log_retention": 65536, "read_delay": 0.001, "read_size": 4093, **options}
    with emulator.running(**strict) as server:
        token = (server.environment["MODAL_TOKEN_ID"], server.environment["MODAL_TOKEN_SECRET"])
        client = modal.Client(server.url, api_pb2.CLIENT_TYPE_CLIENT, token)
        client.__enter__()
        try:
            app = modal.App.lookup("cells", create_if_missing=True, client=client, environment_name="local")
            yield Modal(server, client, app, modal.Image.debian_slim())
        finally:
            client.__exit__(None, None, None)


class Followed:
    """One cell, its sandbox's follower, and what happened."""

    def __init__(
        self,
        place: Modal,
        source: str,
        *,
        values: dict[str, object] | None = None,
        outputs: tuple[str, ...] = (),
        grace: float = 600.0,
        python: str = PYTHON,
        large_results: bool = False,
        meter: Meter | None = None,
        stages: tuple[modal.Image, ...] = (),
        **arguments: Any,
    ) -> None:
        self.place = place
        self.namespace: dict[str, Any] = {"__name__": "__main__"}
        self.events: list[Event] = []
        self.meter = meter or Meter("T4", 2.0, 4096, None, snapshot({}))
        self._changed = threading.Condition()
        packed = pack(values or {}, self.namespace)
        self._known = packed.known
        self.launch = Launch(
            nonce=secrets.token_hex(16),
            parts=(
                Part.of("runner.zip", [runner_archive()]),
                Part.of("payload.zmnb", packed.values.pieces, Recognized()),
            ),
            run={
                "source": source,
                "filename": "<cell 1>",
                "step": "step",
                "outputs": list(outputs),
                "grace": 600.0,
            },
            python=python,
            grace=grace,
            arguments={
                "app": place.app,
                "image": place.image,
                "client": place.client,
                "timeout": 300,
                **arguments,
            },
            depot=Depot(place.client, "local", "followed"),
            large_results=large_results,
            stages=stages,
            server="the local Modal API",
        )
        self.follower = Follower(self.launch, self._emit, self.meter)

    def begin(self) -> Followed:
        self.follower.begin()
        return self

    def _emit(self, event: Event) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def until(self, happened: Callable[[list[Event]], object]) -> Followed:
        """Wait until the events are as wanted."""
        with self._changed:
            assert self._changed.wait_for(lambda: happened(self.events), PATIENCE), self.events[-20:]
        return self

    def until_shown(self, text: str, stream: str = "stdout") -> Followed:
        return self.until(lambda _: text in self.text(stream))

    def text(self, stream: str = "stdout") -> str:
        return "".join(
            each.text for each in list(self.events) if isinstance(each, Log) and each.stream == stream
        )

    @property
    def sandbox_id(self) -> str:
        return self.follower.created()

    @property
    def started(self) -> Started:
        return next(event for event in self.events if isinstance(event, Started))

    def outcome(self) -> Outcome:
        return self.follower._outcome.result(PATIENCE)

    def values(self) -> tuple[dict[str, Any], Any]:
        returned = restore(self.outcome().values, self.namespace, self._known)
        assert returned.lost == {}
        return dict(returned.named), returned.last

    def ended(self) -> RunEndedError:
        """Wait for an end without a result, and return why."""
        error = self.follower._outcome.exception(PATIENCE)
        assert isinstance(error, RunEndedError), error
        return error

    def gone(self) -> bool:
        """Wait until the follower says that nothing is left, and whether that is true."""
        return self.follower.closed(PATIENCE) and not self.left()

    def left(self) -> list[str]:
        """The sandboxes of this run that are still there."""
        tags = {"zenml_modal_nb_run": self.launch.nonce}
        found = modal.Sandbox.list(app_id=self.place.app.app_id, tags=tags, client=self.place.client)
        return [sandbox.object_id for sandbox in found]
