"""The stack that the extension provides in the user's ZenML when none is named; never made the active one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zenml.client import Client
    from zenml.models import FlavorRequest, StackResponse

NAME = "modal_notebook"  # of the flavor, of our operator and of our stack
FLAVOR_SOURCE = "zenml_modal_nb.pipelines.flavor.ModalNotebookFlavor"


def store_is_local() -> bool:
    """Whether ZenML's store is a database file of the user's own, rather than a server that others use too."""
    from zenml.config.global_config import GlobalConfiguration
    from zenml.enums import StoreType

    store = GlobalConfiguration().store_configuration
    return store.type == StoreType.SQL and store.url.startswith("sqlite:")


def own_stack(tell: Callable[[str], None] = lambda told: None) -> StackResponse:
    """Return our stack, registering flavor, operator and stack where they are missing.

    `tell` hears of it, in a sentence, where others see them too.
    """
    from filelock import FileLock
    from zenml.client import Client
    from zenml.config.global_config import GlobalConfiguration

    client = Client()
    with suppress(KeyError):
        return client.get_stack(NAME, allow_name_prefix_match=False)
    # Kernels that start at once: ZenML's store looks and then inserts, and raises the database's own error in between.
    with FileLock(Path(GlobalConfiguration().config_directory) / f"{NAME}.lock"):
        with suppress(KeyError):
            return client.get_stack(NAME, allow_name_prefix_match=False)
        stack = _register(client)
    if not store_is_local():
        where = GlobalConfiguration().store_configuration.url
        tell(
            f"Registered the flavor, step operator and stack '{NAME}' in the ZenML server {where}, which records "
            "this cell. The active stack stays as it is."
        )
    return stack


def flavor_request() -> FlavorRequest:
    """Return what our flavor is registered as."""
    from zenml_modal_nb.pipelines.flavor import ModalNotebookFlavor

    # Not as `Client.create_flavor` does: it cuts the path at the source root, which may be this package's directory,
    # and then no other process would find `pipelines.flavor`.
    request = ModalNotebookFlavor().to_model(integration="custom")
    request.source = FLAVOR_SOURCE
    return request


def register_flavor(client: Client) -> None:
    """Make our flavor known to the user's ZenML, unless it is."""
    from zenml.exceptions import EntityExistsError

    with suppress(EntityExistsError):  # another machine was first
        client.zen_store.create_flavor(flavor_request())


def _register(client: Client) -> StackResponse:
    from zenml.enums import StackComponentType
    from zenml.exceptions import EntityExistsError

    operator_type = StackComponentType.STEP_OPERATOR
    register_flavor(client)
    with suppress(EntityExistsError):
        client.create_stack_component(NAME, NAME, operator_type, configuration={})
    # The local rung of ZenML: its own default components, on this machine.
    components: dict[StackComponentType, str | object] = {
        StackComponentType.ORCHESTRATOR: "default",
        StackComponentType.ARTIFACT_STORE: "default",
        operator_type: NAME,
    }
    try:
        return client.create_stack(NAME, components)  # type: ignore[arg-type]
    except EntityExistsError:
        return client.get_stack(NAME, allow_name_prefix_match=False)
