"""What there is in the user's ZenML: the store, a stack and its components; asked by `doctor`, changes nothing."""

from __future__ import annotations

import contextvars
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlparse

from zenml_modal_nb.errors import ConnectionFailedError
from zenml_modal_nb.pipelines import scope, warmup
from zenml_modal_nb.sandboxes.reachability import is_behind_proxy

if TYPE_CHECKING:
    from zenml.models import ComponentResponse

T = TypeVar("T")

_PATIENCE = 5.0  # seconds for a connection; ZenML's own client tries for half a minute
_URL = re.compile(r"\bhttps?://[^\s\"',;?#]+")  # without a query: it may hold a signature
# E.g. mysql://user:password@host. Databases take a password with / or @ in it, too; rather too much is left out, e.g.
# of a URL with a port and an @ in its path, than a part of a password shown.
_WITH_USER = re.compile(r"(?<=://)(?:[^/@\s:]*:\S*|[^/\s]*)@")


@dataclass(frozen=True, slots=True)
class Store:
    """Where ZenML keeps its records."""

    url: str  # without user and password
    local: bool  # ZenML refuses remote components with it
    version: str  # of ZenML at the other end
    artifacts: Path  # where local artifact stores are


@dataclass(frozen=True, slots=True)
class Component:
    """One component of a stack."""

    kind: str  # e.g. "artifact_store"
    name: str
    flavor: str
    local: bool
    addresses: tuple[str, ...]  # paths, hosts and URLs that its configuration names


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack as it is registered."""

    name: str
    components: tuple[Component, ...]

    def of_kind(self, kind: str) -> tuple[Component, ...]:
        """Return the components of a kind, the default one first."""
        return tuple(each for each in self.components if each.kind == kind)

    def operator(self, flavor: str) -> Component | None:
        """Return the first step operator of a flavor."""
        return next((each for each in self.of_kind("step_operator") if each.flavor == flavor), None)


def silently(work: Callable[[], T]) -> T:
    """Do `work` with zenml imported, and nothing that ZenML logs meanwhile shown."""

    def hushed() -> T:
        warmup.settle()  # two threads that import zenml at once would see it half made
        warmup.hush()
        warmup.import_quietly()
        scope.root_here()  # without a main file ZenML loads no flavor
        return work()

    return contextvars.copy_context().run(hushed)


def without_user(text: str) -> str:
    """Return a text without the users and passwords in its addresses."""
    return _WITH_USER.sub("", text)


def store() -> Store:
    """Open ZenML's store.

    Errors: ConnectionFailedError if its server takes no connection; else whatever ZenML raises.
    """
    from zenml.client import Client
    from zenml.config.global_config import GlobalConfiguration

    configuration = GlobalConfiguration()
    _knock(configuration.store_configuration.url)
    opened = Client().zen_store
    told = opened.get_store_info()
    return Store(
        without_user(opened.url), opened.is_local_store(), told.version, Path(configuration.local_stores_path)
    )


def _knock(url: str) -> None:
    address = urlparse(url)
    if address.scheme not in ("http", "https") or is_behind_proxy(address):
        return
    try:
        port = address.port or (80 if address.scheme == "http" else 443)
        socket.create_connection((address.hostname or "", port), timeout=_PATIENCE).close()
    except (OSError, ValueError) as error:  # ValueError: no port
        raise ConnectionFailedError(
            f"The ZenML server {without_user(url)} takes no connection: {error}. "
            "Start it, or choose another store with `zenml login`."
        ) from None


def stack(name: str | None = None) -> Stack:
    """Return the named stack, else the active one.

    Errors: KeyError if there is none of that name.
    """
    from zenml.client import Client

    client = Client()
    found = (
        client.active_stack_model if name is None else client.get_stack(name, allow_name_prefix_match=False)
    )
    return Stack(found.name, tuple(_component(each) for kind in found.components.values() for each in kind))


def stack_names() -> tuple[str, ...]:
    """Return the names of all stacks."""
    from zenml.client import Client
    from zenml.utils.pagination_utils import depaginate

    return tuple(sorted(each.name for each in depaginate(Client().list_stacks)))


def component_names(kind: str, flavor: str | None = None) -> tuple[str, ...]:
    """Return the names of registered components of a kind, and of a flavor if one is named."""
    from zenml.client import Client
    from zenml.enums import StackComponentType
    from zenml.utils.pagination_utils import depaginate

    found = depaginate(Client().list_stack_components, type=StackComponentType(kind), flavor=flavor)
    return tuple(sorted(each.name for each in found))


def _component(model: ComponentResponse) -> Component:
    paths = _paths(model)
    local = _is_local(model)
    if local is None:  # its flavor cannot be loaded here
        local = any(_looks_local(model.type.value, path) for path in paths)
    return Component(
        str(model.type.value),
        model.name,
        model.flavor_name,
        local,
        (*paths, *_urls(model.configuration)),
    )


def _looks_local(kind: str, address: str) -> bool:
    if kind == "container_registry":  # host[:port]/path without a scheme, e.g. images.acme.com/team
        return address.startswith(("localhost", "127."))
    return "://" not in address


def _paths(model: ComponentResponse) -> tuple[str, ...]:
    """Return the address that makes an artifact store or a registry what it is."""
    key = {"artifact_store": "path", "container_registry": "uri"}.get(model.type.value)
    value = model.configuration.get(key) if key else None
    if not value and model.type.value == "artifact_store" and model.flavor_name == "local":
        value = "a directory of this machine"
    return (str(value),) if value else ()


def _is_local(model: ComponentResponse) -> bool | None:
    from zenml.client import Client
    from zenml.stack.flavor import Flavor

    try:
        flavor = Flavor.from_model(Client().get_flavor_by_name_and_type(model.flavor_name, model.type))
        return flavor.config_class(**model.configuration).is_local
    except Exception:  # noqa: BLE001 - e.g. an integration that is not installed, a class that is the user's
        return None


def _urls(value: object) -> Iterator[str]:
    """Return the web addresses anywhere in a configuration, e.g. the endpoint of an S3 store."""
    match value:
        case str():
            yield from map(without_user, _URL.findall(value))
        case Mapping():
            for each in value.values():
                yield from _urls(each)
        case list() | tuple():
            for each in value:
                yield from _urls(each)
        case _:
            return
