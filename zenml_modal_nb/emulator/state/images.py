"""Images: recipes under IDs. Nothing is built on this machine, and the build log says so."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from zenml_modal_nb.emulator import identifiers
from zenml_modal_nb.emulator.interpreters import Host, normalised
from zenml_modal_nb.emulator.state.recipes import Recipe, follow
from zenml_modal_nb.emulator.state.records import Records
from zenml_modal_nb.emulator.state.refusals import NotFoundError


@dataclass(frozen=True)
class Layer:
    """One build request: commands on top of base images, with what the build context holds.

    `content` is the whole request in bytes: the same bytes are the same image.
    """

    content: bytes
    bases: tuple[str, ...]
    commands: tuple[str, ...]
    files: Mapping[str, bytes] = field(default_factory=dict)
    mount: str = ""


@dataclass
class Image:
    """An image; `failure` tells why it cannot be used, `built` whether its log has been shown once."""

    id: str
    recipe: Recipe
    builder_version: str
    log: tuple[str, ...]
    failure: str = ""
    built: bool = False


class Images:
    """All images of this server, kept in `records`."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._images = {key: _restored(key, value) for key, value in records.read()}

    def get(self, image_id: str) -> Image:
        """The image, or NotFoundError."""
        try:
            return self._images[image_id]
        except KeyError:
            raise NotFoundError(f"No image has the ID {image_id!r}.") from None

    def get_or_create(self, layer: Layer, builder_version: str, force: bool, host: Host) -> Image:
        """The image with this content; built anew if `force`. Raises NotFoundError for an unknown base."""
        image_id = identifiers.content_id("im", layer.content)
        known = self._images.get(image_id)
        # A kept image may come from a time when the server ran another Python.
        outdated = known is not None and not known.failure and known.recipe.python not in (None, host.series)
        if force or known is None or outdated:
            image = self._described(image_id, layer, builder_version, host)
            self._images[image_id] = image
            if not image.failure:
                self._records.write(image_id, {**asdict(image), "recipe": _stored(image.recipe)})
        return self._images[image_id]

    def _described(self, image_id: str, layer: Layer, builder_version: str, host: Host) -> Image:
        # A layer with several bases (multi-stage) takes what reaches its sandboxes from the first.
        base = self.get(layer.bases[0]).recipe if layer.bases else Recipe()
        texts = {name: data.decode("utf-8", "replace") for name, data in layer.files.items()}
        recipe = follow(base, layer.commands, texts, layer.mount)
        failure = ""
        if recipe.python and recipe.python != host.series:
            failure = (
                f"The image asks for Python {recipe.python}, but sandboxes on this machine run Python "
                f"{host.series}. Ask for {host.series}, or run on Modal."
            )
        log = _log(layer.commands, recipe.packages - base.packages, host.sites)
        return Image(image_id, recipe, builder_version, (*log, failure) if failure else log, failure)


def _log(commands: Sequence[str], packages: frozenset[str], sites: Sequence[Path]) -> tuple[str, ...]:
    """The build log: the commands, and which packages an import would not find on this machine."""
    lines = [f"Step {number}: {command}" for number, command in enumerate(commands)]
    lines.append("Nothing is built on this machine: the sandbox runs in this Python environment.")
    path = [str(site) for site in sites]
    present = {normalised(name) for name in packages if _is_installed(name, path)}
    if missing := sorted(packages - present):
        lines.append(f"Not installed in this Python environment: {', '.join(missing)}.")
    return tuple(lines)


def _is_installed(name: str, path: list[str]) -> bool:
    return any(True for _ in importlib.metadata.distributions(name=name, path=path))


def _stored(recipe: Recipe) -> dict[str, object]:
    return {**asdict(recipe), "packages": sorted(recipe.packages)}


def _restored(image_id: str, value: dict[str, Any]) -> Image:
    stored = value["recipe"]
    recipe = Recipe(
        environment=tuple((name, text) for name, text in stored["environment"]),
        workdir=stored["workdir"],
        packages=frozenset(stored["packages"]),
        python=stored["python"],
        entrypoint=tuple(stored["entrypoint"]),
        command=tuple(stored["command"]),
    )
    return Image(image_id, recipe, value["builder_version"], (), built=True)
