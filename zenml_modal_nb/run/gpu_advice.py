"""What to do about an error of CUDA in a cell that asked for a GPU where none is provided."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from zenml_modal_nb.events import Target

# e.g. "Found no NVIDIA driver on your system", "CUDA_ERROR_NO_DEVICE", "Torch not compiled with CUDA enabled",
# "libcudart.so.12: cannot open shared object file"
_OF_A_GPU = re.compile(r"cuda|nvidia|cudnn|cublas", re.IGNORECASE)


def with_gpu_advice(fields: Mapping[str, Any], target: Target) -> Mapping[str, Any]:
    """Add a note to the fields of an `error` frame where the cell needed the GPU that it asked for."""
    if target.billed or not target.gpu or not any(map(_OF_A_GPU.search, _texts(fields))):
        return fields
    advice = (
        f"This machine provides no GPU to the cell: the local Modal API records and prices {target.gpu} only. "
        "Write --on modal to run the cell on one."
    )
    return {**fields, "notes": [*fields.get("notes", ()), advice]}


def _texts(fields: Mapping[str, Any]) -> Iterator[str]:
    """The names and messages of an error and of those that led to it."""
    yield fields["ename"]
    yield fields["evalue"]
    for link in ("cause", "context"):
        for earlier in fields.get(link, ()):
            yield from _texts(earlier)
