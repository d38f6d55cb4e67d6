"""The arguments of a step that runs detached: what ZenML's StepRunner would call its function with, found here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, ValidationError
from zenml.client import Client
from zenml.config.step_configurations import Step
from zenml.exceptions import StepInterfaceError
from zenml.orchestrators.step_runner import StepRunner
from zenml.steps.utils import get_resolved_signature
from zenml.utils import pydantic_utils

if TYPE_CHECKING:
    from zenml.config.step_run_info import StepRunInfo

_LONGEST = 80  # characters of a value that a refusal shows


def arguments_of(info: StepRunInfo, function: Callable[..., Any]) -> dict[str, object]:
    """Load the inputs of a step that a pipeline has come to, and make of them what its annotations say.

    ZenML records parameters as JSON, and loads an input as what it was saved as, e.g. an int for a float.

    Raises:
        StepInterfaceError: a value is not what the annotation says, nor can it be made that.
    """
    # Not from the snapshot, which does not know the steps of a dynamic pipeline.
    configured = Step(spec=info.spec, config=info.config, step_config_overrides=info.config)
    runner = StepRunner(step=configured, stack=Client().active_stack)
    given = runner._parse_inputs(get_resolved_signature(function), info.step_run.regular_inputs)
    try:
        # As `BaseStep.call_entrypoint` does, which the sandbox has not.
        return pydantic_utils.validate_function_args(
            function, ConfigDict(arbitrary_types_allowed=True), **given
        )
    except ValidationError as error:
        found = "; ".join(
            f"{'.'.join(map(str, each['loc']))} is {_short(each['input'])} ({_first_lower(each['msg'])})"
            for each in error.errors(include_url=False)
        )
        raise StepInterfaceError(
            f"The step '{info.pipeline_step_name}' cannot take its arguments: {found}. Change the step's annotations, "
            "or what it is given. Nothing was created."
        ) from error


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _first_lower(text: str) -> str:
    return text[:1].lower() + text[1:]
