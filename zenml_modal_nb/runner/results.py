"""What goes back: the cell's outputs as one graph, and the reason for each that cannot."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from zenml_modal_nb.runner import frames, pickling
from zenml_modal_nb.runner.cell import Outcome
from zenml_modal_nb.runner.functions import Namespace
from zenml_modal_nb.runner.output import Output
from zenml_modal_nb.runner.pickling import Values

Dump = Callable[[Any], Values]

_INLINE_LIMIT = 4096  # bytes
_FILE = "out/result.zmnb"
_SEARCH_SECONDS = 1.0  # for the place, within a value, of what cannot travel


@dataclass(frozen=True, slots=True)
class Result:
    """Made by `collect`, sent by `send`."""

    values: Values
    names: tuple[str, ...]
    lost: dict[str, str]
    last: bool  # the values hold the last expression's


def collect(
    namespace: Namespace, outputs: tuple[str, ...], last: Any, *, definitions: bool = False
) -> Result:
    """Pickle the outputs that are bound, together with the last value unless that is None."""
    dump = partial(pickling.dump, namespace=namespace, definitions=definitions)
    bound = {name: namespace[name] for name in outputs if name in namespace}
    wanted = {} if last is None else {"last": last}
    try:
        return Result(dump({"values": bound, **wanted}), tuple(bound), {}, last is not None)
    except Exception:  # noqa: BLE001, S110  # pickling runs the objects' own code; below, each says its own reason
        pass
    lost = {
        name: reason for name, value in bound.items() if (reason := _reason(value, name, dump)) is not None
    }
    if last is not None and _failure(last, dump) is not None:
        wanted = {}
    kept = {name: value for name, value in bound.items() if name not in lost}
    return Result(dump({"values": kept, **wanted}), tuple(kept), lost, bool(wanted))


def store(result: Result, directory: Path) -> dict[str, Any]:
    """Put large values on the disk, safely; returns the fields that say where they are. Raises OSError."""
    if result.values.size <= _INLINE_LIMIT:
        return {"inline": base64.b64encode(bytes(result.values)).decode()}
    return _stored(result.values, directory)


def send(result: Result, place: dict[str, Any], outcome: Outcome, output: Output, directory: Path) -> None:
    """Send the last frame of the run; `place` comes from `store`. Raises OSError."""
    fields: dict[str, Any] = {
        "ok": outcome.error is None,
        "seconds": round(outcome.seconds, 6),
        "names": list(result.names),
        "lost": result.lost,
        "last": result.last,
        "stderr": output.position("stderr"),
    }
    try:
        output.emit("result", {**fields, **place}, last=True)
    except frames.FrameTooLongError:  # a file holds the names too, and the first reasons tell enough
        few = {name[:80]: reason[:80] for name, reason in list(result.lost.items())[:40]}
        place = place if "file" in place else _stored(result.values, directory)
        output.emit("result", {**fields, "names": [], "lost": few, **place}, last=True)


def _stored(values: Values, directory: Path) -> dict[str, Any]:
    with (directory / _FILE).open("wb") as file:
        values.write(file)
        file.flush()
        os.fsync(file.fileno())
    return {"file": _FILE, "size": values.size, "sha256": values.sha256}


def _reason(value: Any, name: str, dump: Dump) -> str | None:
    """Say why a value cannot travel, None if it can; with the place inside it, e.g. `state["lock"]`."""
    error = _failure(value, dump)
    if error is None:
        return None
    place, until = name, time.monotonic() + _SEARCH_SECONDS
    inner: tuple[str, Any, Exception] | None = (place, value, error)
    while inner is not None:
        place, value, error = inner
        inner = _offender(place, value, dump, until)
    text = f"{type(error).__name__}: {error}"
    return (text if place == name else f"{place}: {text}")[:300]


def _offender(place: str, value: Any, dump: Dump, until: float) -> tuple[str, Any, Exception] | None:
    for path, member in _members(place, value):
        if time.monotonic() > until or len(path) > 120:
            return None
        error = _failure(member, dump)
        if error is not None:
            return path, member, error
    return None


def _members(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, member in list(value.items()):
            yield f"{place}[{key!r}]" if isinstance(key, str | int) else f"{place}[…]", member
    elif isinstance(value, list | tuple):
        for index, member in enumerate(value):
            yield f"{place}[{index}]", member
    elif not isinstance(value, type) and isinstance(getattr(value, "__dict__", None), dict):
        for key, member in list(vars(value).items()):
            yield f"{place}.{key}", member


def _failure(value: Any, dump: Dump) -> Exception | None:
    try:
        dump(value)
    except Exception as error:  # noqa: BLE001  # pickling runs the objects' own code
        return error
    return None
