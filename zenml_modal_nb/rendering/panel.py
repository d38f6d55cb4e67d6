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
    Started,
    Stopped,
    Target,
    Transfer,
    Waiting,
)


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
class Panel:
    """The facts that a header, a state line and a footer are drawn from; made by `advance`."""

    target: Target
    phase: Phase = Phase.PACKAGING
    detail: str = ""  # what is waited for, or the build log's last line
    why: str = ""  # an image is built
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


def advance(panel: Panel | None, event: Event) -> Panel | None:
    """Return the panel after an event; None until a `Queued` has said what this run is."""
    if isinstance(event, Queued):
        return Panel(event.target)
    if panel is None:
        return None
    match event:
        case Building(line=line, why=why):
            return replace(panel, phase=Phase.BUILDING, detail=line, why=why or panel.why)
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
