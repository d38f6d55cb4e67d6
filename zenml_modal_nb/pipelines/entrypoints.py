"""Steps of the user's own modules and scripts, run connected: the sandbox runs ZenML's entrypoint and records itself.

Here the sandbox is created, with an image of Modal's own builder, and its end is waited for as an event.
"""

from __future__ import annotations

import logging
import secrets
from functools import partial
from typing import TYPE_CHECKING, NoReturn
from uuid import UUID

from zenml.client import Client
from zenml.enums import ExecutionStatus

from zenml_modal_nb.errors import SandboxError
from zenml_modal_nb.events import Reason, Target
from zenml_modal_nb.pipelines import facts, launching, stops, submissions
from zenml_modal_nb.pipelines.docker import recipe_of
from zenml_modal_nb.pipelines.launching import Entrypoint
from zenml_modal_nb.pipelines.operators import connection_of, requirements
from zenml_modal_nb.pipelines.ordinary import gpu_of, name_at_modal
from zenml_modal_nb.pipelines.record import memory_mib
from zenml_modal_nb.pricing.meter import Meter
from zenml_modal_nb.request import DEFAULT_CPU, DEFAULT_MEMORY_MIB
from zenml_modal_nb.sandboxes import image as images
from zenml_modal_nb.sandboxes import layers
from zenml_modal_nb.sandboxes.depot import Depot
from zenml_modal_nb.sandboxes.launch import Launch
from zenml_modal_nb.sandboxes.life import SETTLE
from zenml_modal_nb.sandboxes.prices import priced
from zenml_modal_nb.sandboxes.termination import advice
from zenml_modal_nb.sandboxes.terms import OF_STEP
from zenml_modal_nb.sandboxes.watch import Watcher

if TYPE_CHECKING:
    from zenml.config.step_run_info import StepRunInfo
    from zenml.models import StepRunResponse

    from zenml_modal_nb.pipelines.flavor import ModalNotebookSettings
    from zenml_modal_nb.pipelines.operators import Operator
    from zenml_modal_nb.sandboxes.connection import Connection


logger = logging.getLogger(__name__)

_running: dict[UUID, Watcher] = {}  # by step run, from submission until its end has been taken notice of


def submit(
    operator_id: UUID,
    info: StepRunInfo,
    settings: ModalNotebookSettings,
    operator: Operator,
    entrypoint: Entrypoint,
) -> None:
    """Create the sandbox; why there is none `wait` tells, once Modal has been asked for it.

    Raises:
        StackComponentInterfaceError: settings that contradict each other or that Modal's builder cannot honour.
        ModalStepError: Modal cannot be asked, and why.
    """
    recipe = recipe_of(info.config.docker_settings)
    connection = connection_of(operator, None, settings.modal_environment, settings.workspace)
    spec = images.ImageSpec(
        recipe.base,
        recipe.apt,
        tuple(dict.fromkeys((*recipe.pip, *requirements()))),
        recipe.pip,
        own_source=True,
    )
    name = name_at_modal(info.pipeline.name)
    plan = layers.plan(spec, name, connection.label)
    environment = {**recipe.environment, **entrypoint.environment}
    target, meter = _target(info, settings, connection)
    _tell(target)
    size = {"cpu": target.cpu, "memory": target.memory_mib, "workdir": images.OWN_SOURCE}

    def start() -> Watcher:
        _running.pop(info.step_run_id, None)
        image = images.define(spec, plan.layers)
        with launching.refusals_told(connection, OF_STEP):
            arguments = launching.arguments_of(info, settings, connection, name, image, environment)
        launch = Launch(
            nonce=secrets.token_hex(16),
            parts=(),
            run={},
            python=spec.python,
            grace=float(settings.timeout),  # it needs nobody here, and is surely over then
            arguments={**arguments, **size},
            depot=Depot(connection.client, connection.environment, name),
            server=connection.server,
            terms=OF_STEP,
            command=entrypoint.command,
        )
        _running[info.step_run_id] = watcher = Watcher(launch, meter)
        submissions.bind(info.step_run_id, watcher)
        watcher.begin()
        return watcher

    try:
        sandbox_id = launching.created(start, info, lambda reason: _running[info.step_run_id].stop(reason))
        plan.keep()
        facts.publish_sandbox(operator_id, info, sandbox_id, target)
    except BaseException as error:
        if isinstance(error, SandboxError) and info.step_run_id in _running:
            return  # its outcome says the same
        _abandon(info.step_run_id)
        raise


