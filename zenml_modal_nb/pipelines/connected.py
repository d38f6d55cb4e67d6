"""Cells on a connected stack: the sandbox runs ZenML's own step entrypoint, the notebook follows the sandbox.

The cell travels as an artifact, its step's module as ZenML's code download. ZenML's own operator is left as it is and
asked to submit as for any step; only who creates the sandbox, with the arguments that it gives, and who waits are
others: `dispatch` replaces three functions, and a test fails when they move.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zenml_modal_nb.errors import SandboxError
from zenml_modal_nb.pipelines import cell_error
from zenml_modal_nb.sandboxes.ending import why_not_created
from zenml_modal_nb.sandboxes.launch import packed

if TYPE_CHECKING:
    from zenml.config import DockerSettings
    from zenml.enums import ExecutionStatus
    from zenml.models import ArtifactVersionResponse, StepRunResponse

    from zenml_modal_nb.pipelines.execution import CellJob, Execution
    from zenml_modal_nb.sandboxes.image import ImageSpec

CELL = "zenml_modal_nb_cell"  # the step's parameter that brings the cell
# Rooms of this package that nothing in a sandbox asks for.
_NOT_THERE = (
    "__pycache__", "emulator", "magics", "picker", "doctor", "notebooks", "rendering", "cells", "run", "*.md",
)  # fmt: skip


def save_cell(job: CellJob) -> ArtifactVersionResponse:
    """Save what the runner reads, and the nonce by which its frames are known, as an artifact of bytes."""
    from zenml import save_artifact

    run = {**job.run, "declared": job.module.outputs}
    content = job.nonce.encode() + b"\n" + packed(job.parts, run)
    return save_artifact(content, CELL, include_visualizations=False)


@contextmanager
def code_directory(job: CellJob, module: str) -> Iterator[Path]:
    """Make a directory with what the sandbox imports: the step's module and this package, which its image lacks."""
    with tempfile.TemporaryDirectory(prefix="zenml-modal-nb-") as temporary:
        directory = Path(temporary)
        (directory / f"{module}.py").write_text(_module_text(job), encoding="utf-8")
        package = Path(__file__).parents[1]
        shutil.copytree(package, directory / package.name, ignore=shutil.ignore_patterns(*_NOT_THERE))
        yield directory


def is_prebuilt(image: ImageSpec) -> bool:
    """Tell whether ZenML's operator takes an image as it is: the user has named one, and nothing to be added."""
    return image.base is not None and not (image.apt or image.asked)


def docker_settings(job: CellJob) -> DockerSettings:
    """Return how ZenML gets a cell's image: as it is with --image alone, else built with what the cell needs."""
    from zenml.config import DockerSettings

    image = job.image
    code: dict[str, Any] = {
        "allow_including_files_in_images": False,
        "allow_download_from_code_repository": False,
    }
    if is_prebuilt(image):
        return DockerSettings(parent_image=image.base, skip_build=True, **code)
    return DockerSettings(
        parent_image=image.base, requirements=list(image.pip), apt_packages=list(image.apt), **code
    )


def _module_text(job: CellJob) -> str:
    outputs = job.module.outputs
    returned = [f'Annotated[Any, "{name}"]' for name in outputs]
    annotation = f"tuple[{', '.join(returned)}]" if len(returned) > 1 else (returned or ["None"])[0]
    # ZenML reads several outputs off a return statement that names them.
    values = ", ".join(f"values[{number}]" for number in range(len(outputs)))
    return (
        "from typing import Annotated, Any\n\n"
        "from zenml import step\n\n"
        "from zenml_modal_nb.pipelines.step_body import run_cell\n\n\n"
        "@step\n"
        f"def {job.module.function}({CELL}: Any) -> {annotation}:\n"
        f"    values = run_cell({CELL}, {outputs!r})\n"
        f"    return {values or None}\n"
    )


@cache
def dispatch() -> None:
    """Let ZenML's operator submit a cell's step as any other; the cell's own run creates its sandbox and waits for it.

    A creation by ZenML's own call could not be ended before Modal answers, with a GPU after minutes.
    """
    from zenml.integrations.modal import sandbox_utils
    from zenml.integrations.modal.step_operators import ModalStepOperator

    from zenml_modal_nb.pipelines import execution as executions
    from zenml_modal_nb.pipelines import facts, launching

    submit, wait = ModalStepOperator.submit, ModalStepOperator.wait
    create = sandbox_utils.create_modal_sandbox

    def submit_cell(self: Any, info: Any, entrypoint_command: list[str], environment: dict[str, str]) -> None:
        execution = executions.current()
        if execution is None:
            return submit(self, info, entrypoint_command, environment)
        facts.publish_identity(self.id, info, execution)
        facts.open_record(info, execution)
        try:
            submit(self, info, entrypoint_command, environment)
        except SandboxError as error:
            execution.ended = error  # `wait` records it: here it would be taken for ZenML's own
        except Exception as error:  # noqa: BLE001 - as above; Modal's, e.g. an unknown environment
            execution.ended = why_not_created(error, execution.job.connection.server)
        else:
            facts.publish_plan(self.id, info, execution.job)
        return None

    def create_of_cell(entrypoint_command: list[str], **asked: Any) -> Any:
        execution = executions.current()
        if execution is None:
            return create(entrypoint_command, **asked)
        arguments = sandbox_utils.build_sandbox_create_kwargs(**asked)
        return launching.begin_of_zenml(execution, tuple(entrypoint_command), arguments)

    def wait_for_cell(self: Any, step_run: StepRunResponse) -> ExecutionStatus:
        execution = executions.current()
        return wait(self, step_run) if execution is None else wait_connected(self.id, step_run, execution)

    ModalStepOperator.submit = submit_cell  # type: ignore[method-assign]
    ModalStepOperator.wait = wait_for_cell  # type: ignore[method-assign]
    sandbox_utils.create_modal_sandbox = create_of_cell


def wait_connected(operator: Any, step_run: StepRunResponse, execution: Execution) -> ExecutionStatus:
    """Wait for the cell's results and for the step that records them; returns how ZenML has it.

    Raises:
        RunStoppedException: the run was stopped; ZenML then records it as stopped.
        Exception: what the cell raised, or why it could not end.
    """
    from zenml.client import Client

    from zenml_modal_nb.pipelines import facts, stops

    if execution.ended is None:
        stops.take_outcome(execution)
        execution.follower.closed(None)
    facts.publish_bill(operator, step_run, execution)
    stops.raise_if_by_hand(step_run, execution.ended)
    if execution.ended is not None:
        with facts.reason_kept():
            raise execution.ended
    if execution.cell_error is not None:
        execution.raised = cell_error.restore(execution.cell_error, execution.read_error)
        raise cell_error.recordable(execution.raised)
    recorded = Client().get_run_step(step_run.id)
    execution.saved = {name: found[0].id for name, found in recorded.outputs.items()}
    return recorded.status
