"""What a step operator that the user has named means for a cell: its settings, its Modal, its image."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from zenml_modal_nb.pipelines.connected import CELL
from zenml_modal_nb.pipelines.operators import Operator, find, requirements
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
    usual: dict[str, Any] = {
        name: value for name, value in operator.usual.items() if getattr(request, name) is None
    }
    return replace(request, **usual), operator


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
