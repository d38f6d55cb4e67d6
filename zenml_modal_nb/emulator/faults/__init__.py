"""Faults on demand: what goes wrong at Modal, made to happen here, so that a client can be tried against it.

    from zenml_modal_nb.emulator import faults, running

    with running(faults=[faults.NoCapacity(gpu="H100", seconds=5)]) as server:
        ...
        server.faults.add(faults.LostWorker())

On the command line: `python -m zenml_modal_nb.emulator fault add no-capacity --gpu H100 --seconds 5`.
"""

from __future__ import annotations

from zenml_modal_nb.emulator.faults.control import FaultControl, ListedFault
from zenml_modal_nb.emulator.faults.kinds import (
    BuildFailure,
    DroppedConnection,
    Fault,
    InvalidUtf8,
    LateCommits,
    Latency,
    LogRetention,
    LostWorker,
    NoCapacity,
    OutOfMemory,
    Preemption,
    RateLimit,
    Refusal,
    SlowScheduling,
    Unavailable,
)

__all__ = [
    "BuildFailure",
    "DroppedConnection",
    "Fault",
    "FaultControl",
    "InvalidUtf8",
    "LateCommits",
    "Latency",
    "ListedFault",
    "LogRetention",
    "LostWorker",
    "NoCapacity",
    "OutOfMemory",
    "Preemption",
    "RateLimit",
    "Refusal",
    "SlowScheduling",
    "Unavailable",
]
