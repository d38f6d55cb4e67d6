"""What `setup` registers in the user's ZenML, and what of it is there; which stack is active stays as it is."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zenml_modal_nb.errors import ModalStepError
from zenml_modal_nb.pipelines import stack as own
from zenml_modal_nb.pipelines.inventory import component_names, stack_names

if TYPE_CHECKING:
    from zenml.client import Client
    from zenml.models import ComponentResponse, StackResponse

STOCK = "modal"  # the flavor of ZenML's own step operator for Modal
COPY = "my_stack"  # in commands, of a stack that ZenML does not let be changed


class RegistrationError(ModalStepError):
    """Something of the user's stands in the way; says what, and which command moves it."""


@dataclass(frozen=True, slots=True)
class Part:
    """A flavor, a step operator or a stack; made by the plans below, carried out by `doctor.setup`.

    `there` says that nothing is to be done; `question` is to be asked first, since the part changes what exists.
    """

    what: str
    done: str  # what is told afterwards
    carry_out: Callable[[], object] | None = None
    question: str = ""

    @property
    def there(self) -> bool:
        """Whether it is as it should be already."""
        return self.carry_out is None


def plan_own() -> tuple[Part, ...]:
    """Return our flavor, step operator and stack.

    Errors: RegistrationError if our names belong to something else.
    """
    from zenml.client import Client

    client = Client()
    return (_flavor(client), _operator(client, own.NAME, own.NAME), _own_stack(client))


def plan_stack(name: str, flavor: str) -> tuple[Part, ...]:
    """Return what gives the stack `name` a step operator of `flavor`, ours or ZenML's own.

    Errors: RegistrationError if there is no such stack, or a name belongs to something else.
    """
    from zenml.client import Client

    client = Client()
    try:
        found = client.get_stack(name, allow_name_prefix_match=False)
    except KeyError:
        raise RegistrationError(
            f"There is no stack '{name}'. There are: {', '.join(stack_names())}."
        ) from None
    if is_fixed(found.name):  # the user may have named it by its ID
        raise RegistrationError(
            f"ZenML does not let the stack '{name}' be changed; nothing was. "
            f"Copy it with `zenml stack copy {name} NEW_NAME`, then name the copy."
        )
    there = [each.name for each in _operators(found) if each.flavor_name == flavor]
    if there:
        return (Part(f"step operator '{there[0]}' of stack '{name}'", f"is there, of flavor '{flavor}'"),)
    # One that the user has registered, with its token and environment, rather than another.
    registered = component_names("step_operator", flavor)
    operator = registered[0] if len(registered) == 1 else flavor
    parts = () if flavor == STOCK else (_flavor(client),)
    return (*parts, _operator(client, operator, flavor), _added(client, found, operator))


def is_fixed(stack: str) -> bool:
    """Whether it is ZenML's own stack, which it keeps as it is."""
    from zenml.constants import DEFAULT_STACK_AND_COMPONENT_NAME

    return stack == DEFAULT_STACK_AND_COMPONENT_NAME


def adding(stack: str, there: Iterable[str], operator: str) -> tuple[str, ...]:
    """Return the commands that add a step operator to a stack, which has others already."""
    # Those that are named take the place of those that are there, so these are named too.
    flags = " ".join(f"--step_operator {shlex.quote(each)}" for each in (*there, operator))
    if is_fixed(stack):
        return f"zenml stack copy {shlex.quote(stack)} {COPY}", f"zenml stack update {COPY} {flags}"
    return (f"zenml stack update {shlex.quote(stack)} {flags}",)


def _flavor(client: Client) -> Part:
    from zenml.enums import StackComponentType
    from zenml.models import FlavorUpdate

    kind = StackComponentType.STEP_OPERATOR
    what = f"flavor '{own.NAME}'"
    try:
        found = client.get_flavor_by_name_and_type(own.NAME, kind)
    except KeyError:
        return Part(what, "registered", lambda: own.register_flavor(client))
    if found.source == own.FLAVOR_SOURCE:
        return Part(what, "is there")

    def replace() -> None:
        # Not deleted: ZenML keeps a flavor that step operators are of, and they stay as they are.
        client.zen_store.update_flavor(found.id, FlavorUpdate.model_validate(dict(own.flavor_request())))

    of_it = ", ".join(component_names("step_operator", own.NAME))
    also = f", also for the step operators that are of it ({of_it})" if of_it else ""
    question = f"The {what} is another one, {found.source}. Replace it by {own.FLAVOR_SOURCE}{also}?"
    return Part(what, "replaced", replace, question)


def _operator(client: Client, name: str, flavor: str) -> Part:
    from zenml.enums import StackComponentType

    kind = StackComponentType.STEP_OPERATOR
    what = f"step operator '{name}'"
    try:
        found = client.get_stack_component(kind, name, allow_name_prefix_match=False)
    except KeyError:
        return Part(
            what,
            f"registered, of flavor '{flavor}'",
            lambda: client.create_stack_component(name, flavor, kind, configuration={}),
        )
    if found.flavor_name == flavor:
        return Part(what, "is there")
    raise RegistrationError(
        f"The {what} is of flavor '{found.flavor_name}', not '{flavor}'; nothing was changed. "
        f"Give it another name with `zenml step-operator rename {name} NEW_NAME`, then run setup again."
    )


def _own_stack(client: Client) -> Part:
    what = f"stack '{own.NAME}'"
    with suppress(KeyError):
        found = client.get_stack(own.NAME, allow_name_prefix_match=False)
        if any(each.flavor_name == own.NAME for each in _operators(found)):
            return Part(what, "is there")
        return _added(client, found, own.NAME, first=True)
    return Part(what, "registered", own.own_stack)


def _added(client: Client, stack: StackResponse, operator: str, *, first: bool = False) -> Part:
    """Add a step operator; ZenML takes a stack's first one by default, which on a user's own stack stays theirs."""
    from zenml.enums import StackComponentType

    now = [each.name for each in _operators(stack)]
    then = [operator, *now] if first else [*now, operator]

    def add() -> None:
        client.update_stack(stack.name, component_updates={StackComponentType.STEP_OPERATOR: then})

    question = (
        f"Add the step operator '{operator}' to the stack '{stack.name}' "
        f"(step operators now: {', '.join(now) or 'none'})?"
    )
    return Part(f"stack '{stack.name}'", f"has the step operator '{operator}' now", add, question)


def _operators(stack: StackResponse) -> list[ComponentResponse]:
    from zenml.enums import StackComponentType

    return stack.components.get(StackComponentType.STEP_OPERATOR, [])
