"""What happens during a run, as a closed union of frozen facts.

`sandboxes` and `run` make them, `rendering` and the run's handle read them. Times are seconds, money is USD.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

Stream = Literal["stdout", "stderr"]
Direction = Literal["sending", "collecting"]


class Reason(StrEnum):
    """Why a run ended, in words that a user reads."""

    FINISHED = "finished"
    CELL_FAILED = "failed in the cell"
    INCOMPLETE = "some results could not come back"
    TIMED_OUT = "timed out"
    OUT_OF_MEMORY = "killed, probably out of memory"  # Modal's SDK tells of both alike
    STOPPED = "stopped by the user"
    COST_CAP = "cost cap reached"
    NO_CAPACITY = "no capacity"
    PREEMPTED = "preempted"
    BUILD_FAILED = "image build failed"
    LOST_CONTACT = "lost contact"
    NOT_STARTED = "could not be started"
    NOT_RECORDED = "could not be recorded"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a run goes and what it asks for; made once per run, shown in the header."""

    step_name: str
    place: str  # "this machine (local Modal API)" or "Modal workspace/environment"
    billed: bool
    gpu: str | None = None  # Modal's own notation, e.g. "A100:2"
    cpu: float | None = None  # physical cores
    memory_mib: int | None = None
    region: str | None = None
    cloud: str | None = None
    timeout: int = 3600  # seconds
    grace: int = 0  # seconds that the sandbox goes on without its notebook, 0 where nobody has said
    hourly_rate: float | None = None  # USD per hour, None when the GPU has no known price
    rate_source: str = ""  # where the rate comes from, e.g. "snapshot of November 2026"
    packages: bool = False  # whether the user asks for packages that the place does not install
    own_image: bool = False  # whether the user names an image, which only Modal has


@dataclass(frozen=True, slots=True)
class Queued:
    """The cell is packaged and its run is about to be recorded."""

    target: Target
    log: str = ""  # the file with all that the run writes, empty where there is none


@dataclass(frozen=True, slots=True)
class Building:
    """An image is being made ready; `line` is one line of its build log, empty at the start."""

    line: str = ""
    why: str = ""  # e.g. "pandas added"; empty: as before
    done: int = 0  # layers that are there
    layers: int = 0  # all that the image has, 0 where nobody has said


@dataclass(frozen=True, slots=True)
class Waiting:
    """The sandbox is requested and not there yet."""

    for_what: str = "a sandbox"


@dataclass(frozen=True, slots=True)
class Transfer:
    """Large values are on their way, to the sandbox or back, for more than a moment; bytes."""

    direction: Direction
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Started:
    """The runner said hello from inside the sandbox."""

    sandbox_id: str
    python: str  # e.g. "3.11.7"
    gpu: str | None = None  # what nvidia-smi reports, None without a GPU


@dataclass(frozen=True, slots=True)
class Log:
    """Text that the cell's processes wrote; whole lines except where a line is still unfinished."""

    text: str
    stream: Stream = "stdout"


@dataclass(frozen=True, slots=True)
class Progress:
    r"""The latest state of a line that is rewritten in place with `\r`; the finished line comes as a `Log`."""

    text: str
    stream: Stream = "stderr"


@dataclass(frozen=True, slots=True)
class Display:
    """A rich output: a MIME bundle as Jupyter defines it."""

    data: Mapping[str, Any]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    display_id: str | None = None  # by which the cell may update it
    update: bool = False  # it takes the place of what was shown under its ID


@dataclass(frozen=True, slots=True)
class Cleared:
    """What the cell has printed and displayed so far is to go from the page; the records keep it."""

    wait: bool = False  # until there is something to show instead


@dataclass(frozen=True, slots=True)
class Resources:
    """What the sandbox uses now."""

    cpu: float  # cores
    memory_mib: float
    gpu: tuple[tuple[int, int], ...] = ()  # percent and MiB of each


@dataclass(frozen=True, slots=True)
class Cost:
    """An estimate of what the sandbox has cost so far."""

    usd: float | None
    elapsed: float  # seconds since the sandbox was started


@dataclass(frozen=True, slots=True)
class Recorded:
    """Where the run is found in ZenML."""

    run_id: str
    run_name: str
    step_name: str
    url: str | None = None  # the dashboard's page, where there is a dashboard


@dataclass(frozen=True, slots=True)
class File:
    """A file of the sandbox's working directory, by its relative path; `size` in bytes."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Files:
    """What became of the files of a cell: those it wrote, which stay in the sandbox, and those that came back."""

    written: tuple[File, ...] = ()
    more: int = 0  # files that it wrote besides
    unlisted: bool = False  # there are too many files in its directory to tell what it wrote
    fetched: tuple[File, ...] = ()
    unmatched: tuple[str, ...] = ()  # patterns of --fetch that matched nothing


@dataclass(frozen=True, slots=True)
class Finished:
    """The cell ended and its results are verified."""

    duration: float  # seconds, from the start of the cell to its verified result
    usd: float | None
    outputs: tuple[str, ...] = ()
    recorded: Recorded | None = None
    files: Files = field(default_factory=Files)
    cached: str = (
        ""  # the earlier run whose outputs these are, e.g. "run quickstart-2026 of 2026-11-26 10:00 UTC"
    )


@dataclass(frozen=True, slots=True)
class Failed:
    """The run ended without the cell's result; the error itself is raised after this event."""

    reason: Reason
    message: str
    duration: float
    usd: float | None
    recorded: Recorded | None = None
    files: Files = field(default_factory=Files)


@dataclass(frozen=True, slots=True)
class Stopped:
    """The run was stopped on purpose; nothing is billed any more."""

    reason: Reason
    duration: float
    usd: float | None
    recorded: Recorded | None = None


Event = (
    Queued
    | Building
    | Waiting
    | Transfer
    | Started
    | Log
    | Progress
    | Display
    | Cleared
    | Resources
    | Cost
    | Recorded
    | Finished
    | Failed
    | Stopped
)
