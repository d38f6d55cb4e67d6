"""What a Modal workspace holds, by name; for completion, which must start nothing."""

from __future__ import annotations

from zenml_modal_nb.request import Place
from zenml_modal_nb.sandboxes import connection
from zenml_modal_nb.sandboxes.connection import Connection


def profiles() -> tuple[str, ...]:
    """Return the profiles of the user's Modal configuration, each named after its workspace."""
    from modal.config import config_profiles

    return tuple(config_profiles())  # type: ignore[no-untyped-call]  # the SDK's own


def environments(place: Place | None, workspace: str | None) -> tuple[str, ...]:
    """Return the workspace's environments; raises as `connection.connect` does."""
    known = _connected(place, None, workspace)
    if known is None:
        return ()
    from modal.environments import list_environments

    return tuple(sorted(str(each.name) for each in list_environments(client=known.client)))


def volumes(place: Place | None, environment: str | None, workspace: str | None) -> tuple[str, ...]:
    """Return the named volumes of an environment, without those that this package keeps for itself."""
    import modal

    known = _connected(place, environment, workspace)
    if known is None:
        return ()
    found = modal.Volume.objects.list(environment_name=known.environment or "", client=known.client)
    return tuple(sorted(str(each.name) for each in found if not str(each.name).startswith("zenml-modal-nb-")))


def secrets(place: Place | None, environment: str | None, workspace: str | None) -> tuple[str, ...]:
    """Return the names of an environment's secrets."""
    import modal

    known = _connected(place, environment, workspace)
    if known is None:
        return ()
    found = modal.Secret.objects.list(environment_name=known.environment or "", client=known.client)
    return tuple(sorted(str(each.name) for each in found))


def _connected(place: Place | None, environment: str | None, workspace: str | None) -> Connection | None:
    """Return a connection, None where one to this machine's local Modal API would first have to start it."""
    place = place or connection.default_place()
    if place == "local" and not connection.local_answers():
        return None
    return connection.connect(place, environment=environment, workspace=workspace)
