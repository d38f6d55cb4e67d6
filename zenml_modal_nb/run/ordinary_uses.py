"""What a step that runs detached uses of ZenML, which a sandbox lacks: it would fail there, or be lost."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType

from zenml_modal_nb.cells.bytecode import code_names, sure_uses
from zenml_modal_nb.cells.distributions import installed
from zenml_modal_nb.errors import InvalidRequestError
from zenml_modal_nb.pipelines.ordinary import is_of_zenml

_LATER = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


def refuse_zenml(name: str, function: FunctionType) -> None:
    """Refuse whatever the step's own code has of ZenML, and what functions that it surely calls surely use of it.

    Errors: InvalidRequestError.
    """
    found = next(_own_uses(function), None) or next(_called_uses(function, (), set()), None)
    if found is None:
        return
    told, way = found
    through = f"calls {'(), which calls '.join(way)}(), which " if way else ""
    raise InvalidRequestError(
        f"The step '{name}' {through}{told}, and runs detached, in a sandbox that ZenML does not reach. "
        "Run it connected, settings={'step_operator': {'execution': 'connected'}}, on a stack with a remote "
        "server and artifact store, or move that to a step that runs here. Nothing was created."
    )


def _own_uses(function: FunctionType) -> Iterator[tuple[str, tuple[str, ...]]]:
    names = code_names(function.__code__)
    for used in sorted(names.reads):
        if is_of_zenml(function.__globals__.get(used)):
            yield f"uses {used} of ZenML", ()
    yield from ((f"imports {module}", ()) for module in sorted(names.imports) if _is_zenml(module))


def _called_uses(
    function: FunctionType, way: tuple[str, ...], seen: set[CodeType]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    if function.__code__ in seen or function.__code__.co_flags & _LATER:
        return
    seen.add(function.__code__)
    for use in sure_uses(function.__code__):
        name, *attributes = use.path
        if way and use.imported and _is_zenml(name):
            yield f"imports {name}", way
        found: object = None if use.imported else function.__globals__.get(name)
        if way and is_of_zenml(found):
            yield f"uses {name} of ZenML", way
        for attribute in attributes if isinstance(found, ModuleType) else ():
            found = getattr(found, attribute, None)  # e.g. `helpers.note()`
        if isinstance(found, FunctionType) and use.called and _is_users(found):
            yield from _called_uses(found, (*way, ".".join(use.path)), seen)


def _is_zenml(module: str) -> bool:
    return module.partition(".")[0] == "zenml"


def _is_users(function: FunctionType) -> bool:
    """Tell whether a function is of a module that exists on this machine only."""
    module = function.__module__ or ""
    root = module.partition(".")[0]
    return root not in sys.stdlib_module_names and not any(
        each.source for each in installed().distributions(module)
    )
