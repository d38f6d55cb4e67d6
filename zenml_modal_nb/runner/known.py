"""What a run's inputs held before the cell, and what of it has changed since."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import is_
from pathlib import Path
from typing import Any

from zenml_modal_nb.runner import memory
from zenml_modal_nb.runner.adoption import can_adopt
from zenml_modal_nb.runner.allocation import Memory
from zenml_modal_nb.runner.collection import put_off
from zenml_modal_nb.runner.fingerprints import Fingerprint, Fingerprints
from zenml_modal_nb.runner.functions import Namespace
from zenml_modal_nb.runner.kinds import (
    ARRAY,
    ATOMS,
    BYTES,
    CLASS,
    FIXED,
    FUNCTION,
    Kind,
    Parts,
    difference,
    kind_of,
    same,
)
from zenml_modal_nb.runner.shipment import Segment
from zenml_modal_nb.runner.survey import holdings_of_fixed
from zenml_modal_nb.runner.tables import arrays_of_tables


@dataclass(frozen=True, slots=True)
class _Memory:
    """An array before the cell: how its memory is laid out, and what tells whether it holds the same."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: Any
    token: object


Before = Parts | Fingerprint | _Memory | None


@dataclass(frozen=True, slots=True)
class Change:
    """One object that holds something else now; `how` says what the notebook does with `content`.

    "parts" are for `kinds.Kind.put`, "memory" is a buffer, "elements" are those of an array of objects, "state" is
    for `adoption.adopt`.
    """

    number: int
    how: str
    content: Any


