"""What a sandbox is started with and what is sent to it: `Launch` is made by the step operator, used by `follow`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zenml_modal_nb.runner import digests
from zenml_modal_nb.runner.bootstrap import BOOTSTRAP
from zenml_modal_nb.sandboxes.terms import OF_CELL, Terms

if TYPE_CHECKING:
    from zenml_modal_nb.sandboxes.depot import Depot

STDIN_LIMIT = 8 << 20  # bytes of one part; what is larger waits for the sandbox in a volume
_STDIN_CHUNK = 1 << 20  # bytes; the SDK buffers at most 2 MiB per drain on V1 sandboxes

Piece = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Segment:
    """Some of a part's bytes that lie next to each other.

    `blocks` are the digests of its blocks in the volume; there are none if it goes through standard input.
    """

    pieces: tuple[Piece, ...] = field(repr=False)
    size: int
    blocks: tuple[str, ...] = ()

    @property
    def entry(self) -> dict[str, Any]:
        """The segment in the header."""
        return {"size": self.size, **({"blocks": list(self.blocks)} if self.blocks else {})}


@dataclass(frozen=True, slots=True)
class Part:
    """One named piece of what a run needs; its bytes are never joined."""

    name: str
    segments: tuple[Segment, ...]

    @classmethod
    def of(cls, name: str, pieces: Iterable[Piece], seen: digests.Seen | None = None) -> Part:
        """Cut a part into what goes through standard input and what is large: a large piece is a segment of its own.

        So an array that has not changed has the same blocks as before, whatever is sent with it. The first piece is
        one too: of a values file it has the sizes of all that follow.
        """
        seen = seen or digests.Seen()
        segments = list(_segments(pieces, seen))
        while sum(each.size for each in segments if not each.blocks) > STDIN_LIMIT:
            largest = max((each for each in segments if not each.blocks), key=lambda each: each.size)
            segments[segments.index(largest)] = _shipped(largest, seen)
        return cls(name, tuple(segments))

    @property
    def size(self) -> int:
        """All of its bytes."""
        return sum(each.size for each in self.segments)

    @property
    def digest(self) -> str:
        """Tells the part's content."""
        found = self.entry
        return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()

    @property
    def sent(self) -> Iterator[Piece]:
        """What goes through standard input."""
        return (piece for each in self.segments if not each.blocks for piece in each.pieces)

    @property
    def shipped(self) -> tuple[Segment, ...]:
        """What waits in the volume."""
        return tuple(each for each in self.segments if each.blocks)

    @property
    def whole(self) -> Part:
        """The same part with nothing in a volume."""
        return replace(self, segments=tuple(replace(each, blocks=()) for each in self.segments))

    @property
    def entry(self) -> dict[str, Any]:
        """The part in the header."""
        digest = hashlib.sha256()
        for piece in self.sent:
            digest.update(piece)
        segments = [each.entry for each in self.segments]
        return {"name": self.name, "sha256": digest.hexdigest(), "segments": segments}


@dataclass(frozen=True, slots=True)
class Launch:
    """Everything a sandbox is started with; made by the step operator."""

    nonce: str
    parts: tuple[Part, ...]
    run: Mapping[str, Any]  # RUN of the channel's contract
    python: str  # minor version that the values were pickled with, e.g. "3.11"
    grace: float  # seconds that the runner goes on without a client
    arguments: Mapping[str, Any] = field(repr=False)  # of modal.Sandbox.create; holds secrets
    depot: Depot
    large_results: bool = False  # whether large results are to be expected, though no input is large
    into: Path = field(default_factory=Path.cwd)  # where fetched files are put
    server: str = "Modal"  # who is asked for it, in the words of a sentence
    why_built: str = ""  # the reason for its image, if that has to be built
    terms: Terms = OF_CELL
    stages: tuple[Any, ...] = ()  # its image and those that it is built on, lowest first
    command: tuple[str, ...] = ()  # ZenML's entrypoint of a connected step, which brings what the cell needs

    @property
    def entrypoint(self) -> tuple[str, ...]:
        """The sandbox's command."""
        return self.command or ("python", "-u", "-c", BOOTSTRAP, self.nonce)

    @property
    def header(self) -> bytes:
        """The header of the sandbox's standard input, with its length in front."""
        return _header(self.parts, self.run)

    @property
    def mounts(self) -> tuple[dict[str, Any], dict[str, str]]:
        """The volumes of ours that the sandbox is created with, and the variables that lead to them."""
        return self.depot.mounts(shipped=bool(self.shipped), results=self.large_results or bool(self.shipped))

    @property
    def shipped(self) -> tuple[Segment, ...]:
        """What waits in the volume for the sandbox."""
        return tuple(segment for part in self.parts for segment in part.shipped)


def packed(parts: Sequence[Part], run: Mapping[str, Any]) -> bytes:
    """Return all that a run's standard input is, large values included."""
    whole = [part.whole for part in parts]
    return b"".join([_header(whole, run), *(piece for part in whole for piece in part.sent)])


def _header(parts: Sequence[Part], run: Mapping[str, Any]) -> bytes:
    text = json.dumps({"version": 1, "parts": [part.entry for part in parts], "run": dict(run)}).encode()
    return len(text).to_bytes(8, "big") + text


async def send(sandbox: Any, launch: Launch) -> None:
    """Write the header and the parts; called after the sandbox said hello, since stdin retries only for seconds."""
    await _write_stdin(sandbox, [launch.header, *(piece for part in launch.parts for piece in part.sent)])


def _segments(pieces: Iterable[Piece], seen: digests.Seen) -> Iterator[Segment]:
    first, *others = pieces
    yield Segment((first,), memoryview(first).nbytes)
    sized = ((piece, memoryview(piece).nbytes) for piece in others)
    for large, group in groupby(sized, key=lambda each: each[1] >= digests.BLOCK):
        if large:
            yield from (_shipped(Segment((piece,), size), seen) for piece, size in group)
            continue
        run = list(group)
        yield Segment(tuple(piece for piece, _ in run), sum(size for _, size in run))


def _shipped(segment: Segment, seen: digests.Seen) -> Segment:
    return replace(segment, blocks=tuple(seen.of_blocks(segment.pieces)))


async def _write_stdin(sandbox: Any, pieces: Sequence[Piece]) -> None:
    pending = bytearray()
    for piece in pieces:
        view = memoryview(piece).cast("B")
        for start in range(0, len(view), _STDIN_CHUNK):
            pending += view[start : start + _STDIN_CHUNK]
            if len(pending) >= _STDIN_CHUNK:
                sandbox.stdin.write(bytes(pending))
                await sandbox.stdin.drain.aio()
                pending.clear()
    sandbox.stdin.write(bytes(pending))
    sandbox.stdin.write_eof()
    await sandbox.stdin.drain.aio()
