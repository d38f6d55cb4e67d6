"""Where ZenML's process-wide ways do not suit a kernel: a stack for one thread, a source root, quick look-ups.

ZenML looks the active stack up in the repository, the global configuration or an environment variable; the one place
they meet is the property `Client.active_stack_model`, where a context variable is asked first. The local orchestrator
sets that environment variable for every thread while a step runs: never for a run on a stack chosen here, or the
user's own pipelines in other threads would run on it, and one that overlaps would leave it set.
It looks the source root up in the repository or beside the main module's file; a kernel has no such file, so without
`zenml init` no stack can be loaded in it, ours included. Where `source_utils.get_source_root` would fail, the working
directory serves. It reads the metadata of every installed package anew for each artifact, 0.1 s each: what it found is
remembered. For each run it asks twice, in a process of uv or pip, for a list of all packages, 40 ms to 1 s each: again
only when what is installed has changed.
tests/unit/pipelines/test_scope.py fails when these places move.
"""

from __future__ import annotations

import contextvars
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

from zenml_modal_nb.pipelines import installed

if TYPE_CHECKING:
    from zenml.client import Client
    from zenml.models import StackResponse

_stack: contextvars.ContextVar[StackResponse | None] = contextvars.ContextVar(
    "zenml_modal_nb_stack", default=None
)

_root: contextvars.ContextVar[Path | None] = contextvars.ContextVar("zenml_modal_nb_root", default=None)


@contextmanager
def using(stack: StackResponse) -> Iterator[None]:
    """Make `stack` the active one, whichever the user has active."""
    _install()
    token = _stack.set(stack)
    try:
        yield
    finally:
        _stack.reset(token)


@cache
def _install() -> None:
    from zenml.client import Client
    from zenml.orchestrators.local import local_orchestrator

    looked_up: property = vars(Client)["active_stack_model"]
    original = looked_up.fget
    assert original is not None

    def active_stack_model(self: Client) -> StackResponse:
        chosen = _stack.get()
        return chosen if chosen is not None else cast("StackResponse", original(self))

    set_environment = local_orchestrator.temporary_environment  # type: ignore[attr-defined]  # imported there

    def temporary_environment(environment: dict[str, str]) -> AbstractContextManager[None]:
        return set_environment(environment) if _stack.get() is None else nullcontext()

    Client.active_stack_model = property(active_stack_model, doc=original.__doc__)  # type: ignore[method-assign, assignment]
    local_orchestrator.temporary_environment = temporary_environment  # type: ignore[attr-defined, assignment]


@contextmanager
def rooted(directory: Path) -> Iterator[None]:
    """Make `directory` the source root: all that ZenML ships, for a cell whose code is not in the user's files."""
    token = _root.set(directory)
    try:
        yield
    finally:
        _root.reset(token)


@cache
def root_here() -> None:
    """Let the working directory be the source root where ZenML finds none, as `zenml init` in it would."""
    from zenml.utils import source_utils

    find_root = source_utils.get_source_root

    def get_source_root() -> str:
        chosen = _root.get()
        if chosen is not None:
            return str(chosen)
        try:
            return find_root()
        except RuntimeError:
            return str(Path.cwd())

    source_utils.get_source_root = get_source_root


@cache
def remember_packages() -> None:
    """Look the distribution of a module up once; what is not found is looked for again, it may be installed yet."""
    from zenml.utils import source_utils

    look_up = source_utils._get_package_for_module
    found: dict[str, str] = {}

    def get_package_for_module(module_name: str) -> str | None:
        top_level = module_name.partition(".")[0]
        package = found.get(top_level) or look_up(module_name)
        if package is not None:
            found[top_level] = package
        return package

    source_utils._get_package_for_module = get_package_for_module


@cache
def remember_package_list() -> None:
    """Let ZenML list the installed packages once, and again when what is installed has changed."""
    from zenml.environment import Environment

    list_packages = Environment.get_python_packages
    listed: tuple[installed.State, list[str]] | None = None

    def get_python_packages() -> list[str]:
        nonlocal listed
        state, known = installed.state(), listed
        if known is None or known[0] != state:
            listed = known = (state, list_packages())
        return list(known[1])

    Environment.get_python_packages = staticmethod(get_python_packages)  # type: ignore[method-assign]
