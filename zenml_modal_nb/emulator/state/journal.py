"""What a sandbox has printed, line by line with its time, for whoever asks after the fact."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from zenml_modal_nb.emulator.state.output import Output
from zenml_modal_nb.emulator.state.sandboxes import Sandbox

STDOUT, STDERR = 1, 2


@dataclass(frozen=True, order=True)
class Line:
    """One line, or the end of a stream without one; `at` is in nanoseconds since 1970."""

    at: int
    stream: int
    text: str


@dataclass(frozen=True)
class Search:
    """Which lines are wanted: of these streams, from `since` to `until` (nanoseconds), that contain `text`."""

    streams: tuple[int, ...]
    since: int
    until: int
    text: str


async def matching(sandbox: Sandbox, search: Search) -> AsyncIterator[Line]:
    """The lines that are wanted, of each stream the last first; reads no further back than it is asked."""
    outputs = {STDOUT: sandbox.process.stdout, STDERR: sandbox.process.stderr}
    for stream in search.streams:
        async for line in _of(outputs[stream], stream, search):
            yield line


async def latest(sandbox: Sandbox, search: Search, most: int) -> list[Line]:
    """The last `most` lines that are wanted, by time."""
    outputs = {STDOUT: sandbox.process.stdout, STDERR: sandbox.process.stderr}
    found: list[Line] = []
    for stream in search.streams:
        lines: list[Line] = []
        async for line in _of(outputs[stream], stream, search):
            lines.append(line)
            if len(lines) == most:
                break
        found += reversed(lines)
    return sorted(found, key=lambda line: line.at)[-most:]


async def _of(output: Output, stream: int, search: Search) -> AsyncIterator[Line]:
    async for at, text in output.backwards(search.until):
        if at < search.since:
            return
        for part in reversed(text.splitlines(keepends=True)):
            if search.text in part:
                yield Line(at, stream, part)
