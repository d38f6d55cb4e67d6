"""What is registered in the user's ZenML, by name."""

from __future__ import annotations

from zenml_modal_nb.pipelines import warmup


def step_operators() -> tuple[str, ...]:
    """Return the names of the step operators; waits for the warm-up, so call it on a thread that may."""
    warmup.hush()
    warmup.wait()
    from zenml.client import Client
    from zenml.enums import StackComponentType
    from zenml.utils.pagination_utils import depaginate

    found = depaginate(Client().list_stack_components, type=StackComponentType.STEP_OPERATOR)
    return tuple(sorted(each.name for each in found))