def is_running(step_run_id: UUID) -> bool:
    """Tell whether a step was submitted here and its end has not been taken notice of."""
    return step_run_id in _running


def is_over(step_run_id: UUID, timeout: float = 0.0) -> bool:
    """Wait, at most `timeout` seconds, until a step has ended, or ZenML says so while Modal says nothing."""
    watcher = _running[step_run_id]
    return watcher.ended(timeout) or (watcher.is_away and _is_recorded(step_run_id))


def wait(step_run: StepRunResponse) -> ExecutionStatus:
    """Wait for the end and return what ZenML has of it; an interrupt, or a stop asked for elsewhere, ends the sandbox.

    Raises:
        RunStoppedException: the step was stopped.
        RunEndedError: the sandbox ended before the step had recorded how it ended, and why.
    """
    watcher = _running[step_run.id]
    try:
        stops.heed(partial(is_over, step_run.id), step_run.id, step_run.pipeline_run_id, watcher.stop)
        status = _recorded(step_run.id)
        if status is None:
            _raise_end(step_run, watcher)
    except BaseException:
        _abandon(step_run.id)
        raise
    _running.pop(step_run.id)
    return status


def _abandon(step_run_id: UUID) -> None:
    """Leave no sandbox of a step behind that nobody waits for any more."""
    watcher = _running.pop(step_run_id, None)
    if watcher is None:
        return
    watcher.stop(Reason.STOPPED)
    if not watcher.closed(SETTLE):
        logger.warning(
            "It is not confirmed that the step's sandbox has ended; %s", advice(watcher.sandbox_id)
        )


def _recorded(step_run_id: UUID) -> ExecutionStatus | None:
    """Return how the step has ended as ZenML has it, None if it has not."""
    found = Client().get_run_step(step_run_id, hydrate=False).status
    return found if found.is_finished or found == ExecutionStatus.RETRYING else None


def _is_recorded(step_run_id: UUID) -> bool:
    try:
        return _recorded(step_run_id) is not None
    except Exception as error:  # noqa: BLE001 - a laptop that has no network reaches neither
        logger.debug("Whether %s has ended is not known: %r", step_run_id, error)
        return False


def _raise_end(step_run: StepRunResponse, watcher: Watcher) -> NoReturn:
    ended: SandboxError
    try:
        ended = watcher.outcome()
    except SandboxError as error:
        ended = error
    stops.raise_if_by_hand(step_run, ended)
    raise ended


def _target(
    info: StepRunInfo, settings: ModalNotebookSettings, connection: Connection
) -> tuple[Target, Meter]:
    kind, count = gpu_of(settings, info)
    resources = info.config.resource_settings
    return priced(
        connection,
        step_name=info.pipeline_step_name,
        gpu=kind if kind is None or count == 1 else f"{kind}:{count}",
        cpu=resources.cpu_count or DEFAULT_CPU,
        memory_mib=memory_mib(resources) or DEFAULT_MEMORY_MIB,
        region=settings.region,
        cloud=settings.cloud,
        timeout=settings.timeout,
    )


def _tell(target: Target) -> None:
    """Say where a step runs and at what price, in the words of a cell's header, before there is anything to pay."""
    from zenml_modal_nb.rendering import words  # which a sandbox has no use for

    logger.info("Step `%s`: %s", target.step_name, words.SEPARATOR.join(words.facts(target)))
