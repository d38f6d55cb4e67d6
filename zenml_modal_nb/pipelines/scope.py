"""What ZenML takes for granted process-wide, set for one thread of execution only: active stack and source root.

ZenML looks the active stack up in the repository, the global configuration or an environment variable; the one place
they meet is the property `Client.active_stack_model`. It looks the source root up in the repository or beside the
main module's file, which a kernel does not have; that place is `source_utils.get_source_root`. A context variable is
asked first at both. tests/unit/pipelines/test_scope.py fails when they move.
"""

from __future__ import annotations

import contextvars
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from zenml.client import Client
    from zenml.models import StackResponse

_stack: contextvars.ContextVar[StackResponse | None] = contextvars.ContextVar(
    "zenml_modal_nb_stack", default=None
)
_rooted: contextvars.ContextVar[bool] = contextvars.ContextVar("zenml_modal_nb_rooted", default=False)


@contextmanager
def using(stack: StackResponse) -> Iterator[None]:
    """Make `stack` the active one, whichever the user has active."""
    _install()
    token = _stack.set(stack)
    try:
        yield
    finally:
        _stack.reset(token)


@contextmanager
def rooted() -> Iterator[None]:
    """Let the working directory be the source root where ZenML would find none: no `zenml init` is needed."""
    _install()
    token = _rooted.set(True)
    try:
        yield
    finally:
        _rooted.reset(token)


@cache
def _install() -> None:
    from zenml.client import Client
    from zenml.utils import source_utils

    looked_up: property = vars(Client)["active_stack_model"]
    original = looked_up.fget
    assert original is not None
    find_root = source_utils.get_source_root

    def active_stack_model(self: Client) -> StackResponse:
        chosen = _stack.get()
        return chosen if chosen is not None else cast("StackResponse", original(self))

    def get_source_root() -> str:
        try:
            return find_root()
        except RuntimeError:
            if not _rooted.get():
                raise
            return str(Path.cwd())

    Client.active_stack_model = property(active_stack_model, doc=original.__doc__)  # type: ignore[method-assign, assignment]
    source_utils.get_source_root = get_source_root
