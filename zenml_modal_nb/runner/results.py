"""What goes back: what the cell bound, changed and deleted, as one graph, and the reason for each that cannot."""

from __future__ import annotations

import base64
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from zenml_modal_nb.runner import digests, frames, offenders
from zenml_modal_nb.runner.cell import Outcome, Run
from zenml_modal_nb.runner.functions import Namespace
from zenml_modal_nb.runner.known import Change, Known
from zenml_modal_nb.runner.output import Output
from zenml_modal_nb.runner.pickling import Values, Writer

LARGE = 32 << 20  # bytes; for more, the filesystem API of a sandbox takes longer than a volume and its commit
LAST = "the last expression's value"  # among the names of what is lost

_INLINE_LIMIT = 4096  # bytes
_FILE = "out/result.zmnb"
_PART = 4  # blocks of a large result that are one file in a volume


@dataclass(frozen=True, slots=True)
class Result:
    """Made by `collect`, sent by `send`."""

    values: Values
    names: tuple[str, ...]
    lost: Mapping[str, str]
    last: bool  # the values hold the last expression's
    changed: tuple[str, ...] = ()  # variables that the cell has not bound and whose objects it has changed


@dataclass(frozen=True, slots=True)
class _Delivery:
    """What is to be written."""

    named: Mapping[str, Any]
    changes: tuple[Change, ...]
    head: Mapping[str, Any]
    last: tuple[Any, ...]  # of one value, or empty
    lost: Mapping[str, str] = field(default_factory=dict)


def collect(
    run: Run,
    namespace: Namespace,
    arrived: Mapping[str, Any],
    known: Known,
    last: Any,
    session: Mapping[str, bytes],
) -> Result:
    """Pickle what the cell has done to its variables since they `arrived`, and the last value unless it is None.

    `session` are the changes to what no variable holds.
    """
    changes = known.changes()
    wanted = {*run.outputs} if run.narrowed else {*run.outputs, *arrived}
    named = {name: namespace[name] for name in run.outputs if name in namespace}
    if run.narrowed:
        told = known.below([*named.values(), last])
        changes = [change for change in changes if change.number in told]
    else:
        # e.g. an array that has another shape now: the variable has to refer to a new one
        anew = (name for name, value in namespace.items() if name in arrived and known.is_given_up(value))
        named |= {name: namespace[name] for name in anew}
    touched = {change.number for change in changes}
    candidates = {name: namespace[name] for name in arrived if name in namespace} if touched else {}
    head = {
        "changed": known.reaching(candidates, touched),
        "deleted": [name for name in arrived if name in wanted and name not in namespace],
        "session": session,
        "imported": [each for each in run.imports if _is_imported(*each, namespace, arrived)],
        "stale": [],
        "missed": known.missed,
    }
    delivery = _Delivery(named, tuple(changes), head, () if last is None else (last,))
    try:
        values = _pickled(delivery, namespace, known)
    except Exception:  # noqa: BLE001  # pickling runs the objects' own code; below, each says its own reason
        delivery = _without_lost(delivery, namespace, known)
        values = _pickled(delivery, namespace, known)
    return Result(
        values, tuple(delivery.named), delivery.lost, bool(delivery.last), tuple(delivery.head["changed"])
    )


def _is_imported(name: str, module: str, namespace: Namespace, arrived: Mapping[str, Any]) -> bool:
    """Tell whether the cell got as far as to an import statement."""
    if name != "*":
        return name in namespace and (name not in arrived or namespace[name] is not arrived[name])
    found = vars(sys.modules.get(module, object))
    public = [each for each in found.get("__all__", found) if not each.startswith("_")]
    return bool(public) and all(namespace.get(each) is found.get(each) for each in public)


def nothing() -> Result:
    """Return the result of a cell of which nothing can be said."""
    none = Known((), {}, Path(), {})
    head: dict[str, Any] = {
        "changed": [],
        "deleted": [],
        "session": {},
        "imported": [],
        "stale": [],
        "missed": [],
    }
    empty = _Delivery({}, (), head, ())
    return Result(_pickled(empty, {}, none), (), {}, False)


def _pickled(delivery: _Delivery, namespace: Namespace, known: Known) -> Values:
    writer = Writer(namespace, known=known.shared, announced=delivery.named.values())
    memory = [change for change in delivery.changes if change.how == "memory"]
    others = [change for change in delivery.changes if change.how != "memory"]
    names = list(delivery.named)
    writer.add(
        {
            **delivery.head,
            "changes": [change.number for change in others],
            "names": names,
            "lost": dict(delivery.lost),
            "last": bool(delivery.last),
        }
    )
    # First, so that their bytes need no memory of their own in the notebook.
    writer.add_memory([(change.number, change.content) for change in memory])
    for change in others:
        writer.add((change.number, change.how, change.content))
    for value in (*delivery.named.values(), *delivery.last):
        writer.add(value)
    return writer.finish()


