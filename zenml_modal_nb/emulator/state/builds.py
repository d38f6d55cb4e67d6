"""What building one layer of an image needs, and who does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from zenml_modal_nb.emulator.places import Place
from zenml_modal_nb.emulator.state.recipes import Recipe


class BuildError(Exception):
    """The image cannot be built; the message is what the SDK's user reads."""


@dataclass(frozen=True)
class Layer:
    """One build request: commands on top of base images, with what the build context holds.

    `content` is the whole request in bytes: the same bytes are the same image. `secrets` are the variables
    its commands get; `mount` is the ID of the context's files on the user's machine, `mount_name` that of a
    mount of Modal's own.
    """

    content: bytes
    bases: tuple[str, ...]
    commands: tuple[str, ...]
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    mount: str = ""
    mount_name: str = ""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    credentials: bool = False


@dataclass(frozen=True)
class Parts:
    """Where the parts of an image lie; the nearest layer that has one gives it, None: no layer has.

    `root` holds the files that the image adds below `/`, `venv` its Python.
    """

    root: Path | None = None
    venv: Path | None = None


@dataclass(frozen=True)
class Build:
    """One layer to be built into `directory`; what it makes there is `directory / "root"` and `/ "venv"`."""

    directory: Path
    layer: Layer
    base: Parts
    before: Recipe
    after: Recipe


class Builder(Protocol):
    """Makes the layers of images and the Python of sandboxes; there is one for each mode of images."""

    async def check(self, recipe: Recipe) -> None:
        """Raise BuildError for an image that cannot be had here, before anything is done."""

    async def build(self, build: Build, say: Callable[[str], None]) -> None:
        """Carry out one layer's commands and tell the log what happens, line by line; raises BuildError."""

    async def enter(self, recipe: Recipe, parts: Parts, place: Place) -> Path:
        """Put the image's files into a new sandbox's place and return the directory of its Python."""
