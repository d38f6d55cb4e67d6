"""Sandboxes that outlive the server's process: what they were, how they ended, what they printed."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from zenml_modal_nb.emulator import processes
from zenml_modal_nb.emulator.mount_paths import MountPaths
from zenml_modal_nb.emulator.places import Place
from zenml_modal_nb.emulator.state.output import FileBytes, Output
from zenml_modal_nb.emulator.state.preparation import Prepared
from zenml_modal_nb.emulator.state.records import Records
from zenml_modal_nb.emulator.state.resources import Gpu, Request
from zenml_modal_nb.emulator.state.sandboxes import Definition, End, Outcome, Sandbox
from zenml_modal_nb.emulator.state.shapes import made

# Not kept: variables may be secrets, and what was mounted is of no use any more.
_DEFINITION = (
    "version", "app_id", "image_id", "command", "workdir", "timeout", "idle_timeout", "regions", "cloud",
)  # fmt: skip
_STREAMS = ("stdout", "stderr")
KILLED = 137  # 128 + SIGKILL


@dataclasses.dataclass(frozen=True)
class _Told:
    """How a sandbox ended: the name of an `End`."""

    end: str
    code: int


@dataclasses.dataclass(frozen=True)
class _Stream:
    """Where what was kept of a stream begins, and the times of its pieces."""

    start: int = 0
    dates: tuple[tuple[int, int], ...] = ()


@dataclasses.dataclass(frozen=True)
class _Facts:
    """A record: what `_facts` makes of a sandbox."""

    id: str
    noted_at: float
    task_id: str
    definition: dict[str, Any]
    name: str
    tags: dict[str, str]
    gpu: Gpu | None
    request: Request
    created_at: float
    ended_at: float | None
    outcome: _Told | None
    usage: dict[str, Any]
    outputs: dict[str, _Stream]


class Archive:
    """Keeps a record of every sandbox, and the output of those that have ended in files of `directory`."""

    def __init__(self, records: Records, directory: Path) -> None:
        self._records = records
        self._directory = directory

    def note(self, sandbox: Sandbox) -> None:
        """Note that it runs: a server that starts after this one was killed tells that it was lost."""
        self._records.write(sandbox.id, _facts(sandbox, None, {}))

    async def end(self, sandbox: Sandbox, outcome: Outcome) -> None:
        """Keep how it ended and what it printed; from here on its output is read from the file."""
        directory = self._directory / sandbox.id
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        outputs = {}
        for name in _STREAMS:
            output: Output = getattr(sandbox.process, name)
            start = await output.move(directory / name)
            outputs[name] = {"start": start, "dates": output.dates}
        self._records.write(sandbox.id, _facts(sandbox, outcome, outputs))

    def forget(self, sandbox_id: str) -> None:
        """Remove it."""
        self._records.remove(sandbox_id)
        shutil.rmtree(self._directory / sandbox_id, ignore_errors=True)

    def restored(self) -> Iterator[Sandbox]:
        """Every sandbox of earlier servers, the oldest first; one that ran when its server ended was lost."""
        known = [sandbox for _, sandbox in self._records.restore(self._sandbox)]
        yield from sorted(known, key=lambda sandbox: sandbox.created_at)

    def _sandbox(self, value: Any) -> Sandbox:
        facts = made(_Facts, value)
        told = facts.outcome
        outcome = Outcome(End[told.end], told.code) if told else Outcome(End.LOST, KILLED)
        process = processes.ended(
            self._output(facts.id, "stdout", facts.outputs),
            self._output(facts.id, "stderr", facts.outputs),
            outcome.code,
        )
        asked = {name: value[name] for name in ("name", "tags", "gpu", "request")}
        definition = made(Definition, {**facts.definition, **asked, "variables": {}})
        place = Place(self._directory / facts.id / "gone")
        prepared = Prepared(processes.Command((), {}, place.root), (), MountPaths({}), {})
        sandbox = Sandbox(facts.id, facts.task_id, definition, place, process, prepared)
        sandbox.restore(facts.created_at, facts.ended_at or facts.noted_at, outcome)
        sandbox.usage.restore(facts.usage)
        return sandbox

    def _output(self, sandbox_id: str, name: str, outputs: Mapping[str, _Stream]) -> Output:
        known = outputs.get(name, _Stream())
        output = Output(FileBytes(self._directory / sandbox_id / name, known.start))
        output.restore(known.dates)
        return output


def _facts(sandbox: Sandbox, outcome: Outcome | None, outputs: Mapping[str, Any]) -> dict[str, Any]:
    asked = sandbox.definition
    return {
        "id": sandbox.id,
        "noted_at": time.time(),
        "task_id": sandbox.task_id,
        "definition": {name: getattr(asked, name) for name in _DEFINITION},
        "name": sandbox.name,
        "tags": sandbox.tags,
        "gpu": dataclasses.asdict(asked.gpu) if asked.gpu else None,
        "request": dataclasses.asdict(asked.request),
        "created_at": sandbox.created_at,
        "ended_at": sandbox.ended_at,
        "outcome": {"end": outcome.end.name, "code": outcome.code} if outcome else None,
        "usage": sandbox.usage.facts(),
        "outputs": outputs,
    }
