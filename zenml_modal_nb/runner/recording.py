"""What a connected cell's ZenML step records; its process has nothing of ours and reads it with plain cloudpickle."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import cloudpickle

FILE = "out/record.pickle"


def write(place: Path, declared: Iterable[str], others: Iterable[str], namespace: Mapping[str, Any]) -> None:
    """Write each value as a pickle of its own, or as text the reason why there is none. Raises OSError."""
    record = {
        "outputs": {name: _pickled(name, namespace) for name in declared},
        "others": {name: _pickled(name, namespace) for name in others},
    }
    (place / FILE).write_bytes(pickle.dumps(record))


def _pickled(name: str, namespace: Mapping[str, Any]) -> bytes | str:
    if name not in namespace:
        return f"{name} was not bound by the cell"
    try:
        pickled: bytes = cloudpickle.dumps(namespace[name])
    except Exception as error:  # noqa: BLE001 - pickling runs the object's own code
        return f"{name} could not be recorded: {type(error).__name__}: {error}"[:300]
    return pickled
