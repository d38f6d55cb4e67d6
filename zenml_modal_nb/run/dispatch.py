"""What a step operator that the user has named means for a cell: its settings, its Modal, its image."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from zenml_modal_nb.errors import InvalidRequestError
from zenml_modal_nb.pipelines.connected import CELL
from zenml_modal_nb.pipelines.operators import Operator, find, requirements
from zenml_modal_nb.pricing import gpus
from zenml_modal_nb.run.holding import refuse_lacking
from zenml_modal_nb.sandboxes.image import ImageSpec

if TYPE_CHECKING:
    from zenml_modal_nb.cells.cell import AnalyzedCell
    from zenml_modal_nb.request import StepRequest


def choose(request: StepRequest) -> tuple[StepRequest, Operator]:
    """Return the operator, and the request with the settings of the component where the user has said nothing.

    Raises:
        InvalidRequestError: there is no such operator, or an option does not hold with it.
    """
    if request.operator is None:
        return request, Operator()
    operator = find(request.operator)
    if request.define and not operator.stock:  # its code is in this kernel only
        operator = replace(operator, execution="detached")
    refuse_lacking(request, operator)
    usual = {name: value for name, value in operator.usual.items() if not request.says(name)}
    usual |= _gpus(request, operator)
    return replace(request, **usual, explicit=()), operator


def _gpus(request: StepRequest, operator: Operator) -> dict[str, Any]:
    """Return type and count where the user has named no type: a count that was said is one of the component's."""
    if request.says("gpu"):
        return {}
    registered = operator.usual.get("gpu")
    if registered is None:
        if request.gpu_count != 1:
            raise InvalidRequestError(
                f"--gpu-count {request.gpu_count} needs a type, and the step operator '{operator.name}' has none. "
                "Write, for example, --gpu A100 as well; --no-gpu-count drops a default. Nothing was created."
            )
        return {}
    try:
        gpu, count = gpus.read(registered)
    except InvalidRequestError as error:
        raise InvalidRequestError(
            f"The step operator '{operator.name}' is registered with gpu='{registered}'. {error} Name another with "
            f"--gpu, or change it with `zenml step-operator update {operator.name} --gpu=TYPE`."
        ) from None
    if request.says("gpu_count"):
        count = gpus.check_count(gpu, request.gpu_count)
    return {"gpu": gpu, "gpu_count": count}


def image_of(request: StepRequest, analyzed: AnalyzedCell, operator: Operator) -> ImageSpec:
    """Return what goes into the image; ZenML and what the stack needs too, where its entrypoint runs there."""
    found = analyzed.requirements
    image = ImageSpec(request.image, request.apt, found.pinned, found.asked)
    if not operator.connected or operator.stock:
        return image
    return replace(image, pip=tuple(dict.fromkeys((*image.pip, *requirements()))), own_source=True)


def parameters_of(names: Iterable[str], operator: Operator) -> tuple[str, ...]:
    """Return the parameters of the step: the cell's inputs and, where it has to bring it along, the cell."""
    return (*names, CELL) if operator.connected else tuple(names)
