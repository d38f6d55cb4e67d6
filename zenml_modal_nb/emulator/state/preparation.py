"""From what a client asked for to what is started: the sandbox's files, its environment, its command."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from zenml_modal_nb.emulator.mount_paths import MountPaths
from zenml_modal_nb.emulator.places import HOME, Place
from zenml_modal_nb.emulator.processes import MARKER, Command
from zenml_modal_nb.emulator.state.images import Images
from zenml_modal_nb.emulator.state.mounted import MountedVolume
from zenml_modal_nb.emulator.state.mounts import Mounts
from zenml_modal_nb.emulator.state.recipes import SYSTEM_PATH
from zenml_modal_nb.emulator.state.refusals import InvalidArgumentError
from zenml_modal_nb.emulator.state.sandboxes import Definition
from zenml_modal_nb.emulator.state.volumes import Volumes

DEFAULT_COMMAND = ("sleep", "172800")  # what a Modal image runs when nobody says what: 48 hours


@dataclass(frozen=True)
class Prepared:
    """A sandbox that can be started; `paths` are those of its volumes."""

    command: Command
    volumes: tuple[MountedVolume, ...]
    paths: MountPaths
    environment: Mapping[str, str] = field(repr=False)


class Preparation:
    """Lays out sandboxes; made by the server, used by `Sandboxes`."""

    def __init__(self, images: Images, mounts: Mounts, volumes: Volumes) -> None:
        self._images = images
        self._mounts = mounts
        self._volumes = volumes

    async def check(self, definition: Definition) -> None:
        """Wait for the image; raises a refusal when image or volumes do not allow the sandbox."""
        await self._images.usable(definition.image_id)
        paths = [PurePosixPath(mount.path) for mount in definition.volumes]
        for mount, path in zip(definition.volumes, paths, strict=True):
            self._volumes.get(mount.volume_id)
            if not path.is_absolute() or ".." in path.parts or path in (PurePosixPath("/"), HOME):
                raise InvalidArgumentError(f"A volume cannot be mounted at {mount.path!r}.")
        if len(set(paths)) != len(paths):
            raise InvalidArgumentError("Two volumes cannot be mounted at one path.")

    async def prepare(self, definition: Definition, sandbox_id: str, place: Place) -> Prepared:
        """Fill the place; raises a refusal."""
        image = await self._images.usable(definition.image_id)
        try:
            python = await self._images.enter(image, place)
            await asyncio.to_thread(self._mounts.place, definition.mounts, place)
        except OSError as error:  # e.g. a full disk, or a file where another file's directory is to be
            raise InvalidArgumentError(f"The image's files cannot be laid out: {error}.") from error
        volumes = tuple(
            MountedVolume(self._volumes, mount, place.within(mount.path)) for mount in definition.volumes
        )
        for volume in volumes:
            await volume.open()
        paths = MountPaths({volume.mount.path.rstrip("/"): volume.directory for volume in volumes})
        declared = {**dict(image.recipe.environment), **definition.variables}
        # An image's PATH names directories of a container; the sandbox's Python comes before them all.
        path = declared.pop("PATH", SYSTEM_PATH)
        environment = {
            "LANG": "C.UTF-8",
            **place.environment(),
            **paths.environment(),
            **definition.request.environment(),
            **{name: paths.text(value) for name, value in declared.items()},
            "PATH": f"{python}:{path}" if "PATH" not in definition.variables else path,
            MARKER: sandbox_id,
        }
        words = (*image.recipe.entrypoint, *(definition.command or image.recipe.command or DEFAULT_COMMAND))
        command = Command(
            tuple(paths.text(word) for word in words),
            environment,
            place.directory(self.workdir(definition)),
        )
        return Prepared(command, volumes, paths, environment)

    def workdir(self, definition: Definition) -> str:
        """The working directory of a sandbox's command, and of those run in it later."""
        return definition.workdir or self._images.get(definition.image_id).recipe.workdir
