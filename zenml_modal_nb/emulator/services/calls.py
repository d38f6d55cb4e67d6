"""From plain methods to gRPC handlers: messages in and out, refusals as statuses, the rest UNIMPLEMENTED."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from google.protobuf.message import DecodeError
from grpclib import GRPCError, Status
from grpclib.const import Cardinality, Handler
from grpclib.server import Stream

from zenml_modal_nb.emulator.state.refusals import (
    AlreadyExistsError,
    ConflictError,
    InvalidArgumentError,
    NoCapacityError,
    NotFoundError,
    RefusedError,
    TooLargeError,
    UnauthenticatedError,
    UnavailableError,
    UnsupportedError,
)

# The SDK writes at most 16 MiB of standard input at once; a build context file travels in one message.
LARGEST_MESSAGE = 64 * 1024 * 1024  # bytes

_STATUSES: dict[type[RefusedError], Status] = {
    UnauthenticatedError: Status.UNAUTHENTICATED,
    NotFoundError: Status.NOT_FOUND,
    InvalidArgumentError: Status.INVALID_ARGUMENT,
    AlreadyExistsError: Status.ALREADY_EXISTS,
    ConflictError: Status.FAILED_PRECONDITION,
    TooLargeError: Status.RESOURCE_EXHAUSTED,
    NoCapacityError: Status.RESOURCE_EXHAUSTED,
    UnavailableError: Status.UNAVAILABLE,
    UnsupportedError: Status.UNIMPLEMENTED,
}

# A call's method takes the request (an iterator of requests if the client streams) and returns the response,
# or iterates over responses if the server streams. The wire's types are checked when they are encoded.
Method = Callable[[Any], Any]


class Service(Protocol):
    """The calls of one topic."""

    def methods(self) -> Mapping[str, Method]:
        """Methods by the name of the call, e.g. `AppGetOrCreate`."""


class Servable:
    """What grpclib serves: a handler for every call of one gRPC service.

    `methods` are those of the services by the path of their call, None where no service has the call. `unknown` are
    the calls that we could answer and the installed protocol has not, e.g. those that came with a later SDK.
    """

    def __init__(
        self,
        mapping: Mapping[str, Handler],
        methods: Mapping[str, Method | None],
        unknown: Collection[str] = (),
    ) -> None:
        self._mapping = mapping
        self.methods = methods
        self.unknown = unknown

    def __mapping__(self) -> Mapping[str, Handler]:
        return self._mapping


def assemble(base: type, services: Sequence[Service]) -> Servable:
    """Answer the calls of grpclib's generated `base` with `services`, and refuse all others by name.

    A method whose call the base has not is left out: the protocol comes with the SDK, and an older one has fewer calls.
    """
    methods = {name: method for service in services for name, method in service.methods().items()}
    # A subclass with every abstract method filled gives the calls' types, which only instances can tell.
    blank: Any = type("Blank", (base,), dict.fromkeys(getattr(base, "__abstractmethods__"), None))  # noqa: B009  mypy
    mapping: dict[str, Handler] = {}
    served: dict[str, Method | None] = {}
    for path, handler in blank().__mapping__().items():
        name = path.rpartition("/")[2]
        served[path] = methods.pop(name, None)
        method = served[path] or _unimplemented(name)
        mapping[path] = handler._replace(func=adapter(method, handler.cardinality, handler.request_type))
    return Servable(mapping, served, unknown=sorted(methods))


def refusal(error: RefusedError) -> GRPCError:
    """The gRPC status of a refusal."""
    return GRPCError(_STATUSES.get(type(error), Status.UNKNOWN), str(error))


def _unimplemented(name: str) -> Method:
    async def refuse(_: object) -> None:
        raise UnsupportedError(f"The local Modal API does not implement {name}. Run this on Modal.")

    return refuse


def adapter(
    method: Method, cardinality: Cardinality, request_type: Any
) -> Callable[[Stream[Any, Any]], Awaitable[None]]:
    """What grpclib runs for a call that `method` answers."""

    async def handle(stream: Stream[Any, Any]) -> None:
        try:
            request: Any
            if cardinality.client_streaming:
                request = _requests(stream, request_type)
            else:
                request = await _receive(stream, request_type)
                if request is None:
                    raise InvalidArgumentError("The call carries no message.")
            answer = method(request)
            if cardinality.server_streaming and hasattr(answer, "__aiter__"):
                async for message in answer:
                    await stream.send_message(message)
            else:
                await stream.send_message(await answer)
        except RefusedError as error:
            raise refusal(error) from error

    return handle


async def _requests(stream: Stream[Any, Any], request_type: Any) -> AsyncIterator[Any]:
    while (message := await _receive(stream, request_type)) is not None:
        yield message


async def _receive(stream: Stream[Any, Any], request_type: Any) -> Any:
    """The next message or None; grpclib's own would read any announced size (up to 4 GiB) into memory."""
    body = stream._stream
    prefix = await body.recv_data(5)
    if not prefix:
        return None
    compressed, size = struct.unpack(">?I", prefix)
    if compressed:
        raise UnsupportedError("Compressed messages are not supported.")
    if size > LARGEST_MESSAGE:
        raise TooLargeError(f"A message of {size} bytes is larger than {LARGEST_MESSAGE}.")
    try:
        return request_type.FromString(await body.recv_data(size))
    except DecodeError as error:
        raise InvalidArgumentError("The message is not valid protobuf.") from error
    except AssertionError as error:
        # grpclib's own word for a stream that ends within a message
        raise InvalidArgumentError("The message is shorter than announced.") from error
