"""What came back from a sandbox, restored: new objects, and the notebook's own ones changed in place."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from zenml_modal_nb.errors import ResultError
from zenml_modal_nb.runner import devices, memory, pickling, session
from zenml_modal_nb.runner.adoption import adopt
from zenml_modal_nb.runner.blocks import DamagedValuesError
from zenml_modal_nb.runner.graph import Pickler
from zenml_modal_nb.runner.kinds import kind_of
from zenml_modal_nb.runner.results import LAST


@dataclass(frozen=True, slots=True)
class Returned:
    """What a cell has done; made by `restore`, which has changed the inputs already.

    `changed` are variables whose objects hold something else now, `lost` what could not come back, with the reason:
    variables, or `LAST`. Those of them that are `stale` hold what they held before the cell. `deleted` are those
    that the cell has deleted. `session` is for `runner.session.put`. `moved` are variables with arrays of a device
    that does not exist here, and the device.
    """

    named: Mapping[str, object] = field(default_factory=dict)
    last: object = None
    changed: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    lost: Mapping[str, str] = field(default_factory=dict)
    stale: frozenset[str] = frozenset()
    imported: frozenset[tuple[str, str]] = (
        frozenset()
    )  # names that import statements have bound, and the modules
    session: session.Packed = field(default_factory=dict)
    moved: Mapping[str, str] = field(default_factory=dict)


def restore(
    data: bytes | bytearray | memoryview, namespace: dict[str, Any], known: Sequence[object]
) -> Returned:
    """Restore a result; functions get the notebook's globals. What cannot be restored here does not lose the rest.

    Writable memory is given away: an array that is most of it may take it.

    Raises:
        ResultError: the result is damaged.
    """
    if not data:
        return Returned()
    missing = _Missing()
    try:
        with pickling.Reader(data, namespace, known, missing.stand_in, given=True) as reader:
            return _Restoration(reader, namespace, known, missing).run()
    except DamagedValuesError as error:
        raise ResultError(f"The result arrived damaged: {error}. Run the cell again.") from error


class _Restoration:
    def __init__(
        self, reader: pickling.Reader, namespace: dict[str, Any], known: Sequence[Any], missing: _Missing
    ) -> None:
        self._reader = reader
        self._namespace = namespace
        self._known = known
        self._missing = missing
        self._lost: dict[str, str] = {}
        self._stale: set[str] = set()
        self._moved: dict[str, str] = {}
        self._not_there: Collection[str] = ()  # devices that the sandbox has not

    def run(self) -> Returned:
        head = self._reader.read()
        self._lost |= head["lost"]
        self._stale |= {*head["stale"]}
        changed = tuple(head["changed"])
        self._not_there = head["missed"]
        steps = [(number, self._memory(number, content)) for number, content in self._reader.read_memory()]
        for number in head["changes"]:
            self._attempt(
                partial(self._left_as_they_were, changed, number),
                lambda number=number: steps.append((number, self._change(*self._read()))),  # type: ignore[misc]
            )
        # All changes have been read by now: the notebook's objects change together, and before values are restored that
        # look at them, e.g. a fitted formula of statsmodels at the columns of its table.
        for number, step in steps:
            self._attempt(partial(self._left_as_they_were, changed, number), step)
        named: dict[str, object] = {}
        for name in head["names"]:
            self._attempt(
                lambda name=name: (name,),  # type: ignore[misc]
                lambda name=name: named.__setitem__(name, self._read()),  # type: ignore[misc]
            )
        last = None
        if head["last"]:
            try:
                last = self._read()
            except Exception as error:  # noqa: BLE001 - as below
                self._lost[LAST] = _text(error)
        return Returned(
            named=named,
            last=last,
            changed=changed,
            deleted=tuple(head["deleted"]),
            lost=self._lost,
            stale=frozenset(self._stale),
            imported=frozenset(map(tuple, head["imported"])),
            session=head["session"],
            moved=self._moved,
        )

    def _read(self) -> Any:
        found = self._reader.read()
        self._missing.check(found, self._namespace, self._known)
        return found

    def _attempt(self, names: Callable[[], Sequence[str]], act: Callable[[], object]) -> None:
        try:
            with devices.watched() as missed:
                act()
            if missed:
                self._moved |= dict.fromkeys(names(), missed[0])
        except Exception as error:  # noqa: BLE001 - an object's class may do anything when it is restored
            for name in names():
                self._lost.setdefault(name, _text(error))

    def _left_as_they_were(self, changed: Sequence[str], number: int) -> list[str]:
        found = self._names(changed, number) or ["an object"]
        self._stale.update(found)
        return found

    def _names(self, changed: Sequence[str], number: int) -> list[str]:
        """The variables that refer to one of the objects that have changed; found only when it matters."""
        found = []
        for name in changed:
            search = _Search(self._namespace, self._known[number])
            with suppress(
                Exception
            ):  # it may not be possible to pickle it any more: what was met until then counts
                search.dump(self._namespace.get(name))
            if search.found:
                found.append(name)
        return found

    def _memory(self, number: int, content: memoryview) -> Callable[[], None]:
        obj = self._known[number]
        if devices.device_of(obj) is not None:
            return lambda: devices.write(obj, content)
        return lambda: memory.write(obj, content.cast("B"))

    def _change(self, number: int, how: str, content: Any) -> Callable[[], None]:
        obj = self._known[number]
        if how == "state":
            return lambda: adopt(obj, content, self._not_there)
        if how == "elements":
            return lambda: obj.__setitem__(..., content)
        kind = kind_of(type(obj))
        assert kind is not None
        assert kind.put is not None
        put = kind.put
        return lambda: put(obj, content)


class _Search(Pickler):
    """Looks for one object in a graph."""

    def __init__(self, namespace: dict[str, Any], wanted: object) -> None:
        super().__init__(io.BytesIO(), namespace, definitions=False, buffer_callback=lambda _: None)
        self._wanted = wanted
        self.found = False

    def persistent_id(self, obj: object) -> int | None:
        """Note the object, and do not look into it again."""
        if obj is not self._wanted:
            return None
        self.found = True
        return 0


class _MissingError(Exception):
    """Something refers to what does not exist here."""


class _Missing:
    """Stands in for classes and functions that do not exist here, so that the rest can be read."""

    def __init__(self) -> None:
        self._stand_ins: list[type] = []
        self._reasons: dict[int, str] = {}

    def stand_in(self, module: str, name: str, error: Exception) -> Any:
        """Return a class that takes whatever its instances are given, and cannot be pickled."""
        reason = f"{module}.{name} does not exist here ({error}); install its package in the notebook's environment"

        def refuse(*_: object) -> Any:
            raise _MissingError(reason)

        def ignore(*_: object, **__: object) -> None:
            return None

        methods = dict.fromkeys(
            ["__init__", "__setstate__", "__setitem__", "append", "extend", "add"], ignore
        )
        made = type(
            name.rpartition(".")[2],
            (),
            {"__new__": lambda cls, *_, **__: object.__new__(cls), "__reduce_ex__": refuse, **methods},
        )
        self._stand_ins.append(made)
        self._reasons[id(made)] = reason
        return made

    def check(self, value: Any, namespace: dict[str, Any], known: Sequence[object]) -> None:
        """Raise if a value refers to something that does not exist here."""
        if self._stand_ins:  # to pickle it is to look at all of it
            pickling.Writer(namespace, known=known, note=self._refuse).add(value)

    def _refuse(self, obj: Any, reduced: Any) -> Any:
        if any(obj is each for each in self._stand_ins):
            raise _MissingError(self._reasons[id(obj)])
        return reduced


def _text(error: Exception) -> str:
    text = str(error) if isinstance(error, _MissingError) else f"{type(error).__name__}: {error}"
    return f"it came back but cannot be restored here: {text}"[:300]
