"""The image a cell runs in: Python of the notebook's minor version and what the cell imports, nothing of ours."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """What goes into an image, in the order of its layers; made by the packaging of a cell."""

    base: str | None = None  # a registry reference; None: Modal's own Debian with Python
    apt: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()
    python: str = f"{sys.version_info.major}.{sys.version_info.minor}"


def define(spec: ImageSpec) -> Any:
    """Return the `modal.Image`; layers that change rarely come first, so that a new package builds one layer."""
    import modal

    if spec.base is None:
        image = modal.Image.debian_slim(python_version=spec.python)
    else:
        # The image's own entrypoint would swallow our command.
        image = modal.Image.from_registry(spec.base).entrypoint([])
    if spec.apt:
        image = image.apt_install(*sorted(spec.apt))
    if spec.pip:
        image = image.pip_install(*sorted(spec.pip))
    return image
