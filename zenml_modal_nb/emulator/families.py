"""Which processes belong to which sandbox, also those that have left its group, its session and their parents.

A process belongs to a sandbox that it descends from, whose session it is in, that its environment names, or that
a look before found it in. What has left all of that is told by its working directory: a process without a
terminal that is younger than the sandbox and works below the sandbox's root. One that has left that too before
anybody looked (`metering.INTERVAL`) is nobody's.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from zenml_modal_nb.emulator import orphans
from zenml_modal_nb.emulator.processes import MARKER

GONE_SECONDS = 2.0  # how long killed processes may take to be gone; on a busy machine some milliseconds
MEMORY_SECONDS = 10.0  # for which psutil's memory of processes is trusted without a look
CLOCK_GRAIN = 5.0  # seconds by which a process may seem older than it is; the system's clock may be set


@dataclass(frozen=True)
class Family:
    """What the processes of one sandbox are known by; `leaders` are those that the server has started and that live.

    `root` is the sandbox's directory; nothing of it began before `since` (seconds since 1970).
    """

    identifier: str
    leaders: frozenset[int]
    root: Path
    since: float


@dataclass(frozen=True)
class Used:
    """CPU seconds of a family's processes since they began, and the bytes they hold now."""

    cpu_seconds: float
    memory: int


class Census:
    """Looks at all processes, and remembers whose they are; used by threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owners: dict[psutil.Process, str] = {}
        self._seconds: dict[psutil.Process, float] = {}
        self._totals: dict[str, float] = {}
        self._looked_at = 0.0

    def measure(self, families: Collection[Family]) -> dict[str, Used]:
        """What each family uses, by identifier; `families` are all that there are."""
        with self._lock:
            found = self._members(families)
            # Only what is still there is remembered, of the families there are.
            self._owners = {process: name for name, members in found.items() for process in members}
            self._totals = {name: self._totals.get(name, 0.0) for name in found}
            seconds: dict[psutil.Process, float] = {}
            used = {}
            for name, members in found.items():
                memory = 0
                for process in members:
                    try:
                        times, held = process.cpu_times(), process.memory_info().rss
                    except psutil.Error:  # ended, or not ours to look into
                        continue
                    seconds[process] = times.user + times.system
                    # Of one that ended between two looks, the last part is not known.
                    self._totals[name] += max(0.0, seconds[process] - self._seconds.get(process, 0.0))
                    memory += held
                used[name] = Used(self._totals[name], memory)
            self._seconds = seconds
            return used

    def end(self, families: Collection[Family]) -> None:
        """Kill every process of these families, and return when they are gone, also those killed before."""
        deadline = time.monotonic() + GONE_SECONDS
        ended: set[int] = set()
        while True:
            with self._lock:
                found = self._members(families)
            ended.update(process.pid for members in found.values() for process in members)
            alive = [process for members in found.values() for process in members if _is_alive(process)]
            if not alive or time.monotonic() > deadline:
                break
            for process in alive:
                try:
                    process.kill()
                except psutil.Error:  # it has just ended
                    continue
            while any(_is_alive(process) for process in alive) and time.monotonic() < deadline:
                time.sleep(0.002)
            # Once more: one of them may have started another in the last moment.
        orphans.collect_these(ended, deadline)
        orphans.collect()  # and those that had ended before anybody looked

    def _members(self, families: Collection[Family]) -> dict[str, list[psutil.Process]]:
        processes = self._younger_than(min((family.since for family in families), default=0.0))
        parents = dict(_parents(processes))
        owners = {pid: self._owners[process] for pid, process in processes.items() if process in self._owners}
        for family in families:
            owners.update(dict.fromkeys(family.leaders & processes.keys(), family.identifier))
        for pid, process in processes.items():
            if pid not in owners and (owner := _owner(process, parents, owners, families)):
                owners[pid] = owner
        found: dict[str, list[psutil.Process]] = {family.identifier: [] for family in families}
        for pid, owner in owners.items():
            self._owners[processes[pid]] = owner
            if owner in found:
                found[owner].append(processes[pid])
        return found

    def _younger_than(self, since: float) -> dict[int, psutil.Process]:
        """All processes by number but those that began before `since`, which cannot belong to what began then."""
        now = time.monotonic()
        if now - self._looked_at > MEMORY_SECONDS:
            # It knows processes by number, and in a long time a number may have been given again.
            psutil.process_iter.cache_clear()
        self._looked_at = now
        found = {}
        for process in psutil.process_iter():
            try:
                if process.create_time() > since - CLOCK_GRAIN:
                    found[process.pid] = process
            except psutil.Error:  # it has just ended
                continue
        return found


def _parents(processes: Mapping[int, psutil.Process]) -> Iterable[tuple[int, int]]:
    for pid, process in processes.items():
        try:
            yield pid, process.ppid()
        except psutil.Error:  # it has just ended
            continue


def _owner(
    process: psutil.Process,
    parents: Mapping[int, int],
    owners: Mapping[int, str],
    families: Collection[Family],
) -> str | None:
    """The identifier of the family that a process belongs to."""
    ancestor = parents.get(process.pid)
    while ancestor:
        if ancestor in owners:
            return owners[ancestor]
        ancestor = parents.get(ancestor)
    try:
        session = os.getsid(process.pid)
        for family in families:
            if session in family.leaders:
                return family.identifier
        named = process.environ().get(MARKER)
        if named or process.terminal():
            return named
        where, begun = Path(process.cwd()), process.create_time()
    except (psutil.Error, OSError):  # another user's process, or one that has just ended
        return None
    for family in families:
        if begun > family.since - CLOCK_GRAIN and where.is_relative_to(family.root):
            return family.identifier
    return None


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
