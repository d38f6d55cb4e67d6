"""The step operator that a cell runs on: which one it is, and how its steps are executed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from typing import TYPE_CHECKING, Any, Literal

from packaging.requirements import Requirement

from zenml_modal_nb.errors import InvalidRequestError
from zenml_modal_nb.pipelines import stack as own
from zenml_modal_nb.request import Place
from zenml_modal_nb.sandboxes.connection import Connection, connect, refuse_other_workspace

if TYPE_CHECKING:
    from zenml.stack import Stack

Execution = Literal["detached", "connected"]

STOCK = "modal"  # ZenML's own flavor
_FLAVORS = (STOCK, own.NAME)


@dataclass(frozen=True, slots=True)
class Operator:
    """A registered step operator; found by `find`, read by whoever prepares, records and runs a cell."""

    name: str = own.NAME
    flavor: str = own.NAME
    execution: Execution = "detached"
    registered: bool = False  # by the user, who has named it; else ours, on a stack of ours
    usual: Mapping[str, Any] = field(default_factory=dict)  # the component's own settings
    token: tuple[str, str] | None = field(default=None, repr=False)

    @property
    def connected(self) -> bool:
        """Whether the sandbox runs ZenML's own entrypoint."""
        return self.execution == "connected"

    @property
    def stock(self) -> bool:
        """Whether it is of ZenML's own flavor."""
        return self.flavor == STOCK

    @property
    def kind(self) -> str:
        """The words for it, as the table of options has them."""
        if not self.connected:
            return "detached"
        return "connected, ZenML's flavor" if self.stock else "connected, our flavor"


def find(name: str) -> Operator:
    """Return the step operator of that name in the active stack.

    Raises:
        InvalidRequestError: there is none, or none that a cell can run on.
    """
    from zenml_modal_nb.pipelines import warmup

    warmup.wait()
    from zenml.client import Client

    stack = Client().active_stack
    operator = stack.step_operators.get(name)
    if operator is None:
        from zenml_modal_nb.pipelines import registration

        there = list(stack.step_operators)
        commands = "`, then `".join(registration.adding(stack.name, there, name))
        raise InvalidRequestError(
            f"The active ZenML stack '{stack.name}' has no step operator '{name}'. It has: "
            f"{', '.join(there) or 'none'}. Activate the stack that has it with `zenml stack set`, or add it: "
            f"`{commands}`. Nothing was created."
        )
    if operator.flavor not in _FLAVORS:
        raise InvalidRequestError(
            f"The step operator '{name}' is of flavor '{operator.flavor}': cells run on those of the flavors 'modal' "
            "and 'modal_notebook'. Nothing was created."
        )
    if stack.orchestrator.flavor != "local":
        raise InvalidRequestError(
            f"The orchestrator of the active stack '{stack.name}' is of flavor '{stack.orchestrator.flavor}', which "
            "runs pipelines elsewhere, so that a cell's could not be followed. Activate a stack with the same step "
            "operator and a local orchestrator. Nothing was created."
        )
    settings: Any = operator.config  # that of one of the two flavors
    missing = _why_local(stack)
    if operator.flavor == STOCK and missing:
        raise InvalidRequestError(
            f"The step operator '{name}' is of ZenML's flavor 'modal', whose sandboxes talk to ZenML, but {missing}. "
            "Use one of the flavor 'modal_notebook', which needs neither, or leave out --operator. Nothing was created."
        )
    fields = ("gpu", "region", "cloud", "modal_environment", "workspace")
    usual = {each: getattr(settings, each) for each in fields if getattr(settings, each, None)}
    # Else ours: a day, ZenML's, is what a forgotten run would cost.
    if "timeout" in settings.model_fields_set:
        usual["timeout"] = settings.timeout
    token = (
        (settings.token_id, settings.token_secret) if settings.token_id and settings.token_secret else None
    )
    execution = "connected" if operator.flavor == STOCK else execution_on(stack, settings.execution, name)
    return Operator(name, operator.flavor, execution, True, usual, token)


def execution_on(stack: Stack, wanted: str, name: str) -> Execution:
    """Return how an operator of our flavor executes a step on a stack; `wanted` is its setting.

    Raises:
        InvalidRequestError: it is to be connected where a sandbox cannot reach ZenML.
    """
    missing = _why_local(stack)
    if wanted == "detached" or (wanted == "auto" and missing):
        return "detached"
    if missing:
        raise InvalidRequestError(
            f"The step operator '{name}' is to run connected (execution='connected'), but {missing}, so a "
            "sandbox could not reach it. Set execution to 'auto' or 'detached', or use a stack with a remote server "
            "and artifact store."
        )
    return "connected"


def of_component(component: Any, stack: Stack, wanted: str) -> Operator:
    """Return a component of our flavor as what it is on a stack; `wanted` is its setting `execution`.

    Raises:
        InvalidRequestError: it is to be connected where a sandbox cannot reach ZenML.
    """
    config = component.config
    token = (config.token_id, config.token_secret) if config.token_id and config.token_secret else None
    execution = execution_on(stack, wanted, component.name)
    return Operator(component.name, component.flavor, execution, True, {}, token)


def connection_of(
    operator: Operator, place: Place | None, environment: str | None, workspace: str | None
) -> Connection:
    """Return the open connection to the Modal that an operator runs on.

    Raises:
        ConnectionFailedError: no token, a refused token, another workspace than asked for, or no answer.
    """
    if not operator.stock and (operator.token is None or place == "local"):  # no token is needed here
        return connect(place, environment=environment, workspace=workspace)
    # ZenML's operator takes the profile that is active, whichever workspace is asked for.
    connection = connect("modal", environment=environment, token=operator.token)
    refuse_other_workspace(connection, workspace)
    return connection


def requirements() -> tuple[str, ...]:
    """Return what a sandbox needs to run ZenML's entrypoint on the active stack, at the versions here."""
    from zenml.client import Client

    wanted = Client().active_stack.requirements()
    names = {Requirement(each).name for each in wanted} | {"zenml", "modal", "cloudpickle"}
    installed = ((name, _version(name)) for name in sorted(names))
    return tuple(f"{name}=={version}" if version else name for name, version in installed)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _why_local(stack: Stack) -> str:
    """Say what of a stack a sandbox cannot reach; empty if it can reach it all."""
    from zenml.client import Client

    if Client().zen_store.is_local_store():
        return "ZenML's store is a database on this machine"
    if stack.artifact_store.config.is_local:
        return f"the artifact store '{stack.artifact_store.name}' is on this machine"
    return ""
