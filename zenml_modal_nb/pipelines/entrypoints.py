"""Steps of the user's own modules and scripts, run connected: the sandbox runs ZenML's entrypoint and records itself.

Here the sandbox is created, with an image of Modal's own builder, and its end is waited for as an event.
"""

from __future__ import annotations

import logging
import secrets
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from zenml.client import Client
from zenml.enums import ExecutionStatus
from zenml.exceptions import RunStoppedException
from zenml.integrations.modal import sandbox_utils

from zenml_modal_nb.errors import SandboxError
from zenml_modal_nb.pipelines import facts, stops
from zenml_modal_nb.pipelines.docker import recipe_of
from zenml_modal_nb.pipelines.launching import Entrypoint, app_of, tags_of
from zenml_modal_nb.pipelines.operators import connection_of, requirements
from zenml_modal_nb.pipelines.ordinary import gpu_of, name_at_modal
from zenml_modal_nb.pipelines.record import memory_mib
from zenml_modal_nb.request import DEFAULT_CPU, DEFAULT_MEMORY_MIB
from zenml_modal_nb.sandboxes import image as images
from zenml_modal_nb.sandboxes import layers, loop
from zenml_modal_nb.sandboxes.creation import create
from zenml_modal_nb.sandboxes.depot import Depot
from zenml_modal_nb.sandboxes.ending import why_not_created, why_step_ended
from zenml_modal_nb.sandboxes.launch import Launch
from zenml_modal_nb.sandboxes.termination import advice, terminate
from zenml_modal_nb.sandboxes.terms import OF_STEP

if TYPE_CHECKING:
    from zenml.config.step_run_info import StepRunInfo
    from zenml.models import StepRunResponse

    from zenml_modal_nb.pipelines.flavor import ModalNotebookSettings
    from zenml_modal_nb.pipelines.operators import Operator


logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EntrypointRun:
    """One step's sandbox; `ended` is set at its end, however that comes."""

    sandbox: Any
    ended: threading.Event
    server: str


_running: dict[UUID, EntrypointRun] = {}  # by step run, from submission to end


def submit(
    operator_id: UUID,
    info: StepRunInfo,
    settings: ModalNotebookSettings,
    operator: Operator,
    entrypoint: Entrypoint,
) -> None:
    """Create the sandbox.

    Raises:
        StackComponentInterfaceError: settings that contradict each other or that Modal's builder cannot honour.
        ModalStepError: there is no sandbox, and why.
    """
    gpu_of(settings, info)
    recipe = recipe_of(info.config.docker_settings)
    connection = connection_of(operator, None, settings.modal_environment, settings.workspace)
    spec = images.ImageSpec(
        recipe.base,
        recipe.apt,
        tuple(dict.fromkeys((*recipe.pip, *requirements()))),
        recipe.pip,
        own_source=True,
    )
    resources = info.config.resource_settings
    name = name_at_modal(info.pipeline.name)
    plan = layers.plan(spec, name, connection.label)
    environment = {**recipe.environment, **entrypoint.environment}
    try:
        arguments: dict[str, Any] = sandbox_utils.build_sandbox_create_kwargs(
            app=app_of(connection.client, f"zenml-modal-nb-{name}"[:64], connection.environment),
            image=images.define(spec, plan.layers),
            settings=settings,
            resource_settings=resources,
            environment=environment,
            modal_client=connection.client,
        )
    except Exception as error:  # Modal's
        raise why_not_created(error, connection.server, terms=OF_STEP) from error
    arguments["cpu"] = arguments["cpu"] or DEFAULT_CPU
    arguments["memory"] = memory_mib(resources) or DEFAULT_MEMORY_MIB
    arguments |= {"workdir": images.OWN_SOURCE, "tags": tags_of(info)}
    launch = Launch(
        nonce=secrets.token_hex(16),
        parts=(),
        run={},
        python=spec.python,
        grace=0.0,
        arguments=arguments,
        depot=Depot(connection.client, connection.environment, name),
        server=connection.server,
        terms=OF_STEP,
        command=entrypoint.command,
    )
    try:
        sandbox = create(launch)
    except KeyboardInterrupt:
        facts.publish_stopped(info.step_run)
        raise
    plan.keep()
    run = EntrypointRun(sandbox, threading.Event(), connection.server)
    threading.Thread(target=_watch, args=(run,), name="zenml-modal-nb-step", daemon=True).start()
    _running[info.step_run_id] = run
    try:
        facts.publish_sandbox(operator_id, info, sandbox.object_id)
    except BaseException:
        _end(sandbox)
        raise


def is_running(step_run_id: UUID) -> bool:
    """Tell whether a step was submitted here and its end has not been taken notice of."""
    return step_run_id in _running


def wait(step_run: StepRunResponse) -> ExecutionStatus:
    """Wait for the end and return what ZenML has of it; an interrupt, or a stop asked for elsewhere, ends the sandbox.

    Raises:
        RunStoppedException: the step was stopped.
        RunEndedError: the sandbox ended before the step had recorded how it ended, and why.
    """
    run = _running[step_run.id]
    try:
        while not run.ended.wait(stops.LOOK):
            if stops.is_asked_for(step_run.id, step_run.pipeline_run_id):
                _stop(step_run, run)
                raise RunStoppedException(f"The step {step_run.name} was stopped.")
        return _status(step_run, run)
    except KeyboardInterrupt:
        _stop(step_run, run)
        raise
    finally:
        _running.pop(step_run.id, None)


def status(step_run: StepRunResponse) -> ExecutionStatus:
    """Tell how a step is that nobody waits for, e.g. one of a dynamic pipeline; a stop asked for elsewhere ends it."""
    run = _running[step_run.id]
    if not run.ended.is_set():
        if not stops.is_asked_for_now(step_run):
            return ExecutionStatus.RUNNING
        _stop(step_run, run)
        _forget(step_run)
        return ExecutionStatus.STOPPED
    try:
        with facts.reason_kept():
            return _status(step_run, run)
    except SandboxError as error:
        logger.error("The step `%s` has failed: %s", step_run.name, error)  # ZenML itself tells no reason
        return ExecutionStatus.FAILED
    finally:
        _forget(step_run)


def cancel(step_run: StepRunResponse) -> None:
    """End the sandbox of a step that was submitted here; `status` tells that it was stopped."""
    stops.cancel(step_run)
    _end(_running[step_run.id].sandbox)


def _forget(step_run: StepRunResponse) -> None:
    _running.pop(step_run.id, None)
    stops.forget(step_run.id)


def _stop(step_run: StepRunResponse, run: EntrypointRun) -> None:
    _end(run.sandbox)
    stops.publish(step_run)


def _end(sandbox: Any) -> None:
    if not loop.start(terminate(sandbox)).result():
        logger.warning(
            "It is not confirmed that sandbox %s has ended; %s", sandbox.object_id, advice(sandbox.object_id)
        )


def _status(step_run: StepRunResponse, run: EntrypointRun) -> ExecutionStatus:
    found = Client().get_run_step(step_run.id, hydrate=False).status
    if found.is_finished or found == ExecutionStatus.RETRYING:
        return found
    if stops.is_cancelled(step_run):
        stops.publish(step_run)
        return ExecutionStatus.STOPPED
    raise loop.start(why_step_ended(run.sandbox)).result()


def _watch(run: EntrypointRun) -> None:
    try:
        run.sandbox.wait(raise_on_termination=False)
    finally:
        run.ended.set()
