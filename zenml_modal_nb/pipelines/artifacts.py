"""A value as an artifact: by ZenML's own materializer where that restores it, else by our pickling.

A large value is written once: which of the two is decided before, and only where ZenML's own fails is there a second
attempt.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from zenml_modal_nb.pipelines import integrations
from zenml_modal_nb.pipelines.restorable import is_restorable

if TYPE_CHECKING:
    from zenml.models import ArtifactVersionResponse

logger = logging.getLogger(__name__)

T = TypeVar("T")


def save(value: object, name: str) -> ArtifactVersionResponse:
    """Save a value under its name, in the step that is running if there is one; raises what saving raises."""
    from zenml import save_artifact

    return attempt(value, lambda data: save_artifact(data, name, include_visualizations=False))


def carried(value: object) -> object:
    """Return the value, or what carries it to our materializer, for a step of ZenML's to return."""
    from zenml_modal_nb.pipelines.pickled import PickledValue  # imports zenml

    return value if is_restorable(value) else PickledValue(value)


def attempt(value: object, write: Callable[[object], T], clean: Callable[[], object] = lambda: None) -> T:
    """Return what `write` returns for the value or for what carries it to our materializer.

    `clean` removes what a failed attempt has left. Raises what the last attempt raises.
    """
    from zenml_modal_nb.pipelines.pickled import PickledValue  # imports zenml

    integrations.activate_imported()
    if is_restorable(value):
        try:
            return write(value)
        except Exception as error:  # noqa: BLE001 - materializers of integrations, and the objects' own code
            logger.debug("ZenML cannot save a %s: %r", type(value), error)
            clean()
    return write(PickledValue(value))
