"""How long Modal's answers take: tables of milliseconds by call.

The profile `modal` stands for a client with a good connection on the same continent. Its figures are assumptions
of the right order, not measurements: a round trip over the internet (40 ms), a look-up in Modal's database, a
sandbox placed on a warm machine, a stream opened to a worker. What they are for is the sum over the round trips
of a run, which on loopback would all be free.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

ROUND_TRIP = 40.0

# The first pattern that fits a call counts.
_MODAL: Sequence[tuple[str, float]] = (
    ("ClientHello", ROUND_TRIP),
    ("SandboxCreate", ROUND_TRIP + 160.0),
    ("SandboxCreateV2", ROUND_TRIP + 260.0),  # answers with the task placed
    ("SandboxGetTaskId*", ROUND_TRIP + 200.0),
    ("ImageGetOrCreate", ROUND_TRIP + 60.0),
    ("ImageJoinStreaming", ROUND_TRIP + 100.0),
    ("*GetOrCreate", ROUND_TRIP + 30.0),
    ("MountPutFile", ROUND_TRIP + 60.0),
    ("Volume*", ROUND_TRIP + 60.0),
    ("SandboxTerminate*", ROUND_TRIP + 60.0),
    (
        "Transfer*",
        ROUND_TRIP + 30.0,
    ),  # each block of a volume or blob, put or got over HTTP: an object store's answer
    ("TaskExecStart", ROUND_TRIP + 40.0),
    ("*", ROUND_TRIP + 10.0),
)

PROFILES: Mapping[str, Sequence[tuple[str, float]]] = {"modal": _MODAL}


def milliseconds_of(profile: str, call: str) -> float:
    """What the profile adds to a call."""
    return next(time for pattern, time in PROFILES[profile] if fnmatchcase(call, pattern))
