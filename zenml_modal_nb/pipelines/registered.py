"""What is registered in the user's ZenML, by name."""

from __future__ import annotations

from zenml_modal_nb.pipelines import warmup
from zenml_modal_nb.pipelines.inventory import component_names, stack_names


def step_operators() -> tuple[str, ...]:
    """Return the names of the step operators; waits for the warm-up, so call it on a thread that may."""
    warmup.hush()
    warmup.wait()
    return component_names("step_operator")


def stacks() -> tuple[str, ...]:
    """Return the names of all stacks; waits as `step_operators` does."""
    warmup.hush()
    warmup.wait()
    return stack_names()
