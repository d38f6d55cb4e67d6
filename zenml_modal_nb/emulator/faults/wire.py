"""Faults that happen to calls rather than to sandboxes: put between grpclib and the services."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from google.protobuf.message import Message
from grpclib import GRPCError, Status
from grpclib.encoding.base import StatusDetailsCodecBase
from grpclib.events import RecvRequest
from grpclib.server import Stream
from modal_proto import api_pb2
from modal_proto import task_command_router_pb2 as router_pb2

from zenml_modal_nb.emulator.faults import control, kinds
from zenml_modal_nb.emulator.faults.plan import Faults, Planned

BROKEN = b"\xff"  # appears nowhere in UTF-8
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

Handle = Callable[[Any], Awaitable[None]]
Breaking = Planned[kinds.Unavailable] | Planned[kinds.DroppedConnection]


class Interception:
    """Lets the planned faults happen to every call but those that plan them."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    async def intercept(self, event: RecvRequest) -> None:
        """Put this between the call and what handles it; a listener of grpclib's."""
        if event.method_name != control.PATH:
            name = event.method_name.rpartition("/")[2]
            event.method_func = partial(self._handle, name, event.method_func)

    async def _handle(self, name: str, handle: Handle, stream: Stream[Any, Any]) -> None:
        if seconds := self._faults.latency(name):
            await asyncio.sleep(seconds)
        if limit := self._faults.matching(kinds.RateLimit, name):
            limit.happened += 1
            policy = api_pb2.RPCRetryPolicy(retry_after_secs=limit.fault.retry_after)
            raise GRPCError(Status.RESOURCE_EXHAUSTED, f"{name} was called too often.", [policy])
        if refusal := self._faults.matching(kinds.Refusal, name):
            refusal.happened += 1
            raise GRPCError(Status[refusal.fault.status], refusal.fault.message)
        breaking: Breaking | None = self._faults.matching(kinds.Unavailable, name)
        if breaking is None:
            breaking = self._faults.matching(kinds.DroppedConnection, name)
        if breaking and not breaking.fault.after:
            _break(breaking, name, stream)
        failure = self._faults.matching(kinds.BuildFailure) if name == "ImageJoinStreaming" else None
        if failure:
            failure.happened += 1
            handle = partial(_fail_build, failure.fault.message)
        await handle(_Disturbed(stream, name, breaking, self._faults.matching(kinds.InvalidUtf8)))


class _Disturbed:
    """A call's stream that breaks after some answers, or whose output has a broken byte."""

    def __init__(
        self,
        stream: Stream[Any, Any],
        name: str,
        breaking: Breaking | None,
        invalid: Planned[kinds.InvalidUtf8] | None,
    ) -> None:
        self._whole = stream
        self._name = name
        self._breaking = breaking
        self._invalid = invalid
        self._sent = 0
        self._position = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._whole, name)

    async def send_message(self, message: Any) -> None:
        if self._invalid:
            self._position, spoiled = _spoil(message, self._position, self._invalid.fault.position)
            self._invalid.happened += spoiled
        await self._whole.send_message(message)
        self._sent += 1
        if self._breaking and not self._breaking.over and self._sent >= self._breaking.fault.after:
            _break(self._breaking, self._name, self._whole)


class StatusDetails(StatusDetailsCodecBase):
    """Puts details beside a status as Modal does, in the form of google.rpc.Status."""

    def encode(self, status: Status, message: str | None, details: Sequence[Message] | None) -> bytes:
        """The bytes of the trailer `grpc-status-details-bin`."""
        said = api_pb2.RPCStatus(code=status.value, message=message or "")
        for detail in details or ():
            said.details.add().Pack(detail, type_url_prefix="type.modal.com/")
        return said.SerializeToString()

    def decode(self, status: Status, message: str | None, data: bytes) -> Any:
        """A server receives no statuses."""
        raise NotImplementedError


def _break(breaking: Breaking, name: str, stream: Stream[Any, Any]) -> None:
    breaking.happened += 1
    if isinstance(breaking.fault, kinds.DroppedConnection):
        stream._stream._transport.abort()
        raise ConnectionResetError(f"The fault {breaking.id} dropped the connection of {name}.")
    raise GRPCError(Status.UNAVAILABLE, f"{name} is not available at the moment.")


async def _fail_build(message: str, stream: Stream[Any, Any]) -> None:
    await stream.recv_message()
    logs = [api_pb2.TaskLogs(data=f"{message}\n", task_state=api_pb2.TASK_STATE_ACTIVE)]
    await stream.send_message(api_pb2.ImageJoinStreamingResponse(task_logs=logs, entry_id="1"))
    result = api_pb2.GenericResult(status=api_pb2.GenericResult.GENERIC_STATUS_FAILURE, exception=message)
    await stream.send_message(api_pb2.ImageJoinStreamingResponse(result=result, entry_id="2", eof=True))


def _spoil(message: Any, position: int, broken: int) -> tuple[int, bool]:
    """Break the byte at `broken` if `message` holds it; returns the position after it, and whether it did.

    `position` is where it begins, unless it says so itself.
    """
    spoiled = False
    match message:
        case router_pb2.SandboxStdioReadV2Response() | router_pb2.TaskExecStdioReadResponse():
            start = getattr(message, "starting_offset", position)
            place = broken - start
            if spoiled := 0 <= place < len(message.data):
                message.data = message.data[:place] + BROKEN + message.data[place + 1 :]
            return start + len(message.data), spoiled
        case api_pb2.TaskLogsBatch():
            for item in message.items:
                size = len(item.data.encode())
                place = broken - position
                if 0 <= place < size:
                    spoiled = True
                    whole = item.data.encode()
                    item.data = (whole[:place] + BROKEN + whole[place + 1 :]).decode("utf-8", "replace")
                position += size
    return position, spoiled
