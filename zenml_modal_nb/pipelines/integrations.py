"""ZenML's integrations, whose materializers save other libraries' values: activated when they can first be of use.

For each pipeline ZenML asks which of its integrations are installed, 0.1 s, and imports them all with their libraries,
which takes seconds, e.g. three for scikit-learn. A pipeline of the user's own gets just that, once, and again when what
is installed has changed. A cell's run needs those only whose library is imported by now: values of others there are
none. tests/unit/pipelines/test_private_places.py fails when ZenML activates them elsewhere.
"""

from __future__ import annotations

import contextvars
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING

from zenml_modal_nb.pipelines import installed

if TYPE_CHECKING:
    from zenml.integrations.integration import Integration
    from zenml.integrations.registry import IntegrationRegistry

_sparing: contextvars.ContextVar[bool] = contextvars.ContextVar("zenml_modal_nb_sparing", default=False)


@contextmanager
def sparing() -> Iterator[None]:
    """Let a pipeline that this thread compiles activate no integration: whoever saves values of it does it."""
    token = _sparing.set(True)
    try:
        yield
    finally:
        _sparing.reset(token)


@cache
def remember() -> Callable[[], None]:
    """Let ZenML activate its integrations once, and again when what is installed has changed.

    Returns what activates those whose library has been imported since it was called last; it is quick where none has.
    """
    from zenml.integrations.registry import IntegrationRegistry, integration_registry

    activate = IntegrationRegistry.activate_integrations
    activated: list[installed.State] = []
    lock = threading.Lock()
    asked: installed.State | None = None
    idle: dict[str, frozenset[str]] = {}

    def activate_integrations(self: IntegrationRegistry) -> None:
        state = installed.state()
        if not _sparing.get() and activated != [state]:
            activate(self)
            activated[:] = [state]

    def activate_imported() -> None:
        nonlocal asked, idle
        with lock:
            known, state = integration_registry.integrations, installed.state()
            if asked != state:
                idle = {name: _modules(each) for name, each in known.items() if each.check_installation()}
                asked = state
            # What is for no module that we know of may be for any.
            due = {name for name, modules in idle.items() if not modules or modules & sys.modules.keys()}
            if due:
                idle = {name: modules for name, modules in idle.items() if name not in due}
                chosen = IntegrationRegistry()
                chosen._integrations = {name: known[name] for name in due}
                chosen._initialized = True
                activate(chosen)

    IntegrationRegistry.activate_integrations = activate_integrations  # type: ignore[method-assign]
    return activate_imported


def activate_imported() -> None:
    """Activate the integrations whose library has been imported since the last call; quick where none has."""
    remember()()


def _modules(integration: type[Integration]) -> frozenset[str]:
    """Return the top-level modules of what an installed integration requires."""
    from packaging.requirements import Requirement

    required = [Requirement(each).name for each in integration.get_requirements()]
    return frozenset().union(*(_top_level(metadata.distribution(name)) for name in required))


def _top_level(found: metadata.Distribution) -> set[str]:
    # Not `files`, which makes an object of each of thousands.
    record = found.read_text("RECORD") or ""
    named = {line.partition("/")[0].removesuffix(".py") for line in record.splitlines()}
    return {name for name in named if name.isidentifier()} | {
        *(found.read_text("top_level.txt") or "").split()
    }