class Known:
    """The objects that the notebook knows too, in its order; made before the cell, asked once after it.

    They live until the end of the run, so that whatever the cell did to them can be told.
    """

    def __init__(
        self,
        objects: Sequence[Any],
        namespace: Namespace,
        path: Path,
        origins: Mapping[int, tuple[Memory, int | Segment]],
        missed: Sequence[str] = (),
    ) -> None:
        self.missed = sorted({*missed})  # devices of the notebook that are not here
        self._objects = objects
        self._numbers = {id(each): number for number, each in enumerate(objects)}
        self._given_up: set[int] = set()  # IDs of objects that have to be made anew
        self._kinds: dict[type, Kind | None] = {}
        self._fingerprints = Fingerprints(namespace, self._numbers, path, origins)
        self._of_tables = {id(each) for each in arrays_of_tables(objects)}
        with put_off():
            self._before = [self._seen(each) for each in objects]

    @property
    def shared(self) -> list[Any]:
        """The objects as a `Writer` wants them; in the place of one that is made anew stands nothing known."""
        return [object() if id(each) in self._given_up else each for each in self._objects]

    def is_given_up(self, obj: object) -> bool:
        """Tell whether the notebook's object cannot become what this one is now."""
        return id(obj) in self._given_up

    def changes(self) -> list[Change]:
        """Return what has changed.

        What cannot be changed in place, e.g. an array with another shape, stops being known: it is written anew
        wherever something refers to it. What cannot be pickled any more says so when it is written.
        """
        changed: dict[int, Change] = {}
        with put_off():
            while given_up := self._look(changed):
                self._given_up |= given_up
                for each in given_up:
                    del self._numbers[each]
        return list(changed.values())

    def failure(self, content: Any) -> Exception | None:
        """Return what is raised when something is written, None if it can be."""
        try:
            self._fingerprints.of_content(content)
        except Exception as error:  # noqa: BLE001  # pickling runs the objects' own code
            return error
        return None

    def number(self, obj: object) -> int | None:
        """Return an object's number, None if the notebook does not know it."""
        return self._numbers.get(id(obj))

    def reaching(self, variables: Mapping[str, Any], numbers: Collection[int]) -> list[str]:
        """Return the variables from which one of these objects can be reached."""
        without: set[int] = set()  # objects from which none can be reached

        def reaches(start: int | None) -> bool:
            todo, seen = [] if start is None else [start], set[int]()
            while todo:
                number = todo.pop()
                if number in numbers:
                    return True
                if number not in seen and number not in without:
                    seen.add(number)
                    todo += self._held(number)
            without.update(seen)
            return False

        return [name for name, value in variables.items() if reaches(self.number(value))]

    def below(self, values: Iterable[Any]) -> set[int]:
        """Return the known objects that can be reached from some values."""
        return _closure((n for value in values for n in self._inside(value)), self._held)

    def _look(self, changed: dict[int, Change]) -> set[int]:
        """Add what has changed; return the IDs of what cannot be changed in place."""
        given_up: set[int] = set()
        for number, (obj, before) in enumerate(zip(self._objects, self._before, strict=True)):
            if not self._given_up and _is_as_it_was(obj, before):
                continue
            if number not in changed and id(obj) not in self._given_up:
                found = self._change(obj, before)
                if found is None:
                    given_up.add(id(obj))
                elif found:
                    changed[number] = Change(number, *found)
        return given_up

    def _seen(self, obj: Any) -> Before:
        try:
            return self._taken(obj)
        except Exception:  # noqa: BLE001  # an object that arrived and cannot be pickled here: nobody can compare it
            return None

    def _taken(self, obj: Any) -> Before:
        if type(obj) is dict:
            both = list(obj), list(obj.values())
            if self._tells_all(both[0]) and self._tells_all(both[1]):
                return both
        kind = self._kind(type(obj))
        if kind is FIXED or kind is None:
            return None
        if kind is BYTES or (kind is ARRAY and not obj.dtype.hasobject):
            token = self._fingerprints.of_buffer(memory.of(obj))
            return _Memory(*_layout(obj), token)
        if kind.parts is None and kind is not ARRAY:
            return self._fingerprints.of_content(self._fingerprints.reduction(obj))
        parts = _parts(kind, obj)
        if kind is CLASS or kind is FUNCTION or self._tell_all(parts):
            return parts
        return self._fingerprints.of_content(parts)

    def _change(self, obj: Any, before: Before) -> tuple[str, Any] | tuple[()] | None:
        """Return how an object has changed: `how` and content, nothing for not at all, None for not in place."""
        kind = self._kind(type(obj))
        if isinstance(before, _Memory):
            return self._change_of_memory(obj, before)
        if before is None or kind is None:  # nothing to compare
            return None if self._refers_to_given_up(holdings_of_fixed(obj)) else ()
        try:
            if kind.parts is None and kind is not ARRAY:
                reduced = self._fingerprints.reduction(obj)
                if isinstance(before, Fingerprint) and self._fingerprints.is_same(before, reduced):
                    return ()
                return ("state", reduced) if can_adopt(obj, reduced) else None
            after = _parts(kind, obj)
            if isinstance(before, Fingerprint):
                if self._fingerprints.is_same(before, after):
                    return ()
            elif same(before, after) and not any(map(self._refers_to_given_up, after)):
                return ()
            if kind is ARRAY:
                return ("elements", obj.copy()) if obj.flags.writeable else None
            if kind is CLASS and not isinstance(before, Fingerprint):
                return "parts", difference(before, after, self._given_up)
            return "parts", after
        except Exception as error:  # noqa: BLE001  # an object's own methods may raise anything when it is pickled
            return "parts", Unwritable(error)

    def _change_of_memory(self, obj: Any, before: _Memory) -> tuple[str, Any] | tuple[()] | None:
        content = memory.of(obj)
        layout = before.shape, before.strides, before.dtype
        if layout != _layout(obj):
            return None
        if self._fingerprints.is_same_buffer(before.token, content):
            return ()
        return None if id(obj) in self._of_tables else ("memory", content)

    def _tell_all(self, parts: Parts) -> bool:
        """Tell whether all that can change in these is known: then comparing references is enough."""
        return all(map(self._tells_all, parts))

    def _tells_all(self, group: list[Any]) -> bool:
        if ATOMS.issuperset(map(type, group)):
            return True
        numbers = self._numbers
        doubtful = [each for each in group if type(each) not in ATOMS and id(each) not in numbers]
        return not doubtful or all(map(self._is_told, self._mutable(doubtful)))

    def _is_told(self, obj: Any) -> bool:
        if id(obj) in self._numbers:
            return True
        return self._kind(type(obj)) is FIXED and self._tell_all((holdings_of_fixed(obj),))

    def _mutable(self, group: Iterable[Any]) -> Iterator[Any]:
        """Leave out plain values, and functions and classes that are found by their names."""
        types = set(map(type, group)) - ATOMS
        kept = {cls for cls in types if self._kind(cls) not in (None, FUNCTION, CLASS)}
        return (each for each in group if type(each) in kept) if kept else iter(())

    def _refers_to_given_up(self, group: Iterable[Any]) -> bool:
        return bool(self._given_up) and any(id(each) in self._given_up for each in group)

    def _held(self, number: int) -> Iterable[int]:
        """The numbers of the objects that one refers to now."""
        obj, before = self._objects[number], self._before[number]
        if type(obj) is list and type(before) is tuple:
            return self._numbers_in((obj,))
        own = self._numbers.get(id(type(obj)))
        return self._held_by(obj, before) if own is None else [own, *self._held_by(obj, before)]

    def _held_by(self, obj: Any, before: Before) -> Iterable[int]:
        kind = self._kind(type(obj))
        if kind is FIXED:
            return self._numbers_in((holdings_of_fixed(obj),))
        if isinstance(before, Fingerprint):
            try:
                parts = (
                    self._fingerprints.reduction(obj)
                    if kind is None or kind.parts is None
                    else kind.parts(obj)
                )
                return self._fingerprints.of_content(parts).seen
            except Exception:  # noqa: BLE001  # as in `_change`, where it is told
                return before.seen
        if kind is None or before is None or isinstance(before, _Memory):
            return ()
        return self._numbers_in(_parts(kind, obj))

    def _inside(self, value: Any) -> Iterable[int]:
        number = self.number(value)
        if number is not None:
            return [number]
        try:
            return self._fingerprints.of_content(value).seen
        except Exception:  # noqa: BLE001  # it does not come back either, which is said there
            return ()

    def _numbers_in(self, parts: Parts | tuple[list[Any]]) -> list[int]:
        numbers = self._numbers
        groups = (group for group in parts if not ATOMS.issuperset(map(type, group)))
        return [numbers[id(each)] for group in groups for each in group if id(each) in numbers]

    def _kind(self, cls: type) -> Kind | None:
        try:
            return self._kinds[cls]
        except KeyError:
            return self._kinds.setdefault(cls, kind_of(cls))


