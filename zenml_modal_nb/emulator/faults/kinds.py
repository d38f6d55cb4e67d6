"""The faults there are: one frozen class each, whose fields are also the options of the command line.

`call` is the name of a call, with wildcards, e.g. `SandboxWait*`. `times` says how often the fault happens before
it is over. All times are in seconds, latencies in milliseconds.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_type_hints

from zenml_modal_nb.emulator.faults.latencies import PROFILES

KILLED = 137  # 128 + SIGKILL
STATUSES = ("PERMISSION_DENIED", "INVALID_ARGUMENT", "FAILED_PRECONDITION", "UNAUTHENTICATED", "INTERNAL")


@dataclass(frozen=True)
class NoCapacity:
    """Sandboxes with this GPU wait for a machine, as at Modal without a word; without `seconds`, until cleared.

    An empty `gpu` means any. The SDK gives up after 21 minutes; `refuse` brings about the same error at once.
    """

    gpu: str = ""
    seconds: float | None = None
    refuse: bool = False


@dataclass(frozen=True)
class SlowScheduling:
    """Every new sandbox waits this long before it starts."""

    seconds: float


@dataclass(frozen=True)
class Unavailable:
    """A call ends with UNAVAILABLE after this many answers of its stream; 0: before the first."""

    call: str = "*"
    after: int = 0
    times: int = 1


@dataclass(frozen=True)
class DroppedConnection:
    """The connection of a call is reset after this many answers of its stream; 0: before the first."""

    call: str = "*"
    after: int = 0
    times: int = 1


@dataclass(frozen=True)
class RateLimit:
    """A call is refused with RESOURCE_EXHAUSTED and Modal's instruction when to try again."""

    call: str = "*"
    retry_after: float = 1.0
    times: int = 1


@dataclass(frozen=True)
class Refusal:
    """A call is refused with this status and message, e.g. of what a workspace's plan does not include.

    Which status Modal gives for that is not documented.
    """

    call: str = "SandboxCreate*"
    message: str = "Region selection is not available on the workspace's plan."
    status: str = "PERMISSION_DENIED"
    times: int = 1


@dataclass(frozen=True)
class Preemption:
    """A sandbox that has run for `after` is interrupted, and killed when it is still there after `grace`.

    Modal documents SIGINT and 30 seconds for functions; that sandboxes get the same is not verified.
    """

    after: float = 0.0
    grace: float = 30.0
    code: int = KILLED
    times: int = 1


@dataclass(frozen=True)
class OutOfMemory:
    """A sandbox that has run for `after` is killed for the memory it uses."""

    after: float = 0.0
    code: int = KILLED
    times: int = 1


@dataclass(frozen=True)
class LostWorker:
    """The machine of a sandbox that has run for `after` is gone, with its command router and unread V2 output.

    Which exit code Modal then reports is not documented; the default is a guess.
    """

    after: float = 0.0
    code: int = KILLED
    times: int = 1


@dataclass(frozen=True)
class BuildFailure:
    """An image that has to be built fails to, with this as the last line of its log."""

    message: str = "RUN failed with exit code 1"
    times: int = 1


@dataclass(frozen=True)
class LogRetention:
    """New V2 sandboxes keep this many of the most recent bytes of each output stream."""

    size: int


@dataclass(frozen=True)
class InvalidUtf8:
    """Byte `position` of every output stream is broken: 0xFF from the command router, U+FFFD in a V1 log.

    A V1 log travels as text, which cannot hold a broken byte.
    """

    position: int = 0


@dataclass(frozen=True)
class LateCommits:
    """What is committed to a volume can be listed and read through the API this much later only.

    A mount shows it at its next reload all the same.
    """

    seconds: float


@dataclass(frozen=True)
class Latency:
    """Every answer comes later: by so many `milliseconds`, or as the `profile` says for each call.

    A block or blob that goes over HTTP counts as the call `TransferPut` or `TransferGet`. See
    `latencies`; the profile `modal` makes overhead that is measured here honest about round trips.
    """

    milliseconds: float | None = None
    profile: str = ""
    call: str = "*"


Fault = (
    NoCapacity
    | SlowScheduling
    | Unavailable
    | DroppedConnection
    | RateLimit
    | Refusal
    | Preemption
    | OutOfMemory
    | LostWorker
    | BuildFailure
    | LogRetention
    | InvalidUtf8
    | LateCommits
    | Latency
)


def kind_of(fault: Fault | type[Fault]) -> str:
    """A fault's name on the command line, e.g. `no-capacity`."""
    name = fault.__name__ if isinstance(fault, type) else type(fault).__name__
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()


KINDS: Mapping[str, type[Fault]] = {kind_of(kind): kind for kind in get_args(Fault)}


def to_fields(fault: Fault) -> dict[str, Any]:
    """The fault as plain values, for `from_fields`."""
    return {"kind": kind_of(fault), **dataclasses.asdict(fault)}


def from_fields(fields: Mapping[str, Any]) -> Fault:
    """The fault of these values; raises ValueError with what is wrong."""
    said = dict(fields)
    kind = KINDS.get(str(said.pop("kind", "")))
    if kind is None:
        raise ValueError(f"There are these faults: {', '.join(KINDS)}.")
    wanted = get_type_hints(kind)
    for name, value in said.items():
        if name not in wanted or not _fits(value, wanted[name]):
            raise ValueError(f"The fault {kind_of(kind)} has no {name} = {value!r}.")
    try:
        fault: Fault = kind(**said)
    except TypeError as error:
        missing = [field.name for field in dataclasses.fields(kind) if field.name not in said]
        raise ValueError(f"The fault {kind_of(kind)} needs one of {', '.join(missing)}.") from error
    if isinstance(fault, Latency) and (fault.milliseconds is None) == (fault.profile not in PROFILES):
        raise ValueError(
            f"The fault latency needs milliseconds, or one of the profiles {', '.join(PROFILES)}."
        )
    if isinstance(fault, Refusal) and fault.status not in STATUSES:
        raise ValueError(f"The fault refusal has one of the statuses {', '.join(STATUSES)}.")
    return fault


def _fits(value: object, hint: Any) -> bool:
    kinds = get_args(hint) or (hint,)
    if value is None or isinstance(value, bool):
        return type(value) in kinds
    # `not >=` would let nan pass
    if isinstance(value, int | float) and not value >= 0:
        return False
    return type(value) in kinds or (type(value) is int and float in kinds)
