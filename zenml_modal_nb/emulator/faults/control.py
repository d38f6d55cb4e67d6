"""Planning faults in a running server: one call of our own on the same port, with the server's token.

Imported by every command, so the imports that cost time happen where they are needed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from zenml_modal_nb.emulator.faults.kinds import Fault, from_fields, to_fields

if TYPE_CHECKING:
    from zenml_modal_nb.emulator.faults.plan import Faults
    from zenml_modal_nb.emulator.services.calls import Servable

PATH = "/zenml_modal_nb.emulator.Faults/Plan"
ANSWER_SECONDS = 10.0


@dataclass(frozen=True)
class ListedFault:
    """A fault that is planned, and how often it has happened; made by `FaultControl.list`."""

    id: str
    fault: Fault
    happened: int


@dataclass(frozen=True)
class FaultControl:
    """Plans faults in the server at `url`; each method returns when it holds there.

    Raises ValueError for a fault that makes no sense, grpclib.GRPCError for a wrong token or ID, OSError when
    no server answers.
    """

    url: str
    token_id: str = field(repr=False)
    token_secret: str = field(repr=False)

    def add(self, fault: Fault) -> str:
        """Let `fault` happen from now on; returns its ID."""
        answer: str = self._ask("add", from_fields(to_fields(fault)))["id"]
        return answer

    def list(self) -> list[ListedFault]:
        """Every fault that has not been cleared."""
        listed = self._ask("list")["faults"]
        return [ListedFault(item["id"], from_fields(item["fault"]), item["happened"]) for item in listed]

    def clear(self, fault_id: str = "") -> int:
        """Take back one fault, or all of them; returns how many."""
        answer: int = self._ask("clear", fault_id=fault_id)["cleared"]
        return answer

    def _ask(self, what: str, fault: Fault | None = None, fault_id: str = "") -> Mapping[str, Any]:
        import asyncio
        from concurrent.futures import ThreadPoolExecutor

        question = {"what": what, "fault": to_fields(fault) if fault else None, "id": fault_id}
        # A thread of its own, since a notebook's or a test's may run an event loop already.
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(asyncio.run, self._call(json.dumps(question))).result()
        fields: Mapping[str, Any] = json.loads(answer)
        return fields

    async def _call(self, question: str) -> str:
        from google.protobuf.wrappers_pb2 import StringValue
        from grpclib.client import Channel, UnaryUnaryMethod

        address = urlsplit(self.url)
        metadata = {"x-modal-token-id": self.token_id, "x-modal-token-secret": self.token_secret}
        async with Channel(address.hostname or "", address.port or 0) as channel:
            method = UnaryUnaryMethod(channel, PATH, StringValue, StringValue)
            answer = await method(StringValue(value=question), metadata=metadata, timeout=ANSWER_SECONDS)
            said: str = answer.value
            return said


def service(faults: Faults) -> Servable:
    """The server's side of it, for grpclib."""
    from google.protobuf.wrappers_pb2 import StringValue
    from grpclib.const import Cardinality, Handler

    from zenml_modal_nb.emulator.services.calls import Servable, adapter

    async def plan(request: Any) -> Any:
        return StringValue(value=json.dumps(_answer(faults, request.value)))

    handle = adapter(plan, Cardinality.UNARY_UNARY, StringValue)
    return Servable({PATH: Handler(handle, Cardinality.UNARY_UNARY, StringValue, StringValue)}, {})


def _answer(faults: Faults, question: str) -> dict[str, object]:
    from zenml_modal_nb.emulator.state.refusals import InvalidArgumentError

    try:
        asked = json.loads(question)
        match asked["what"]:
            case "add":
                return {"id": faults.add(from_fields(asked["fault"]))}
            case "clear":
                return {"cleared": faults.clear(str(asked["id"]))}
            case "list":
                listed = faults.listed()
                return {
                    "faults": [
                        {"id": item.id, "fault": to_fields(item.fault), "happened": item.happened}
                        for item in listed
                    ]
                }
            case other:
                raise ValueError(f"A fault cannot be asked to {other!r}.")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidArgumentError(f"This cannot be planned: {error}") from error
