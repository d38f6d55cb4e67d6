"""The cell's output as the step's log in ZenML, written while the cell runs."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from zenml.utils.logging_utils import LoggingContext, setup_logging_context

from zenml_modal_nb.events import Log

if TYPE_CHECKING:
    from zenml.config.step_run_info import StepRunInfo
    from zenml.models import PipelineRunResponse

_LEVELS = {"stdout": logging.INFO, "stderr": logging.ERROR}  # as ZenML's own capture of the streams has it

# ZenML's context leaves out messages of nothing but spaces; its store removes colours, and what is left is blank.
_BLANK = "\x1b[0m"


class CellLog:
    """ZenML's log of one step; the step operator opens and closes it, the follower's events fill it, also before."""

    def __init__(self) -> None:
        self._context: LoggingContext | None = None
        self._waiting: list[logging.LogRecord] = []  # what came before it was open
        self._lock = threading.Lock()
        # Pieces of the line that has no end yet.
        self._open: dict[str, list[str]] = {"stdout": [], "stderr": []}

    def open(self, info: StepRunInfo, run: PipelineRunResponse) -> None:
        """Create the log that ZenML's StepRunner will find and go on with."""
        # Under this source StepRunner looks for the log of a step.
        context = setup_logging_context(source="step", step_run=info.step_run, pipeline_run=run)
        context.begin()
        with self._lock:
            for record in self._waiting:
                context.emit(record)
            self._waiting.clear()
            self._context = context

    def write(self, event: Log) -> None:
        """Take text as it comes; whole lines become entries."""
        pieces = self._open[event.stream]
        *lines, rest = event.text.split("\n")
        for line in lines:
            self._entry("".join([*pieces, line]), event.stream)
            pieces.clear()
        if rest:
            pieces.append(rest)

    def close(self) -> None:
        """Write what has no line end and wait until everything is stored; nothing is, if it was never opened."""
        for stream, pieces in self._open.items():
            if pieces:
                self._entry("".join(pieces), stream)
        if self._context is not None:
            self._context.end()

    def _entry(self, line: str, stream: str) -> None:
        record = logging.LogRecord(stream, _LEVELS[stream], "", 0, line if line.strip() else _BLANK, (), None)
        with self._lock:
            if self._context is None:
                self._waiting.append(record)
            else:
                self._context.emit(record)
