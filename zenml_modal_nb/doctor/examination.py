"""One examination: what it looks at, and what its checks have found out for the checks that come after."""

from __future__ import annotations

from dataclasses import dataclass, field

from zenml_modal_nb.pipelines.inventory import Stack, Store
from zenml_modal_nb.request import Place
from zenml_modal_nb.sandboxes.connection import Connection


@dataclass(frozen=True, slots=True)
class Scope:
    """What the user asks to be examined; made by the command line and the line magic."""

    on: Place | None = None  # None: where a cell would run
    stack: str | None = None  # to be examined as one for ZenML's own step operator; None: the active one
    workspace: str | None = None
    environment: str | None = None  # Modal's


@dataclass
class Examination:
    """What a check leaves for those after it; made by `checks.examine`. None: it could not be found out."""

    scope: Scope
    place: Place | None = None
    connection: Connection | None = None
    mismatch: str = ""  # why the workspace is not the one that was asked for
    store: Store | None = None
    stack: Stack | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)  # never to be shown
