"""Secrets of a sandbox: named ones of the workspace, and ephemeral ones that no record holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zenml_modal_nb.sandboxes.connection import Connection


def of(names: Sequence[str], ephemeral: Mapping[str, str], connection: Connection) -> list[Any]:
    """Return `modal.Secret` objects; an unknown name fails at the sandbox's creation, in Modal's words."""
    import modal

    found = [
        modal.Secret.from_name(name, environment_name=connection.environment, client=connection.client)
        for name in names
    ]
    if ephemeral:
        found.append(modal.Secret.from_dict(dict(ephemeral)))
    return found
