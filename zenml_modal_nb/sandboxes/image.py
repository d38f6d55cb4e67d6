"""The image a cell runs in: Python of the notebook's minor version and what the cell imports, nothing of ours."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zenml_modal_nb.errors import InvalidRequestError

if TYPE_CHECKING:
    from zenml_modal_nb.sandboxes.layers import Layer

# Where the image of a connected step has this package: in the working directory, from which `python -m` imports.
OWN_SOURCE = "/root"

# e.g. python:3.9-slim, docker.io/library/python:3.13, mirror.gcr.io/library/python:3.10.4-bookworm
_PYTHON_IMAGE = re.compile(r"(?:[\w.:-]+/)*python:(\d+\.\d+)(?![\d]).*")

# Official images that come without Python, to which Modal adds one; also from a mirror.
# e.g. nvidia/cuda:12.8.0-runtime-ubuntu24.04
_WITHOUT_PYTHON = re.compile(r"(?:[\w.:-]+/)*(?:ubuntu|debian|nvidia/cuda)(?:[:@].*)?")


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """What goes into an image; made by the packaging of a cell."""

    base: str | None = None  # a registry reference; None: Modal's own Debian with Python
    apt: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()  # inferred and asked for
    asked: tuple[str, ...] = ()  # those of `pip` that the user has written
    own_source: bool = False  # this package as it is here: ZenML loads its step operator there
    python: str = f"{sys.version_info.major}.{sys.version_info.minor}"


def other_python(reference: str) -> str | None:
    """Return the Python of an official Python image, or of a mirror of it, if it is another than ours.

    What other images hold is known when they have started.
    """
    version = _PYTHON_IMAGE.fullmatch(reference)
    return None if version is None or version[1] == ImageSpec().python else version[1]


def refuse_other_python(reference: str) -> None:
    """Raise InvalidRequestError for an image that is known to have another Python than the notebook's."""
    other, own = other_python(reference), ImageSpec().python
    if other is not None:
        raise InvalidRequestError(
            f"--image {reference} has Python {other}, the notebook has {own}: values cannot travel between them. "
            f"Write --image python:{own}-slim, or another image with Python {own}; nothing was created."
        )


def stages(spec: ImageSpec, layers: Sequence[Layer]) -> tuple[Any, ...]:
    """Return the `modal.Image` of a cell, last, and before it those that it is built on, lowest first.

    `layers` are those that `sandboxes.layers` has chosen.
    """
    import modal

    if spec.base is None:
        image = modal.Image.debian_slim(python_version=spec.python)
    else:
        added = spec.python if _WITHOUT_PYTHON.fullmatch(spec.base) else None
        # The image's own entrypoint would swallow our command.
        image = modal.Image.from_registry(spec.base, add_python=added).entrypoint([])
    found = [image]
    for layer in layers:
        install = image.apt_install if layer.kind == "apt" else image.pip_install
        image = install(*layer.packages)
        found.append(image)
    if spec.own_source:
        package = Path(__file__).parents[1]
        ignored = ["**/__pycache__", "**/emulator"]
        # Last and not copied: an edit of this package builds nothing.
        image = image.add_local_dir(package, f"{OWN_SOURCE}/{package.name}", ignore=ignored)
        found[-1] = image
    return tuple(found)


def define(spec: ImageSpec, layers: Sequence[Layer]) -> Any:
    """Return the `modal.Image` alone."""
    return stages(spec, layers)[-1]
