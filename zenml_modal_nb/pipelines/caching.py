"""ZenML's step cache for cells: an unchanged cell gets back all that its earlier run has done, without a sandbox.

A step's declared outputs are not all that a cell does to a notebook, so a run with `--cache` saves one more artifact:
the values file that its sandbox sent, which restores names, changes in place, deletions, settings and the last
expression's value as they were restored then, and what the cell printed and displayed. ZenML looks the step up by its
own cache key, into which ours goes; `find` tells it which earlier run is meant.
"""

from __future__ import annotations

import logging
import pickle
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zenml_modal_nb.events import Cleared, Display, Event, Log

if TYPE_CHECKING:
    from zenml.models import ArtifactVersionResponse

    from zenml_modal_nb.pipelines.execution import Execution

logger = logging.getLogger(__name__)

ENVIRONMENT = "ZENML_MODAL_NB_CACHE_KEY"  # variables of a step take part in ZenML's cache key
SAID_LIMIT = 4 << 20  # bytes of output that are kept; ZenML's log has all
_CANDIDATES = 20  # earlier runs of one digest that differ in random states


@dataclass(frozen=True, slots=True)
class CacheKey:
    """What the outcome of a cell depends on; made by `run.cache_key`.

    `digest` covers everything but the states of random generators, whose digests are `drawn`, by module: whether a
    cell draws is known when it has run. Of those that it seeds itself, `seeded`, the state does not matter; `states`
    are theirs, packed, since the cell leaves them as its seed has it even where that is no change.
    """

    digest: str
    drawn: Mapping[str, str]
    seeded: frozenset[str]
    states: Mapping[str, bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Kept:
    """An earlier run's outcome, read back in full before ZenML is asked for it."""

    salt: str
    run_name: str
    date: str
    values: bytes = field(repr=False)
    seconds: float
    said: tuple[Event, ...] = field(repr=False)
    states: Mapping[str, bytes] = field(repr=False)
    inputs: Mapping[str, ArtifactVersionResponse] = field(repr=False)


class Said:
    """What a cell prints and displays, as far as it is kept for the next time."""

    def __init__(self) -> None:
        self._events: list[Log | Display | Cleared] = []
        self._size = 0

    def add(self, event: Event) -> None:
        """Take an event; all but text and displays is of this run only."""
        if isinstance(event, Cleared):
            self._events.append(event)
        if not isinstance(event, Log | Display):
            return
        before = self._size
        self._size += len(event.text) if isinstance(event, Log) else len(repr(event.data))
        if self._size <= SAID_LIMIT:
            self._events.append(event)
        elif before <= SAID_LIMIT:
            self._events.append(Log("\n[the rest of the output is in the log of the earlier run]\n"))

    def plain(self) -> list[tuple[str, Any, Any]]:
        """Return it without classes of ours, which may change until it is read."""
        return [_plain(each) for each in self._events]


def _plain(event: Log | Display | Cleared) -> tuple[str, Any, Any]:
    match event:
        case Log(text=text, stream=stream):
            return "log", text, stream
        case Display(data=data, metadata=metadata, display_id=display_id, update=update):
            return "display", (dict(data), dict(metadata)), (display_id, update)
        case Cleared(wait=wait):
            return "clear", wait, None


def _event(kind: str, first: Any, second: Any) -> Event:
    """Read what `_plain` has written."""
    if kind == "log":
        return Log(first, second)
    return Cleared(first) if kind == "clear" else Display(*first, *second)


def variable(key: CacheKey, kept: Kept | None) -> dict[str, str]:
    """Return the step's variable that makes ZenML find the earlier run, or none at all."""
    return {ENVIRONMENT: f"{key.digest}-{kept.salt if kept is not None else secrets.token_hex(8)}"}


def find(key: CacheKey) -> Kept | None:
    """Return the outcome of the latest completed run of the same key, None if there is none that can be read."""
    from zenml.client import Client

    found = Client().list_artifact_versions(
        sort_by="desc:created", size=_CANDIDATES, run_metadata=f"cell_digest:{key.digest}", hydrate=True
    )
    for version in found.items:
        drawn: Mapping[str, str] = version.run_metadata["drawn"]  # type: ignore[assignment]  # see `keep`
        if all(module in key.seeded or key.drawn.get(module) == state for module, state in drawn.items()):
            try:
                return _read(version)
            except Exception as error:  # noqa: BLE001 - deleted files, another version's pickles: then the cell runs
                logger.debug("What %s holds cannot be used: %r", version.id, error)
    return None


def _read(version: ArtifactVersionResponse) -> Kept:
    from zenml.client import Client

    client = Client()
    metadata = version.run_metadata
    step_run = client.get_run_step(str(metadata["step_run_id"]))  # type: ignore[arg-type]  # ZenML takes text too
    run = client.get_pipeline_run(step_run.pipeline_run_id, hydrate=False)
    content = pickle.loads(version.load())  # the user's own artifact, as ZenML's own pickles are
    said = tuple(_event(*each) for each in content["said"])
    inputs = {name: client.get_artifact_version(each[0].id) for name, each in step_run.regular_inputs.items()}
    date = f"{version.created:%Y-%m-%d %H:%M} UTC"
    return Kept(
        str(metadata["salt"]),
        run.name,
        date,
        content["values"],
        content["seconds"],
        said,
        content["states"],
        inputs,
    )


def keep(execution: Execution) -> None:
    """Save what the next run of the same cell needs, as an artifact of the step that is being recorded."""
    from zenml import save_artifact

    key, info = execution.job.cache, execution.info
    assert key is not None
    assert info is not None
    assert execution.values is not None
    changed = execution.values.session
    content = {
        "values": bytes(execution.delivered),
        "seconds": execution.seconds,
        "said": execution.said.plain(),
        "states": {module: state for module, state in key.states.items() if module not in changed},
    }
    _, _, salt = info.config.environment[ENVIRONMENT].partition("-")
    save_artifact(
        pickle.dumps(content, protocol=5),
        f"{execution.job.module.function}-outcome",  # no variable has such a name
        include_visualizations=False,
        user_metadata={
            "cell_digest": key.digest,
            "salt": salt,
            "drawn": {module: state for module, state in key.drawn.items() if module in changed},
            "step_run_id": str(info.step_run_id),
        },
    )
