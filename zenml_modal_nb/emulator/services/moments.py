"""Points in time on the wire."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

from zenml_modal_nb.emulator.state.refusals import InvalidArgumentError

SECOND = 1_000_000_000  # nanoseconds


def nanoseconds_of(wire: Timestamp) -> int:
    """Nanoseconds since 1970; raises InvalidArgumentError for what is no point in time."""
    try:
        return wire.ToNanoseconds()
    except ValueError as error:
        raise InvalidArgumentError(f"This is not a point in time: {error}") from error


def timestamp_of(nanoseconds: int) -> Timestamp:
    """The wire's form of nanoseconds since 1970."""
    stamp = Timestamp()
    stamp.FromNanoseconds(nanoseconds)
    return stamp
