"""What a sandbox has printed, line by line with its time, for whoever asks after the fact."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
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


def lines(sandbox: Sandbox, streams: tuple[int, ...], since: int, until: int, search: str) -> list[Line]:
    """The lines of these streams from `since` to `until` (nanoseconds) that contain `search`, by time."""
    outputs = {STDOUT: sandbox.process.stdout, STDERR: sandbox.process.stderr}
    found = heapq.merge(*(_of(outputs[stream], stream) for stream in streams), key=lambda line: line.at)
    return [line for line in found if since <= line.at < until and search in line.text]


def _of(output: Output, stream: int) -> Iterator[Line]:
    for at, piece in output.dated():
        for text in piece.splitlines(keepends=True):
            yield Line(at, stream, text)