def _without_lost(delivery: _Delivery, namespace: Namespace, known: Known) -> _Delivery:
    lost = {
        name: reason
        for name, value in delivery.named.items()
        if (reason := offenders.reason(value, name, known.failure)) is not None
    }
    kept, stale = [], []
    for change in delivery.changes:
        error = None if change.how == "memory" else known.failure(change.content)
        if error is None:
            kept.append(change)
            continue
        changed = {name: namespace[name] for name in delivery.head["changed"]}
        names = known.reaching(changed, {change.number})
        for name in names or ["an object"]:
            stale.append(name)
            lost.setdefault(name, _changed_reason(namespace.get(name), name, change, error, known))
    return replace(
        delivery,
        named={name: value for name, value in delivery.named.items() if name not in lost},
        changes=tuple(kept),
        head={**delivery.head, "stale": stale},
        last=tuple(value for value in delivery.last if known.failure(value) is None),
        lost=lost,
    )


def _changed_reason(value: Any, name: str, change: Change, error: Exception, known: Known) -> str:
    # The variable's own pickle only refers to what the notebook knows: look below it.
    place = f"{name}: " if known.number(value) != change.number else ""
    for path, member in offenders.members(name, value):
        found = known.failure(member)
        if found is not None:
            place, error = f"{path}: ", found
            break
    return f"what the cell changed in it cannot come back: {place}{type(error).__name__}: {error}"[:300]


class Store:
    """Where a result waits to be read; made by `program`.

    Large ones go to our volume, if it is mounted, in parts with a `name` of the run's own: a sandbox's files are read
    more slowly than a volume's, and a part is read while the next is written. `tell` hears of each.
    """

    def __init__(
        self, directory: Path, volume: str | None, name: str, tell: Callable[[dict[str, Any]], None]
    ) -> None:
        self._directory = directory
        self._volume = volume
        self._name = name
        self._tell = tell

    def put(self, result: Result) -> dict[str, Any]:
        """Put large values on a disk, safely; returns the fields that say where they are. Raises OSError."""
        values = result.values
        if values.size <= _INLINE_LIMIT:
            return {"inline": base64.b64encode(bytes(values)).decode()}
        if self._volume is not None and values.size >= LARGE:
            try:
                return self._put_into_volume(values, Path(self._volume))
            except OSError:  # e.g. no space there: the sandbox's own disk may have some
                traceback.print_exc()
        return self.put_into_file(result)

    def put_into_file(self, result: Result) -> dict[str, Any]:
        """Put values of any size on the sandbox's own disk; the kernel lets only one thread write to a file."""
        values = result.values
        with (
            (self._directory / _FILE).open("wb") as file,
            ThreadPoolExecutor(os.cpu_count() or 1) as threads,
        ):
            found = threads.map(digests.of_parts, digests.split(values.pieces))
            values.write(file)
            file.flush()
            os.fsync(file.fileno())
            return {"file": _FILE, "size": values.size, "sha256": digests.joined(list(found))}

    def _put_into_volume(self, values: Values, volume: Path) -> dict[str, Any]:
        """Write one part after the other, and tell of each; the notebook's side asks for commits."""
        blocks = list(digests.split(values.pieces))
        parts: list[str] = []  # their digests
        with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
            found = [threads.submit(digests.of_parts, block) for block in blocks]
            try:
                for start in range(0, len(blocks), _PART):
                    part = blocks[start : start + _PART]
                    name = f"{self._name}-{len(parts)}.zmnb"
                    with (volume / name).open("wb") as file:
                        for block in part:
                            file.writelines(block)
                    parts.append(digests.joined([each.result() for each in found[start : start + _PART]]))
                    size = sum(piece.nbytes for block in part for piece in block)
                    self._tell({"volume": name, "size": size, "sha256": parts[-1], "whole": values.size})
            except OSError:
                threads.shutdown(cancel_futures=True)
                for number in range(len(parts) + 1):
                    (volume / f"{self._name}-{number}.zmnb").unlink(missing_ok=True)
                raise
        return {"parts": len(parts), "size": values.size, "sha256": digests.joined(parts)}


def send(result: Result, place: dict[str, Any], outcome: Outcome, output: Output, store: Store) -> None:
    """Send the last frame of the run; `place` comes from the `store`. Raises OSError."""
    fields: dict[str, Any] = {
        "ok": outcome.error is None,
        "seconds": round(outcome.seconds, 6),
        "names": list(result.names),
        "lost": dict(result.lost),
        "last": result.last,
        "stderr": output.position("stderr"),
    }
    try:
        output.emit("result", {**fields, **place}, last=True)
    except frames.FrameTooLongError:  # a file holds the names too, and the first reasons tell enough
        few = {name[:80]: reason[:80] for name, reason in list(result.lost.items())[:40]}
        place = store.put_into_file(result) if "inline" in place else place
        output.emit("result", {**fields, "names": [], "lost": few, **place}, last=True)
