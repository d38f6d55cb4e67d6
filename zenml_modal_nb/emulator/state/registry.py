"""All sandboxes of the server: made, found, listed, ended."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zenml_modal_nb.emulator import identifiers, processes
from zenml_modal_nb.emulator.families import Census, Family
from zenml_modal_nb.emulator.faults.plan import Faults
from zenml_modal_nb.emulator.places import Place
from zenml_modal_nb.emulator.short_paths import ShortPaths
from zenml_modal_nb.emulator.state.apps import Apps
from zenml_modal_nb.emulator.state.archive import Archive
from zenml_modal_nb.emulator.state.commands import Commands
from zenml_modal_nb.emulator.state.ledger import Ledger
from zenml_modal_nb.emulator.state.metering import Meter
from zenml_modal_nb.emulator.state.mounted import MountedVolume, reload_all
from zenml_modal_nb.emulator.state.output import AllBytes, Output, RecentBytes
from zenml_modal_nb.emulator.state.preparation import Preparation
from zenml_modal_nb.emulator.state.refusals import AlreadyExistsError, InvalidArgumentError, NotFoundError
from zenml_modal_nb.emulator.state.resources import check_gpu
from zenml_modal_nb.emulator.state.sandboxes import Definition, Outcome, Sandbox

FINISHED_KEPT = 128  # sandboxes whose output and outcome can still be read
KEPT_SECONDS = 60.0  # after its end, in which a sandbox can be read, too
MOST_KEPT = 1024  # in any case

log = logging.getLogger(__name__)


class Sandboxes:
    """Every sandbox this server has made and still remembers."""

    def __init__(
        self,
        directory: Path,
        apps: Apps,
        preparation: Preparation,
        archive: Archive,
        ledger: Ledger,
        retention: int,
        faults: Faults,
    ) -> None:
        self._apps = apps
        self._places = directory / "sandboxes"
        self._short = ShortPaths(directory)
        self._spool = directory / "spool"
        self._preparation = preparation
        self._retention = retention
        self._faults = faults
        self._sandboxes: dict[str, Sandbox] = {}
        self._lives: set[asyncio.Task[None]] = set()
        self._creations: set[asyncio.Task[Any]] = set()
        self._names: set[tuple[str, str]] = set()  # of sandboxes that are being created, with their app
        self._unkept: dict[str, tuple[Sandbox, Outcome]] = {}  # that have ended, and are not on the disk
        self._closed = False
        self._census = Census()
        self._meter = Meter(self._census, self._there, self._save, self._unsaved)
        self._archive = archive
        self.ledger = ledger
        self.commands = Commands(self._spool, preparation)

    def sweep(self) -> None:
        """End what an earlier server of this directory left behind when it was killed."""
        leftovers = [path.name for path in self._places.iterdir()] if self._places.is_dir() else []
        if leftovers:
            self._census.end([_left_behind(self._places / name) for name in leftovers])
            for name in leftovers:
                Place(self._places / name).remove()
        for sandbox in self._archive.restored():
            self._sandboxes[sandbox.id] = sandbox
        shutil.rmtree(self._spool, ignore_errors=True)
        self._spool.mkdir(mode=0o700, parents=True)
        self._places.mkdir(mode=0o700, exist_ok=True)
        self._short.sweep()

    @property
    def active(self) -> int:
        """How many are being created or have not ended completely."""
        return len(self._creations) + len(self._lives)

    async def create(self, definition: Definition) -> Sandbox:
        """Start a sandbox; raises a refusal when its app, image, GPU, name or mounts do not allow it.

        Run it as a task of its own: `close` waits for it.
        """
        self._require_open(definition)
        creation = asyncio.current_task()
        assert creation is not None
        self._creations.add(creation)
        try:
            with self._reserved(definition.app_id, definition.name):
                return await self._create(definition)
        finally:
            self._creations.discard(creation)

    async def _create(self, definition: Definition) -> Sandbox:
        await self._preparation.check(definition)
        if definition.gpu:
            check_gpu(definition.gpu)
        gpu = definition.gpu.type if definition.gpu else ""
        self._faults.admit(gpu)
        sandbox_id = identifiers.sandbox_id(definition.version)
        place = Place(self._places / sandbox_id, self._short)
        place.create()
        try:
            prepared = await self._preparation.prepare(definition, sandbox_id, place)
            # Preparation takes as long as volumes are large: much may have ended meanwhile.
            self._require_open(definition)
            stdout, stderr = self._outputs(definition)
            process = await processes.start(prepared.command, stdout, stderr, self._faults.room(gpu))
        except BaseException:
            place.remove()
            raise
        task_id = identifiers.task_id(definition.version)
        sandbox = Sandbox(sandbox_id, task_id, definition, place, process, prepared)
        self._keep(sandbox)
        if not self._is_open(definition):
            # It was not yet there when the others were told to end.
            sandbox.terminate()
        return sandbox

    def _is_open(self, definition: Definition) -> bool:
        return not self._closed and self._apps.get(definition.app_id).stopped_at is None

    def _require_open(self, definition: Definition) -> None:
        if self._closed:
            raise InvalidArgumentError("This local Modal API is shutting down.")
        self._apps.deployed(definition.app_id)

    @contextmanager
    def _reserved(self, app_id: str, name: str) -> Iterator[None]:
        """Keep a name from others until a sandbox has it; raises AlreadyExistsError."""
        if not name:
            yield
            return
        self._require_free(app_id, name, None)
        self._names.add((app_id, name))
        try:
            yield
        finally:
            self._names.discard((app_id, name))

    def _require_free(self, app_id: str, name: str, holder: Sandbox | None) -> None:
        if (app_id, name) in self._names or self._running_named(app_id, name) not in (None, holder):
            raise AlreadyExistsError(f"A sandbox named {name!r} is already running in this app.")

    def get(self, sandbox_id: str) -> Sandbox:
        """The sandbox, or NotFoundError."""
        try:
            return self._sandboxes[sandbox_id]
        except KeyError:
            raise NotFoundError(f"No sandbox has the ID {sandbox_id!r}.") from None

    def of_app(self, app_id: str) -> list[Sandbox]:
        """All sandboxes of an app that are remembered, also those that have ended; empty: of every app."""
        return [s for s in self._sandboxes.values() if app_id in ("", s.definition.app_id)]

    def rename(self, sandbox_id: str, name: str) -> None:
        """Name a sandbox that has no name; raises NotFoundError, AlreadyExistsError or ConflictError."""
        sandbox = self.get(sandbox_id)
        self._require_free(sandbox.definition.app_id, name, sandbox)
        sandbox.rename(name)

    def of_task(self, task_id: str) -> Sandbox:
        """The sandbox that this task runs, or NotFoundError."""
        for sandbox in self._sandboxes.values():
            if sandbox.task_id == task_id:
                sandbox.require_worker()
                return sandbox
        raise NotFoundError(f"No sandbox runs the task {task_id!r}.")

    def named(self, app_id: str, name: str, version: int, ended_too: bool) -> Sandbox:
        """The running sandbox of this name, else with `ended_too` the latest that ended; or NotFoundError."""
        running = self._running_named(app_id, name)
        if running and running.definition.version == version:
            return running
        if ended_too:
            for sandbox in reversed(self._sandboxes.values()):
                found = sandbox.definition
                if (found.app_id, sandbox.name, found.version) == (app_id, name, version):
                    return sandbox
        raise NotFoundError(f"No sandbox named {name!r} is running in this app.")

    def listed(
        self, app_id: str, tags: Mapping[str, str], before: float, versions: tuple[int, ...]
    ) -> list[Sandbox]:
        """Running sandboxes with at least these tags, newest first; an empty `app_id` means every app."""
        found = [
            sandbox
            for sandbox in self._sandboxes.values()
            if sandbox.running
            and sandbox.definition.version in versions
            and app_id in ("", sandbox.definition.app_id)
            and tags.items() <= sandbox.tags.items()
            and (not before or sandbox.created_at < before)
        ]
        return sorted(found, key=lambda sandbox: sandbox.created_at, reverse=True)

    async def reload_volumes(self, sandbox: Sandbox) -> None:
        """Show a sandbox the latest snapshots; raises ConflictError while it has files of them open."""
        sandbox.require_running()
        await self._reload(sandbox, sandbox.volumes)

    async def commit_volume(self, volume_id: str) -> None:
        """Commit what every running sandbox has written to this volume; NotFoundError if none mounts it."""
        for _, mounted in self._mounting(volume_id):
            await mounted.commit()

    async def reload_volume(self, volume_id: str) -> None:
        """Show every running sandbox that mounts this volume its latest snapshot."""
        for sandbox, mounted in self._mounting(volume_id):
            await self._reload(sandbox, (mounted,))

    async def _reload(self, sandbox: Sandbox, volumes: tuple[MountedVolume, ...]) -> None:
        directories = [mounted.directory for mounted in volumes]
        used = await asyncio.to_thread(processes.open_below, sandbox.id, directories) if directories else []
        await reload_all(volumes, used)

    def _mounting(self, volume_id: str) -> list[tuple[Sandbox, MountedVolume]]:
        found = [
            (sandbox, mounted)
            for sandbox in self._sandboxes.values()
            if sandbox.running
            for mounted in sandbox.volumes
            if mounted.mount.volume_id == volume_id
        ]
        if not found:
            raise NotFoundError("No running sandbox has this volume mounted.")
        return found

    def terminate_app(self, app_id: str) -> None:
        """End every sandbox of a stopped app."""
        for sandbox in self.listed(app_id, {}, 0, (1, 2)):
            sandbox.terminate()

    def refuse_more(self) -> None:
        """Create nothing from now on."""
        self._closed = True

    async def close(self) -> None:
        """End everything, also what is just being created, and wait until nothing of it is left."""
        self.refuse_more()
        for sandbox in self._sandboxes.values():
            sandbox.terminate()
        # A thread that lays out a sandbox cannot be cancelled: its creation is refused when that is done.
        await asyncio.gather(*self._creations, return_exceptions=True)
        await self.commands.settle()
        await asyncio.gather(*self._lives)
        await self._meter.stop()
        await self._save()
        for sandbox in self._sandboxes.values():
            sandbox.forget()
        self._short.close()

    def _keep(self, sandbox: Sandbox) -> None:
        self._sandboxes[sandbox.id] = sandbox
        sandbox.usage.bill_to(self.ledger, sandbox.definition.app_id)
        with _told_if_full("sandbox"):
            self._archive.note(sandbox)
        life = asyncio.create_task(sandbox.live(self._census, self._put_away))
        self._lives.add(life)
        self._faults.watch(sandbox)
        self._meter.start()
        life.add_done_callback(self._ended)
        self._forget_surplus()

    def _forget_surplus(self) -> None:
        ended = [kept for kept in self._sandboxes.values() if kept.outcome]
        for number, old in enumerate(ended[: max(0, len(ended) - FINISHED_KEPT)]):
            # Of many that end at once, each may have a client that has not asked yet.
            if old.ended_at < time.time() - KEPT_SECONDS or number < len(ended) - MOST_KEPT:
                self._sandboxes.pop(old.id).forget()
                self._unkept.pop(old.id, None)
                self._archive.forget(old.id)

    def _ended(self, life: asyncio.Task[None]) -> None:
        self._lives.discard(life)
        with _told_if_full("ledger"):
            self.ledger.save()
        if not life.cancelled() and life.exception() is not None:
            log.error("A sandbox could not be cleaned up", exc_info=life.exception())

    async def _save(self) -> None:
        """Write down what a server that starts after this one was killed must know.

        What cannot be written now, e.g. on a full disk, is told, and tried again the next time.
        """
        with _told_if_full("ledger"):
            self.ledger.save()
        with _told_if_full("sandbox"):
            for sandbox in self._sandboxes.values():
                if sandbox.running:
                    self._archive.note(sandbox)
        for sandbox, outcome in list(self._unkept.values()):
            if self._unkept.pop(sandbox.id, None):  # it may have been forgotten since
                await self._put_away(sandbox, outcome)

    def _unsaved(self) -> bool:
        return bool(self._unkept) or not self.ledger.saved

    async def _put_away(self, sandbox: Sandbox, outcome: Outcome) -> None:
        try:
            await self._archive.end(sandbox, outcome)
        except OSError as error:
            _tell("finished run", error)
            self._unkept[sandbox.id] = (sandbox, outcome)
        if sandbox.id not in self._sandboxes:  # forgotten meanwhile, as one of very many
            self._unkept.pop(sandbox.id, None)
            self._archive.forget(sandbox.id)

    def _there(self) -> list[Sandbox]:
        return [sandbox for sandbox in self._sandboxes.values() if sandbox.outcome is None]

    def _running_named(self, app_id: str, name: str) -> Sandbox | None:
        for sandbox in self._sandboxes.values():
            if sandbox.running and (sandbox.definition.app_id, sandbox.name) == (app_id, name):
                return sandbox
        return None

    def _outputs(self, definition: Definition) -> tuple[Output, Output]:
        if definition.version == 1:
            return Output(AllBytes(self._spool)), Output(AllBytes(self._spool))
        retention = self._faults.shorten() or self._retention
        return Output(RecentBytes(retention)), Output(RecentBytes(retention))


@contextmanager
def _told_if_full(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        _tell(what, error)


def _tell(what: str, error: OSError) -> None:
    log.warning("A record (%s) cannot be written now, which is tried again: %s", what, error)


def _left_behind(root: Path) -> Family:
    """What ran in this directory when an earlier server was killed."""
    return Family(root.name, frozenset(), root, since=0.0)
