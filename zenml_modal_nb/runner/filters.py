"""Warnings filters as plain values: the notebook's hold in a sandbox, and what a cell adds or removes holds here."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

# Action, message, the category's module and name, module, line.
Filter = tuple[str, str | None, str, str, str | None, int]


def take(module: Any) -> list[Filter]:
    """Return the filters of the module `warnings`."""
    return [_plain(entry) for entry in module.filters]


def put(module: Any, state: Any) -> None:
    """Set the filters: a sandbox's from a list of all, the notebook's from what has changed."""
    wanted = merged(take(module), state["before"], state["now"]) if isinstance(state, dict) else state
    existing = {_plain(entry): entry for entry in module.filters}
    module.resetwarnings()
    for each in wanted:
        if each in existing:
            module.filters.append(existing[each])
        else:
            add(module, each, append=True)


def add(module: Any, wanted: Filter, *, append: bool) -> None:
    """Add a filter; one whose category has not been imported cannot match anything yet."""
    action, message, _, _, where, line = wanted
    category = category_of(wanted)
    if category is not None:
        module.filterwarnings(action, message or "", category, where or "", line, append=append)


def category_of(wanted: Filter) -> type[Warning] | None:
    """Return a filter's category, None if it is not there."""
    found = getattr(sys.modules.get(wanted[2]), wanted[3], None)
    return found if isinstance(found, type) and issubclass(found, Warning) else None


def merged(here: Sequence[Filter], before: Sequence[Filter], now: Sequence[Filter]) -> list[Filter]:
    """Do here what turned `before` into `now` in the sandbox, which did not know all the filters that are here."""
    if not now:
        return []
    left = [each for each in here if each in now or each not in before]
    places = [place for place, each in enumerate(now) if each in here]
    last = places[-1] if places else len(now)
    new = [(place, each) for place, each in enumerate(now) if each not in here]
    return (
        [each for place, each in new if place < last] + left + [each for place, each in new if place > last]
    )


def _plain(entry: Any) -> Filter:
    action, message, category, where, line = entry
    return action, _pattern(message), category.__module__, category.__qualname__, _pattern(where), line


def _pattern(compiled: Any) -> str | None:
    found: str | None = getattr(compiled, "pattern", compiled)
    return found
