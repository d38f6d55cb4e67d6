"""Inputs of a cell as artifacts: an unchanged value is saved once in the life of a kernel, as input or as output."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING
from uuid import UUID

from zenml_modal_nb.pipelines import artifacts

if TYPE_CHECKING:
    from zenml.models import ArtifactVersionResponse

_saved: dict[tuple[str, str], UUID] = {}  # by name and digest
_lock = threading.Lock()


def save_inputs(
    values: Mapping[str, object], digests: Mapping[str, str]
) -> dict[str, ArtifactVersionResponse]:
    """Return the artifact of every value, saved if it is not there yet; `digests` tell whether a value has changed."""
    return {
        name: _known(name, digests[name]) or _save(name, value, digests[name])
        for name, value in values.items()
    }


def remember(name: str, digest: str, artifact: UUID) -> None:
    """Take note of a value that a cell has bound or changed: as an input of the next one it is this artifact."""
    with _lock:
        _saved[name, digest] = artifact


def _known(name: str, digest: str) -> ArtifactVersionResponse | None:
    with _lock:
        found = _saved.get((name, digest))
    if found is None:
        return None
    from zenml.client import Client

    try:
        return Client().get_artifact_version(found, hydrate=False)
    except KeyError:  # the user has deleted it since
        return None


def _save(name: str, value: object, digest: str) -> ArtifactVersionResponse:
    artifact = artifacts.save(value, name)
    remember(name, digest, artifact.id)
    return artifact
