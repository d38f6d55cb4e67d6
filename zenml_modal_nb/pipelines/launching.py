"""From a job to a sandbox that is followed: Modal's arguments, in ZenML's own mapping of settings, and its creation."""

from __future__ import annotations

import getpass
import os
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from zenml.integrations.modal import sandbox_utils

from zenml_modal_nb.errors import SandboxError
from zenml_modal_nb.events import Reason
from zenml_modal_nb.pipelines import stops
from zenml_modal_nb.pipelines.record import memory_mib
from zenml_modal_nb.sandboxes import image as images
from zenml_modal_nb.sandboxes import layers, secrets, volumes
from zenml_modal_nb.sandboxes.connection import Connection
from zenml_modal_nb.sandboxes.depot import Depot
from zenml_modal_nb.sandboxes.ending import is_of_stopped_app, why_not_created
from zenml_modal_nb.sandboxes.follow import Follower
from zenml_modal_nb.sandboxes.launch import Launch
from zenml_modal_nb.sandboxes.life import Life
from zenml_modal_nb.sandboxes.terms import OF_CELL, OF_STEP, Terms

if TYPE_CHECKING:
    from zenml.config.step_run_info import StepRunInfo

    from zenml_modal_nb.pipelines.execution import CellJob, Execution
    from zenml_modal_nb.pipelines.flavor import ModalNotebookSettings


@dataclass(frozen=True, slots=True)
class Entrypoint:
    """What a connected step's sandbox is started with; from ZenML, to the step operator."""

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)  # with the server's token


def begin(
    info: StepRunInfo,
    execution: Execution,
    settings: ModalNotebookSettings,
    meanwhile: Callable[[], None],
    entrypoint: Entrypoint | None = None,
) -> str:
    """Create and follow the sandbox of a cell, or of a step that runs as one; returns its ID.

    `meanwhile` is called while Modal creates the sandbox.

    Raises:
        SandboxError: there is no sandbox, and why.
    """
    job = execution.job
    plan = layers.plan(job.image, job.notebook, job.connection.label)

    def start() -> Follower:
        with refusals_told(job.connection, _terms(job)):
            launch = _launch(info, job, settings, plan, entrypoint)
        execution.follow(Follower(launch, execution.observe, execution.meter))
        meanwhile()
        return execution.follower

    sandbox_id = created(start, info, execution.stop)
    plan.keep()
    return sandbox_id


def created(start: Callable[[], Life[Any]], info: StepRunInfo, stop: Callable[[Reason], None]) -> str:
    """Start a sandbox and return its ID when it exists; a stop asked for elsewhere is heeded meanwhile.

    An app that was stopped since it was found is looked up again, once.

    Raises:
        SandboxError: there is no sandbox, and why.
    """
    try:
        return _created(start(), info, stop)
    except SandboxError as error:
        if not is_of_stopped_app(error):
            raise
    app_of.cache_clear()
    return _created(start(), info, stop)


def _created(life: Life[Any], info: StepRunInfo, stop: Callable[[Reason], None]) -> str:
    stops.heed(life.is_created, info.step_run_id, info.run_id, stop)
    return life.created()


@contextmanager
def refusals_told(connection: Connection, terms: Terms) -> Iterator[None]:
    """Turn what Modal refuses before there is a sandbox to ask for, e.g. an unknown environment, into our words."""
    try:
        yield
    except Exception as error:
        raise why_not_created(error, connection.server, terms=terms) from error


def begin_of_zenml(execution: Execution, command: tuple[str, ...], arguments: Mapping[str, Any]) -> Any:
    """Create and follow the sandbox that ZenML's own operator asks for, with what it gives; return the sandbox.

    Raises:
        SandboxError: there is no sandbox, and why.
    """
    job, info = execution.job, execution.info
    assert info is not None
    client = job.connection.client
    launch = Launch(
        nonce=job.nonce,
        parts=(),
        run=job.run,
        python=job.image.python,
        grace=job.grace,
        arguments={**arguments, "client": client, "tags": tags_of(info)},
        depot=Depot(client, job.connection.environment, job.notebook),
        into=job.directory,
        server=job.connection.server,
        command=command,
    )
    execution.follow(Follower(launch, execution.observe, execution.meter))
    execution.sandbox_id = _created(execution.follower, info, execution.stop)
    return execution.follower.sandbox


def _launch(
    info: StepRunInfo,
    job: CellJob,
    settings: ModalNotebookSettings,
    plan: layers.Plan,
    entrypoint: Entrypoint | None,
) -> Launch:
    environment = {**job.environment, **volumes.environment(job.volumes)}
    if entrypoint is not None:
        environment |= entrypoint.environment
    stages = images.stages(job.image, plan.layers)
    arguments = arguments_of(info, settings, job.connection, job.notebook, stages[-1], environment)
    arguments["memory"] = arguments["memory"] or job.target.memory_mib
    arguments["secrets"] = [
        *arguments.get("secrets", []),
        *secrets.of(job.secrets, job.ephemeral, job.connection),
    ]
    if job.volumes:
        arguments["volumes"] = volumes.of(job.volumes, job.connection)
    if entrypoint is not None:
        arguments["workdir"] = images.OWN_SOURCE
    arguments["cpu"] = arguments["cpu"] or job.target.cpu
    return Launch(
        nonce=job.nonce,
        parts=job.parts if entrypoint is None else (),
        run=job.run,
        python=job.image.python,
        grace=job.grace,
        arguments=arguments,
        depot=Depot(job.connection.client, job.connection.environment, job.notebook),
        # Models that a GPU has trained are large.
        large_results=job.gpu_type is not None and entrypoint is None,
        into=job.directory,
        server=job.connection.server,
        why_built=plan.why,
        terms=_terms(job),
        stages=stages,
        command=() if entrypoint is None else entrypoint.command,
    )


def arguments_of(
    info: StepRunInfo,
    settings: ModalNotebookSettings,
    connection: Connection,
    notebook: str,
    image: Any,
    environment: Mapping[str, str],
) -> dict[str, Any]:
    """Return the arguments of a sandbox's creation, in ZenML's own mapping; raises what Modal's SDK raises.

    CPU and memory are what ZenML's settings say, None where they say nothing. `notebook` names the app.
    """
    resources = info.config.resource_settings
    arguments: dict[str, Any] = sandbox_utils.build_sandbox_create_kwargs(
        app=app_of(connection.client, f"zenml-modal-nb-{notebook}"[:64], connection.environment),
        image=image,
        settings=settings,
        resource_settings=resources,
        environment=dict(environment),
        modal_client=connection.client,
    )
    arguments["memory"] = memory_mib(resources)
    arguments["tags"] = tags_of(info)
    return arguments


def _terms(job: CellJob) -> Terms:
    return OF_STEP if job.ordinary else OF_CELL


@cache
def app_of(client: Any, name: str, environment: str | None) -> Any:
    """Return a Modal app, made if it is missing; many steps share one, since an account has a limit of them."""
    return sandbox_utils.lookup_modal_app(name, modal_environment=environment, modal_client=client)


def tags_of(info: StepRunInfo) -> dict[str, str]:
    """What finds a sandbox whose ID never reached us, and tells a user's own from another's."""
    return {
        "zenml_modal_nb_user": _user(),
        "zenml_modal_nb_machine": platform.node()[:64],
        "zenml_modal_nb_kernel": str(os.getpid()),
        "zenml_step_run": str(info.step_run_id),
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a uid without a name, as in many containers
        return str(os.getuid())
