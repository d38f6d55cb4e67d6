"""The values and definitions a cell needs, as one pickle graph; and its results, as objects of the notebook."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import Any

from zenml_modal_nb.errors import PackagingError
from zenml_modal_nb.runner import devices, offenders, pickling, session
from zenml_modal_nb.runner.graph import Note
from zenml_modal_nb.runner.survey import Survey

Lines = Callable[[Iterable[str]], Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Packed:
    """What a cell needs, pickled.

    `known` are the objects that its result may refer to, in the payload's order; `modules` what must be importable
    where it is restored.
    """

    values: pickling.Values
    known: list[object]
    modules: frozenset[str] = frozenset()


class _Globals:
    """Notes the modules of what a pickler writes by name, e.g. pyarrow's for a pandas column of strings."""

    def __init__(self, note: Note) -> None:
        self._note = note
        self.modules: set[str] = set()

    def note(self, obj: Any, reduced: Any) -> Any:
        """Take notice of an object on its way into the pickle, and pass it on."""
        if isinstance(obj, ModuleType):
            self.modules.add(obj.__name__)
        # Functions and classes have it, of C extensions too; their instances do not.
        elif reduced is NotImplemented and _attribute(obj, "__qualname__") is not None:
            module = _attribute(obj, "__module__")
            if isinstance(module, str):
                self.modules.add(module)
        return self._note(obj, reduced)


def _attribute(obj: object, name: str) -> object:
    # Without a `__getattr__` of the user's, which may raise anything, or make what it is asked for.
    try:
        return object.__getattribute__(obj, name)
    except AttributeError:
        return None


def pack(
    values: Mapping[str, object],
    namespace: dict[str, Any],
    submodules: Iterable[str] = (),
    state: session.State | None = None,
    lines: Lines = lambda names: {},
) -> Packed:
    """Pickle what the cell needs, names and all; one graph, so that what two names share is shared after.

    `submodules` are imported with it, e.g. sklearn.svm for a cell that says `sklearn.svm.SVC`; `state` is what the
    cell relies on without naming it; `lines` are those of the cell that use a name, for messages.

    Raises:
        PackagingError: names every variable that cannot travel, and why.
    """
    survey = Survey()
    by_name = _Globals(survey.note)
    writer = pickling.Writer(namespace, definitions=True, note=by_name.note, announced=values.values())
    try:
        # A module is pickled by its name: to unpickle it is to import it.
        modules = [importlib.import_module(name) for name in submodules]
        implicit = session.pack(state or {}, namespace)
        writer.add({"values": dict(values), "modules": modules, "session": implicit})
        known = survey.known(values.values())
        on_devices = _on_devices(values, survey) if any(map(devices.device_of, known)) else {}
        writer.add(on_devices)
        writer.add(known)
        return Packed(writer.finish(), known, frozenset(by_name.modules))
    except Exception as error:  # noqa: BLE001 - an object's own __reduce__ may raise anything
        raise _blame(values, namespace, error, lines) from None


def unpack_error(data: bytes, namespace: dict[str, Any]) -> object:
    """Return the exception that a cell raised; raises whatever its class raises when it is rebuilt."""
    return pickling.load(bytearray(data), namespace)


def _on_devices(values: Mapping[str, object], survey: Survey) -> dict[str, str]:
    """The variables that refer to arrays on a device, and the device."""
    found = {
        name: next(filter(None, map(devices.device_of, survey.known([v]))), None)
        for name, v in values.items()
    }
    return {name: device for name, device in found.items() if device is not None}


def _blame(
    values: Mapping[str, object], namespace: dict[str, Any], error: Exception, lines: Lines
) -> PackagingError:
    def failure(value: object) -> Exception | None:
        try:
            pickling.dump(value, namespace, definitions=True)
        except Exception as own:  # noqa: BLE001 - as above
            return own
        return None

    reasons = {name: offenders.reason(value, name, failure) for name, value in values.items()}
    told = {name: reason for name, reason in reasons.items() if reason is not None}
    # A function fails with the variable it reads: the variable says it better.
    data = {name for name in told if not isinstance(values[name], FunctionType | type)}
    told = {
        name: reason
        for name, reason in told.items()
        if name in data or not any(reason.endswith(told[other].rpartition(": ")[2]) for other in data)
    }
    where = lines(told)
    listed = [
        f"{f'line {where[name]}: ' if name in where else ''}{name} ({type(values[name]).__name__}): {reason}"
        for name, reason in told.items()
    ]
    return PackagingError(
        "The cell needs values that cannot be sent to a sandbox. "
        f"{'; '.join(listed) or f'{type(error).__name__}: {error}'}. "
        "Create them inside the cell instead. Nothing was created."
    )
