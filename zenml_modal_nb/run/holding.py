"""Which options hold with which step operator; one that does not is refused before anything is created."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from zenml_modal_nb.errors import InvalidRequestError
from zenml_modal_nb.pipelines.operators import Operator
from zenml_modal_nb.request import StepRequest

KINDS = ("detached", "connected, our flavor", "connected, ZenML's flavor")

_CREDENTIALS = "its own Modal credentials say where it runs"
_NO_PLACE = "it has no place for it in what it gives to Modal"
_STAYS = "the cell's outcome stays with ZenML, as artifacts of the step"

# What does not hold, and why; options that are not here hold with all.
LACKS: Mapping[str, Mapping[str, str]] = {
    "detached": {},
    "connected, our flavor": {"--cache": _STAYS},
    "connected, ZenML's flavor": {
        "--on": _CREDENTIALS,
        "--env K": _NO_PLACE,
        "--secret": _NO_PLACE,
        "--volume": _NO_PLACE,
        "--cache": _STAYS,
        "--define": "the step's code would have to be a file of yours",
    },
}
_ASKED: Mapping[str, Callable[[StepRequest], bool]] = {
    "--on": lambda request: request.on is not None,
    "--env K": lambda request: any(value is None for _, value in request.env),
    "--secret": lambda request: bool(request.secrets),
    "--volume": lambda request: bool(request.volumes),
    "--cache": lambda request: request.cache,
    "--define": lambda request: request.define,
}


def refuse_lacking(request: StepRequest, operator: Operator) -> None:
    """Raise InvalidRequestError for an option that does not hold with the operator."""
    for option, why in LACKS[operator.kind].items():
        if not _ASKED[option](request):
            continue
        told = "ZenML's flavor 'modal'" if operator.stock else "flavor 'modal_notebook', run connected"
        raise InvalidRequestError(
            f"{option} does not hold with the step operator '{operator.name}' of {told}: {why}. Leave it out "
            f"(--no-{option.split()[0].removeprefix('--')} drops a default), or use another operator. "
            "Nothing was created."
        )
