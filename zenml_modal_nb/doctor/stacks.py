"""Checks of the user's ZenML: its store, our registration, the stack, what ZenML's own step operator needs of it."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from importlib import metadata

from zenml_modal_nb.doctor.addresses import Resolve, look_up, why_unreachable
from zenml_modal_nb.doctor.examination import Examination
from zenml_modal_nb.doctor.finding import Finding, ok, problem, skipped, warning
from zenml_modal_nb.pipelines import inventory, registration
from zenml_modal_nb.pipelines.inventory import Component, Stack, Store, silently
from zenml_modal_nb.pipelines.stack import NAME

_SETUP = "zenml-modal-nb setup"
# What a step in a sandbox does not talk to.
_NOT_ASKED = frozenset(
    {"orchestrator", "image_builder", "step_operator", "deployer", "model_deployer", "sandbox"}
)
# Examples; the words in capitals are the user's to fill in.
_REGISTER = {
    "step_operator": "zenml step-operator register modal --flavor=modal",
    "artifact_store": "zenml artifact-store register remote_store --flavor=s3 --path=s3://BUCKET",
    "container_registry": "zenml container-registry register registry --flavor=default --uri=HOST/PROJECT",
    "image_builder": "zenml image-builder register builder --flavor=local",
}
_NAMES = {
    "step_operator": "modal",
    "artifact_store": "remote_store",
    "container_registry": "registry",
    "image_builder": "builder",
}
# As ZenML's command line writes them, with underscores but for one.
_FLAGS = {kind: f"--{kind}" for kind in _REGISTER} | {"artifact_store": "--artifact-store"}


def check_store(examined: Examination) -> Iterator[Finding]:
    """Open ZenML's store."""
    store = examined.store = silently(inventory.store)
    yield describe_store(store, metadata.version("zenml"))


def describe_store(store: Store, own_version: str) -> Finding:
    """Say where the records are, and whether the ZenML there is another than this one."""
    where = "on this machine" if store.local else "a server"
    found = f"{store.url} ({where}, ZenML {store.version})"
    if store.version == own_version:
        return ok("zenml store", found)
    return warning(
        "zenml store", f"{found}; here is ZenML {own_version}", f'pip install "zenml[local]=={store.version}"'
    )


def check_registration(examined: Examination) -> Iterator[Finding]:
    """Say whether our flavor, operator and stack are registered."""
    if examined.store is None:
        yield skipped("registration", "not known without ZenML's store")
        return
    missing = [part for part in silently(registration.plan_own) if not part.there]
    named = ", ".join(part.what for part in missing)
    if not missing:
        yield ok("registration", f"flavor, step operator and stack '{NAME}' are registered")
    elif any(part.question for part in missing):
        yield problem("registration", f"{named}: not as registered by this package", _SETUP)
    else:
        yield warning("registration", f"{named} not registered yet; the first cell does that too", _SETUP)


def check_stack(examined: Examination) -> Iterator[Finding]:
    """Say which stack is active, or examined, and which step operators it has."""
    asked = examined.scope.stack
    if examined.store is None:
        yield skipped("stack", "not known without ZenML's store")
        return
    try:
        stack = examined.stack = silently(lambda: inventory.stack(asked))
    except KeyError:
        names = ", ".join(silently(inventory.stack_names))
        yield problem("stack", f"there is no stack '{asked}'; there are: {names}", "zenml stack list")
        return
    operators = ", ".join(f"'{each.name}' ({each.flavor})" for each in stack.of_kind("step_operator"))
    state = "as asked for" if asked else "active"
    cells = "" if asked else f"; cells without --operator run on '{NAME}'"
    yield ok("stack", f"'{stack.name}', {state}, step operators: {operators or 'none'}{cells}")


def check_components(examined: Examination) -> Iterator[Finding]:
    """Say what ZenML's own Modal step operator still lacks, each with the commands that add it."""
    stack, store = examined.stack, examined.store
    if stack is None or store is None:
        yield skipped("stock operator", "not examined without the stack")
        return
    if not _is_stock(examined, stack):
        yield skipped(
            "stock operator",
            f"stack '{stack.name}' has none of flavor 'modal'; "
            f"`zenml-modal-nb doctor --stack {shlex.quote(stack.name)}` says what one would need",
        )
        return
    if store.local:
        yield problem(
            "server", "ZenML refuses remote components with a store on this machine", "zenml login URL"
        )
    if silently(partial(registration.is_fixed, stack.name)):
        copy = f"zenml stack copy {shlex.quote(stack.name)} {registration.COPY}"
        yield problem("stack", f"ZenML does not let '{stack.name}' be changed; a copy can be", copy)
        stack = replace(stack, name=registration.COPY)
    yield _operator(stack)
    for kind in ("artifact_store", "container_registry"):
        yield _remote(stack, kind)
    yield _builder(stack)


