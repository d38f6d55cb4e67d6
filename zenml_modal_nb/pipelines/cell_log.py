"""The cell's output as the step's log in ZenML, written while the cell runs."""

from __future__ import annotations

import logging
import re
import threading
from typing import TYPE_CHECKING

from zenml.utils.logging_utils import LoggingContext, is_step_logging_enabled, setup_logging_context

from zenml_modal_nb.events import Log
from zenml_modal_nb.pipelines.whole_lines import WholeLines

if TYPE_CHECKING:
    from zenml.config.step_run_info import StepRunInfo
    from zenml.models import PipelineRunResponse

_LEVELS = {"stdout": logging.INFO, "stderr": logging.ERROR}  # as ZenML's own capture of the streams has it

# ZenML's context leaves out messages of nothing but spaces; its store removes colours, and what is left is blank.
_BLANK = "\x1b[0m"
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")

_MANY = (
    20  # lines that come at once from which on they share entries: ZenML takes some thousand entries a second
)
_ENTRY = 4096  # bytes of such an entry; ZenML cuts what has more than 5 KiB
_MOST_BLANK = 100  # blank lines at the end of a log that are entries; more are counted


class CellLog:
    """ZenML's log of one step; the step operator opens and closes it, the follower's events fill it, also before."""

    def __init__(self) -> None:
        self._context: LoggingContext | None = None
        self._off = False  # switched off by the user, e.g. `enable_step_logs=False`
        self._waiting: list[logging.LogRecord] = []  # what came before it was open
        self._lock = threading.Lock()
        self._open = {"stdout": WholeLines(), "stderr": WholeLines()}
        # Lines without text: at the end of an entry ZenML would leave them out, so they wait for the next line.
        self._blank: dict[str, int] = {"stdout": 0, "stderr": 0}

    def open(self, info: StepRunInfo, run: PipelineRunResponse) -> None:
        """Create the log that ZenML's StepRunner will find and go on with, unless the step is to have none."""
        if not is_step_logging_enabled(info.config, info.pipeline):
            with self._lock:
                self._off = True
                self._waiting.clear()
            return
        # Under this source StepRunner looks for the log of a step.
        context = setup_logging_context(source="step", step_run=info.step_run, pipeline_run=run)
        context.begin()
        with self._lock:
            for record in self._waiting:
                context.emit(record)
            self._waiting.clear()
            self._context = context

    def write(self, event: Log) -> None:
        """Take text as it comes; whole lines become entries, many at once share one."""
        lines = self._open[event.stream].take(event.text)
        if len(lines) < _MANY:
            self._settle(event.stream)
            for line in lines:
                self._entry(line, event.stream)
        else:
            self._share(lines, event.stream)

    def close(self) -> None:
        """Write what has no line end and wait until everything is stored; nothing is, if it was never opened."""
        for stream, lines in self._open.items():
            self._settle(stream)
            if rest := lines.rest():
                self._entry(rest, stream)
        if self._context is not None:
            self._context.end()

    def _share(self, lines: list[str], stream: str) -> None:
        entry: list[str] = []
        size = 0
        for line in lines:
            if not _COLOUR.sub("", line).strip():
                self._blank[stream] += 1
                continue
            found = [*[""] * self._blank[stream], line]
            self._blank[stream] = 0
            more = len(found) + len(line.encode())
            if entry and size + more > _ENTRY:
                self._entry("\n".join(entry), stream)
                entry, size = [], 0
            entry += found
            size += more
        if entry:
            self._entry("\n".join(entry), stream)

    def _settle(self, stream: str) -> None:
        """Make entries of the blank lines that nothing has followed."""
        blank, self._blank[stream] = self._blank[stream], 0
        for _ in range(min(blank, _MOST_BLANK)):
            self._entry("", stream)
        if blank > _MOST_BLANK:
            self._entry(f"[{blank - _MOST_BLANK} more blank lines]", stream)

    def _entry(self, line: str, stream: str) -> None:
        record = logging.LogRecord(stream, _LEVELS[stream], "", 0, line if line.strip() else _BLANK, (), None)
        with self._lock:
            if self._off:
                return
            if self._context is None:
                self._waiting.append(record)
            else:
                self._context.emit(record)
