"""Volumes: names, versions and committed snapshots, kept over restarts."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from zenml_modal_nb.emulator import identifiers
from zenml_modal_nb.emulator.faults.plan import Faults
from zenml_modal_nb.emulator.state.assembled import Assembled
from zenml_modal_nb.emulator.state.blocks import BLOCK_SIZE, Blocks
from zenml_modal_nb.emulator.state.creation import Creation
from zenml_modal_nb.emulator.state.records import Records
from zenml_modal_nb.emulator.state.refusals import AlreadyExistsError, InvalidArgumentError, NotFoundError
from zenml_modal_nb.emulator.state.shapes import made
from zenml_modal_nb.emulator.state.trees import File, Tree, normal

log = logging.getLogger(__name__)

EPHEMERAL_SECONDS = 900.0  # without a heartbeat; the SDK sends one every 300 s


@dataclass(frozen=True)
class Volume:
    """One volume; `name` is empty for an ephemeral one, `tree` its latest committed snapshot."""

    id: str
    name: str
    environment: str
    version: int
    created_at: float
    tree: Tree = field(default_factory=Tree, repr=False)


class Volumes:
    """All volumes of this server."""

    def __init__(self, records: Records, blocks: Blocks, assembled: Assembled, faults: Faults) -> None:
        self._records = records
        self.blocks = blocks
        self.assembled = assembled
        self._volumes = dict(records.restore(_restored))
        self._heartbeats: dict[str, float] = {}
        self._unreleased: set[str] = set()  # no volume had them, but somebody counted on them
        self._faults = faults
        self._outdated: dict[str, list[tuple[float, Tree]]] = {}  # until when each is what a reader sees

    def sweep(self) -> None:
        """Remove blocks that no volume has any more, e.g. of uploads that were never completed."""
        self.assembled.sweep()
        if damaged := self._records.damaged:
            log.warning("blocks that no volume has are kept: they may be those of %s", ", ".join(damaged))
        else:
            self.blocks.remove_unused(self._used())

    def get(self, volume_id: str) -> Volume:
        """The volume, or NotFoundError."""
        try:
            return self._volumes[volume_id]
        except KeyError:
            raise NotFoundError(f"No volume has the ID {volume_id!r}.") from None

    def get_or_create(self, name: str, environment: str, version: int, creation: Creation) -> Volume:
        """Find or make a volume; raises NotFoundError or AlreadyExistsError."""
        self._expire()
        existing = None if creation is Creation.EPHEMERAL else self._named(name, environment)
        match creation, existing:
            case Creation.LOOK_UP, None:
                raise NotFoundError(f"Volume {name!r} not found in environment {environment!r}.")
            case Creation.FAIL_IF_EXISTS, Volume():
                raise AlreadyExistsError(f"Volume {name!r} already exists in environment {environment!r}.")
            case _, Volume() as found:
                return found
        volume = Volume(identifiers.random_id("vo"), name, environment, version, time.time())
        if creation is Creation.EPHEMERAL:
            self._heartbeats[volume.id] = time.monotonic()
        elif not name:
            raise InvalidArgumentError("A volume needs a name.")
        return self._keep(volume)

    def beat(self, volume_id: str) -> None:
        """Keep an ephemeral volume for a while longer; raises NotFoundError."""
        self.get(volume_id)
        if volume_id in self._heartbeats:
            self._heartbeats[volume_id] = time.monotonic()

    def rename(self, volume_id: str, name: str) -> None:
        """Give the volume another name; raises NotFoundError or AlreadyExistsError."""
        volume = self.get(volume_id)
        if not name or (self._named(name, volume.environment) or volume) is not volume:
            raise AlreadyExistsError(f"A volume named {name!r} already exists.")
        self._keep(dataclasses.replace(volume, name=name))

    async def delete(self, volume_id: str) -> None:
        """Forget the volume and the contents that only it had; raises NotFoundError."""
        volume = self.get(volume_id)
        del self._volumes[volume_id]
        self._heartbeats.pop(volume_id, None)
        self._outdated.pop(volume_id, None)
        self._records.remove(volume_id)
        await self._release(_digests(volume.tree))

    async def delete_all(self, environment: str) -> None:
        """Forget every volume of an environment."""
        for volume in [kept for kept in self._volumes.values() if kept.environment == environment]:
            await self.delete(volume.id)

    def listed(self, environment: str, before: float, most: int) -> list[Volume]:
        """The environment's named volumes made before `before`, newest first."""
        named = [v for v in self._volumes.values() if v.name and v.environment == environment]
        found = sorted((v for v in named if v.created_at < before), key=lambda v: v.created_at, reverse=True)
        return found[:most]

    def missing(self, files: Iterable[File]) -> list[str]:
        """The blocks of these files that are not here, each once; InvalidArgumentError for a wrong count."""
        digests: dict[str, None] = {}
        for file in files:
            if len(file.blocks) != -(-file.size // BLOCK_SIZE):
                raise InvalidArgumentError("A file's blocks do not match its size.")
            digests.update(dict.fromkeys(file.blocks))
        self.blocks.claim(digests)
        return [digest for digest in digests if not self.blocks.has(digest)]

    def put(self, volume_id: str, files: Mapping[str, File], overwrite: bool) -> None:
        """Commit uploaded files, whose blocks are here; raises what `Tree.with_files` does."""
        volume = self.get(volume_id)
        named = {normal(path): file for path, file in files.items()}
        if "" in named:
            raise InvalidArgumentError("A file needs a name.")
        self.commit(volume_id, volume.tree.with_files(named, overwrite))

    async def remove(self, volume_id: str, path: str, recursive: bool) -> None:
        """Commit a removal; raises what `Tree.without` does."""
        before = self.get(volume_id).tree
        after = before.without(path, recursive)
        self.commit(volume_id, after)
        await self._release(_digests(before) - _digests(after))

    def copy(self, volume_id: str, sources: Iterable[str], target: str, recursive: bool) -> None:
        """Commit a copy; raises what `Tree.copied` does."""
        self.commit(volume_id, self.get(volume_id).tree.copied(sources, target, recursive))

    def commit(self, volume_id: str, tree: Tree) -> None:
        """Make `tree` the volume's snapshot; raises NotFoundError."""
        if delay := self._faults.delay_commit():
            outdated = (time.monotonic() + delay, self.get(volume_id).tree)
            self._outdated.setdefault(volume_id, []).append(outdated)
        self._keep(dataclasses.replace(self.get(volume_id), tree=tree))

    def read(self, volume_id: str) -> Tree:
        """The snapshot that a reader sees: the latest, unless a fault makes commits late; or NotFoundError."""
        latest = self.get(volume_id).tree
        now = time.monotonic()
        outdated = [(until, tree) for until, tree in self._outdated.pop(volume_id, []) if until > now]
        if not outdated:
            return latest
        self._outdated[volume_id] = outdated
        return outdated[0][1]

    def _expire(self) -> None:
        # Their blocks go when the server starts the next time.
        for volume_id, beaten in list(self._heartbeats.items()):
            if time.monotonic() - beaten > EPHEMERAL_SECONDS:
                del self._volumes[volume_id], self._heartbeats[volume_id]

    async def _release(self, digests: set[str]) -> None:
        if self._records.damaged:
            return  # who knows what the volume had whose record is damaged; the next start says so
        unused = (digests | self._unreleased) - self._used()
        self._unreleased = set()
        held = await asyncio.to_thread(self.blocks.remove, unused)
        self._unreleased |= held

    def _used(self) -> set[str]:
        outdated = [tree for trees in self._outdated.values() for _, tree in trees]
        trees = [volume.tree for volume in self._volumes.values()]
        return set().union(*(_digests(tree) for tree in (*trees, *outdated)))

    def _named(self, name: str, environment: str) -> Volume | None:
        for volume in self._volumes.values():
            if name and (volume.name, volume.environment) == (name, environment):
                return volume
        return None

    def _keep(self, volume: Volume) -> Volume:
        self._volumes[volume.id] = volume
        if volume.name:
            facts = {f.name: getattr(volume, f.name) for f in dataclasses.fields(volume)}
            self._records.write(volume.id, {**facts, "tree": volume.tree.facts()})
        return volume


def _digests(tree: Tree) -> set[str]:
    return {digest for file in tree.files.values() for digest in file.blocks}


def _restored(value: dict[str, Any]) -> Volume:
    tree = Tree.from_facts(value["tree"])
    volume = made(Volume, {name: fact for name, fact in value.items() if name != "tree"})
    return dataclasses.replace(volume, tree=tree)
