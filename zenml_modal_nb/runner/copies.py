"""Reading a pickle of the notebook's definitions without touching those that this process has."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from cloudpickle import cloudpickle as reducers

from zenml_modal_nb.runner import enumerations, functions


class Copies:
    """What a pickle finds in the place of what makes functions and classes; one per reading.

    Functions are made anew: otherwise what a living one's closure holds would become what it held when the pickle
    was written. A class that this process has is that class, so that `isinstance` holds, and stays as it is.
    """

    def __init__(self) -> None:
        identities = functions.Identities()
        self._living: list[type] = []
        makers = (functions.make_function, functions.make_foreign_function, functions.make_cached)
        self._found: dict[tuple[str, str], Callable[..., Any]] = {
            (functions.__name__, make.__name__): partial(make, identities=identities) for make in makers
        }
        for name in ("_make_skeleton_class", "_make_skeleton_enum"):
            self._found[reducers.__name__, name] = partial(self._class, getattr(reducers, name))
        for module, complete in (
            (reducers.__name__, reducers._class_setstate),
            (enumerations.__name__, enumerations.set_state),
        ):
            self._found[module, complete.__name__] = partial(self._complete, complete)

    def find(self, module: str, name: str) -> Callable[..., Any] | None:
        """Return what stands in the place of a global of the pickle, None for the global itself."""
        return self._found.get((module, name))

    def _class(self, make: Callable[..., type], *arguments: Any) -> type:
        known = set(map(id, reducers._DYNAMIC_CLASS_TRACKER_BY_ID.values()))
        made = make(*arguments)
        if id(made) in known:
            self._living.append(made)
        return made

    def _complete(self, complete: Callable[..., object], cls: type, state: Any) -> type:
        if not any(cls is each for each in self._living):
            complete(cls, state)
        return cls
