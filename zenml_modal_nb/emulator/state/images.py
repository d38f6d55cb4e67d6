"""Images: recipes under IDs, built once per content, with the log of the build."""

from __future__ import annotations

import asyncio
import logging
import secrets
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from zenml_modal_nb.emulator import identifiers, processes
from zenml_modal_nb.emulator.places import Place
from zenml_modal_nb.emulator.state.builds import Build, Builder, BuildError, Layer, Parts
from zenml_modal_nb.emulator.state.output import Output, RecentBytes
from zenml_modal_nb.emulator.state.recipes import Recipe, follow
from zenml_modal_nb.emulator.state.records import Records
from zenml_modal_nb.emulator.state.refusals import InvalidArgumentError, NotFoundError, RefusedError
from zenml_modal_nb.emulator.state.shapes import made

log = logging.getLogger(__name__)

LOG_KEPT = 1024 * 1024  # bytes of a build log


class Image:
    """One image; `failure` tells why it cannot be used, `base` is the image it was built on, or empty.

    `place` is the name of the directory with what was built: another one for each build, since sandboxes may
    still run in what an earlier build made.
    """

    def __init__(self, image_id: str, recipe: Recipe, builder_version: str, base: str, place: str) -> None:
        self.id = image_id
        self.recipe = recipe
        self.builder_version = builder_version
        self.base = base
        self.place = place
        self.failure = ""
        self.log = Output(RecentBytes(LOG_KEPT))
        self._finished = asyncio.Event()

    @property
    def built(self) -> bool:
        """Whether its build has ended, well or not."""
        return self._finished.is_set()

    async def wait(self) -> None:
        """Wait for the end of the build."""
        await self._finished.wait()

    def say(self, line: str) -> None:
        """Add a line to the build log."""
        self.log.append(f"{line}\n".encode())

    def finish(self) -> None:
        """Say that the build has ended."""
        self.log.end()
        self._finished.set()


@dataclass(frozen=True)
class Kept:
    """What a record holds of an image that was built well; made and read by `Images`."""

    recipe: Recipe
    builder_version: str
    base: str
    place: str


class Images:
    """All images of this server, kept in `records`; what was built for them lies in `directory`."""

    def __init__(self, records: Records, directory: Path, builder: Builder) -> None:
        self._records = records
        self._directory = directory
        self._builder = builder
        self._images: dict[str, Image] = {}
        self._restore()
        self._builds: set[asyncio.Task[None]] = set()

    def get(self, image_id: str) -> Image:
        """The image, or NotFoundError."""
        try:
            return self._images[image_id]
        except KeyError:
            raise NotFoundError(f"No image has the ID {image_id!r}.") from None

    async def get_or_create(self, layer: Layer, builder_version: str, force: bool) -> Image:
        """The image with this content, being built if it is new, failed, or `force` says so.

        Raises NotFoundError for an unknown base, InvalidArgumentError for what no Dockerfile can hold.
        """
        if any("\0" in command for command in layer.commands):
            raise InvalidArgumentError("A Dockerfile holds no null characters.")
        image_id = identifiers.content_id("im", layer.content)
        known = self._images.get(image_id)
        if known and (not known.built or (not force and not known.failure and await self._current(known))):
            return known
        # A layer with several bases (multi-stage) takes what reaches its sandboxes from the first.
        base = self.get(layer.bases[0]) if layer.bases else None
        before = base.recipe if base else Recipe()
        texts = {name: data.decode("utf-8", "replace") for name, data in layer.files.items()}
        recipe = follow(before, layer.commands, texts, layer.mount_name)
        place = f"{image_id}.{secrets.token_hex(4)}"
        image = Image(image_id, recipe, builder_version, base.id if base else "", place)
        self._images[image_id] = image
        building = asyncio.create_task(self._build(image, layer, before, base))
        self._builds.add(building)
        building.add_done_callback(self._builds.discard)
        return image

    def _restore(self) -> None:
        found = dict(self._records.restore(lambda value: made(Kept, value)))
        for key, kept in list(found.items()):
            below, base = {key}, kept.base
            while base in found and base not in below:  # not round and round: each record may say anything
                below.add(base)
                base = found[base].base
            if base:  # damaged or gone: what the image has of it is no longer known, so it is built again
                self._records.remove(key)
                continue
            self._images[key] = Image(key, kept.recipe, kept.builder_version, kept.base, kept.place)
            self._images[key].finish()

    def sweep(self) -> None:
        """Remove what builds left behind that never ended, and what was replaced."""
        known = {image.place for image in self._images.values()}
        found = self._directory.glob("im-*")
        if leftovers := [path for path in found if path.name not in known]:
            processes.kill_marked([path.name for path in leftovers])
            for path in leftovers:
                shutil.rmtree(path)

    async def usable(self, image_id: str) -> Image:
        """The image once it is built; raises NotFoundError, or InvalidArgumentError if the build failed."""
        image = self.get(image_id)
        await image.wait()
        if image.failure:
            raise InvalidArgumentError(image.failure)
        return image

    async def enter(self, image: Image, place: Place) -> Path:
        """Put the image into a new sandbox's place; returns the directory of its Python."""
        return await self._builder.enter(image.recipe, self._parts(image), place)

    async def close(self) -> None:
        """End the builds that are under way."""
        for building in self._builds:
            building.cancel()
        await asyncio.gather(*self._builds, return_exceptions=True)

    async def _current(self, image: Image) -> bool:
        # A kept image may come from a time when the server ran another Python, or kept its images elsewhere.
        try:
            await self._builder.check(image.recipe)
        except BuildError:
            return False
        return True

    async def _build(self, image: Image, layer: Layer, before: Recipe, base: Image | None) -> None:
        directory = self._directory / image.place
        parts = self._parts(base) if base else Parts()
        try:
            await self._builder.check(image.recipe)
            if base:
                await base.wait()
            await self._builder.build(Build(directory, layer, parts, before, image.recipe), image.say)
        except (BuildError, RefusedError, OSError, ValueError) as error:  # ValueError: no command can be that
            image.say(str(error).partition("\n")[0])
            image.failure = str(error)
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
        except BaseException:
            image.failure = "The build was interrupted."
            raise
        else:
            self._keep(image)
        finally:
            image.finish()
        await self._put_away(image, directory)

    async def _put_away(self, image: Image, directory: Path) -> None:
        """Keep the log of a build that has ended on disk: of all images together it is too much for memory."""
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            await image.log.move(directory / "log")
        except OSError as error:
            log.warning("The log of image %s stays in memory: %s", image.id, error)
        image.log.restore(())  # a build log tells no times

    def _parts(self, image: Image) -> Parts:
        """Where the image's files and its Python lie: in its own directory or in that of a base."""
        root = venv = None
        layer: Image | None = image
        while layer and not (root and venv):
            own = self._directory / layer.place
            root = root or (own / "root" if (own / "root").is_dir() else None)
            venv = venv or (own / "venv" if (own / "venv").is_dir() else None)
            layer = self._images.get(layer.base)
        return Parts(root, venv)

    def _keep(self, image: Image) -> None:
        kept = asdict(Kept(image.recipe, image.builder_version, image.base, image.place))
        kept["recipe"]["packages"] = sorted(image.recipe.packages)
        self._records.write(image.id, kept)
