"""Another stack for one thread of execution, without touching which stack the user has active.

ZenML looks the active stack up in the repository, the global configuration or one environment variable, all of
the whole process. The one place they meet is the property `Client.active_stack_model`, so that is where a context
variable is asked first. tests/unit/pipelines/test_active_stack.py fails when that place moves.
"""

from __future__ import annotations

import contextvars
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from zenml.client import Client
    from zenml.models import StackResponse

_chosen: contextvars.ContextVar[StackResponse | None] = contextvars.ContextVar(
    "zenml_modal_nb_stack", default=None
)


@contextmanager
def using(stack: StackResponse) -> Iterator[None]:
    """Make `stack` the active one for this thread of execution only."""
    _install()
    token = _chosen.set(stack)
    try:
        yield
    finally:
        _chosen.reset(token)


@cache
def _install() -> None:
    from zenml.client import Client

    looked_up: property = vars(Client)["active_stack_model"]
    original = looked_up.fget
    assert original is not None

    def active_stack_model(self: Client) -> StackResponse:
        chosen = _chosen.get()
        return chosen if chosen is not None else cast("StackResponse", original(self))

    Client.active_stack_model = property(active_stack_model, doc=original.__doc__)  # type: ignore[method-assign, assignment]