def check_addresses(examined: Examination, resolve: Resolve = look_up) -> Iterator[Finding]:
    """Name the addresses of server and stores that a sandbox at Modal could not reach."""
    stack, store = examined.stack, examined.store
    if stack is None or store is None:
        yield skipped("addresses", "not known without the stack")
        return
    stock = _is_stock(examined, stack)
    if not stock and (stack.operator(NAME) is None or _stays_here(stack, store.local)):
        yield skipped("addresses", f"sandboxes of stack '{stack.name}' do not talk to ZenML")
        return
    if examined.place == "local":
        yield ok("addresses", "sandboxes on this machine reach what it reaches")
        return
    told = problem if stock else warning
    unreachable = False
    for what, address in _addresses(stack, None if store.local else store.url):
        if (why := why_unreachable(address, resolve)) is not None:
            unreachable = True
            yield told("addresses", f"{what} {address}: a sandbox cannot reach it, {why}", *_moves(stock))
    if not unreachable:
        yield ok("addresses", "nothing on this machine or in a private network")


def _is_stock(examined: Examination, stack: Stack) -> bool:
    return examined.scope.stack is not None or stack.operator(registration.STOCK) is not None


def _stays_here(stack: Stack, local_store: bool) -> bool:
    """Whether our operator runs detached, as it does unless records and artifacts are both elsewhere."""
    return local_store or any(each.local for each in stack.of_kind("artifact_store"))


def _operator(stack: Stack) -> Finding:
    found = stack.operator(registration.STOCK)
    if found is not None:
        return ok("step operator", f"'{found.name}' of flavor 'modal'")
    registered = silently(lambda: inventory.component_names("step_operator", registration.STOCK))
    if registered:
        return problem(
            "step operator", "none of flavor 'modal'", _update(stack, "step_operator", registered[0])
        )
    return problem("step operator", "none of flavor 'modal'", *_commands(stack, "step_operator"))


def _remote(stack: Stack, kind: str) -> Finding:
    name = kind.replace("_", " ")
    there = stack.of_kind(kind)
    if not there:
        return problem(name, "missing", *_commands(stack, kind))
    if there[0].local:
        return problem(name, f"{_named(there[0])} is on this machine", *_commands(stack, kind))
    return ok(name, _named(there[0]))


def _builder(stack: Stack) -> Finding:
    name = "image builder"
    there = stack.of_kind("image_builder")
    if not there:
        return problem(name, "missing", *_commands(stack, "image_builder"))
    if there[0].flavor == "local" and shutil.which("docker") is None:
        return warning(
            name,
            f"{_named(there[0])} needs Docker, which is not installed here",
            "Install Docker, or use a prebuilt image: DockerSettings(parent_image=…, skip_build=True).",
        )
    return ok(name, _named(there[0]))


def _named(component: Component) -> str:
    return f"'{component.name}' of flavor '{component.flavor}'"


def _commands(stack: Stack, kind: str) -> tuple[str, ...]:
    return (_REGISTER[kind], _update(stack, kind, _NAMES[kind]))


def _update(stack: Stack, kind: str, name: str) -> str:
    if kind == "step_operator":
        (command,) = registration.adding(stack.name, [each.name for each in stack.of_kind(kind)], name)
        return command
    return f"zenml stack update {shlex.quote(stack.name)} {_FLAGS[kind]} {shlex.quote(name)}"


def _addresses(stack: Stack, server: str | None) -> Iterator[tuple[str, str]]:
    if server is not None:
        yield "the ZenML server", server
    for each in stack.components:
        if each.kind not in _NOT_ASKED:
            for address in each.addresses:
                if not (each.local and each.kind in _REGISTER):  # told with the components
                    yield f"{each.kind.replace('_', ' ')} '{each.name}'", address


def _moves(stock: bool) -> tuple[str, ...]:
    if not stock:
        return ("Detached cells do not need it; connected ones need a public address.",)
    return (
        f"Give it a public address, or let cells run on '{NAME}', without --operator, where none is needed.",
    )
