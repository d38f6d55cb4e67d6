"""What is known about a run at one moment, from the events so far."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import assert_never

from zenml_modal_nb.events import (
    Building,
    Cleared,
    Cost,
    Display,
    Event,
    Failed,
    Files,
    Finished,
    Log,
    Progress,
    Queued,
    Reason,
    Recorded,
    Resources,
    Started,
    Stopped,
    Target,
    Transfer,
    Waiting,
)

SAMPLES = 120  # of each resource that the page draws; ten minutes


class Phase(StrEnum):
    """Where a run is, as the panel's state says it."""

    PACKAGING = "packaging"
    BUILDING = "building image"
    WAITING = "waiting for"
    SENDING = "sending"
    COLLECTING = "collecting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def is_end(self) -> bool:
        """Whether nothing follows."""
        return self in (Phase.DONE, Phase.FAILED, Phase.STOPPED)


@dataclass(frozen=True, slots=True)
class Use:
    """What the sandbox uses, sample by sample; `gpu` is the mean percentage of its GPUs. Made by `advance`."""

    cpu: tuple[float, ...] = ()  # cores
    memory_mib: tuple[float, ...] = ()
    gpu: tuple[float, ...] = ()
    peaks: tuple[float, float, float] = (0.0, 0.0, 0.0)  # of the three, over the whole run
    samples: int = 0

    def after(self, event: Resources) -> Use:
        """Return it with one more sample; of a long run the latest are kept."""
        gpu = [percent for percent, _ in event.gpu]
        mean = (sum(gpu) / len(gpu),) if gpu else ()
        now = (event.cpu, event.memory_mib, max(mean, default=0.0))
        peaks = tuple(map(max, self.peaks, now))
        return Use(
            (*self.cpu, event.cpu)[-SAMPLES:],
            (*self.memory_mib, event.memory_mib)[-SAMPLES:],
            (*self.gpu, *mean)[-SAMPLES:],
            (peaks[0], peaks[1], peaks[2]),
            self.samples + 1,
        )


@dataclass(frozen=True, slots=True)
class Panel:
    """The facts that a header, a state line and a footer are drawn from; made by `advance`."""

    target: Target
    phase: Phase = Phase.PACKAGING
    detail: str = ""  # what is waited for, or the build log's last line
    why: str = ""  # an image is built
    done: int = 0  # layers of the image that are there
    layers: int = 0  # of how many, 0 where nobody has said
    elapsed: float = 0.0  # seconds in the sandbox; at the end, of the whole cell
    transfer: Transfer | None = None  # while large values are on their way
    usd: float | None = None
    started: Started | None = None
    recorded: Recorded | None = None
    outputs: tuple[str, ...] = ()
    reason: Reason | None = None
    message: str = ""
    files: Files = field(default_factory=Files)
    cached: str = ""
    log: str = ""  # the file that has all of it
    use: Use = field(default_factory=Use)


def advance(panel: Panel | None, event: Event) -> Panel | None:
    """Return the panel after an event; None until a `Queued` has said what this run is."""
    if isinstance(event, Queued):
        return Panel(event.target, log=event.log)
    if panel is None:
        return None
    match event:
        case Building(line=line, why=why, done=done, layers=layers):
            if not layers:  # of its log, a line
                done, layers = panel.done, panel.layers
            return replace(
                panel, phase=Phase.BUILDING, detail=line, why=why or panel.why, done=done, layers=layers
            )
        case Waiting(for_what=for_what):
            return replace(panel, phase=Phase.WAITING, detail=for_what)
        case Transfer(direction=direction):
            return replace(panel, phase=Phase(direction), detail="", transfer=event)
        case Started():
            return replace(panel, phase=Phase.RUNNING, detail="", started=event)
        case Cost(usd=usd, elapsed=elapsed):
            return replace(panel, usd=usd, elapsed=elapsed)
        case Recorded():
            return replace(panel, recorded=event)
        case Finished(
            duration=duration, usd=usd, outputs=outputs, recorded=recorded, files=files, cached=cached
        ):
            ended = _ended(panel, Phase.DONE, duration, usd, recorded)
            return replace(ended, outputs=outputs, reason=Reason.FINISHED, files=files, cached=cached)
        case Failed(
            reason=reason, message=message, duration=duration, usd=usd, recorded=recorded, files=files
        ):
            ended = _ended(panel, Phase.FAILED, duration, usd, recorded)
            return replace(ended, reason=reason, message=message, files=files)
        case Stopped(reason=reason, duration=duration, usd=usd, recorded=recorded):
            return replace(_ended(panel, Phase.STOPPED, duration, usd, recorded), reason=reason)
        case Resources():
            return replace(panel, use=panel.use.after(event))
        case Log() | Progress() | Display() | Cleared():
            return panel
        case _:
            assert_never(event)


def _ended(
    panel: Panel, phase: Phase, duration: float, usd: float | None, recorded: Recorded | None
) -> Panel:
    return replace(
        panel,
        phase=phase,
        detail="",
        elapsed=duration,
        usd=panel.usd if usd is None else usd,
        recorded=recorded or panel.recorded,
    )