class Unwritable:
    """Takes the place of what cannot be pickled; raises the reason when it is."""

    def __init__(self, reason: Exception) -> None:
        self._reason = reason

    def __reduce_ex__(self, protocol: object) -> Any:
        raise self._reason


def _is_as_it_was(obj: Any, before: Before) -> bool:
    """Tell, the quick way, whether a list or a dictionary has not changed: there may be millions of them."""
    if type(before) is not tuple:
        return False
    if type(obj) is list:
        return len(obj) == len(before[0]) and all(map(is_, obj, before[0]))
    if type(obj) is not dict or len(obj) != len(before[0]):
        return False
    return all(map(is_, obj, before[0])) and all(map(is_, obj.values(), before[1]))


def _parts(kind: Kind, obj: Any) -> Parts:
    return (list(obj.flat),) if kind.parts is None else kind.parts(obj)


def _layout(obj: Any) -> tuple[tuple[int, ...], tuple[int, ...], Any]:
    return getattr(obj, "shape", ()), getattr(obj, "strides", ()), getattr(obj, "dtype", None)


def _closure(start: Iterable[int], following: Any) -> set[int]:
    found: set[int] = set()
    todo = list(start)
    while todo:
        number = todo.pop()
        if number not in found:
            found.add(number)
            todo += following(number)
    return found
