"""The whole log of a run on the disk, as it was written; the page shows a bounded part of it."""

from __future__ import annotations

import logging
import threading
from io import TextIOWrapper
from pathlib import Path

from zenml_modal_nb.sandboxes import state

logger = logging.getLogger(__name__)

KEPT = 64  # logs; older ones are removed, ZenML has them all


class LogFile:
    """Both streams in the order of their arrival; made and written by `CellRun`."""

    def __init__(self, run: str, folder: Path | None = None) -> None:
        folder = state.directory("logs") if folder is None else folder
        self.path: Path | None = None  # None: it cannot be written, and the run goes on without
        self._file: TextIOWrapper | None = None
        self._lock = threading.Lock()  # what is read and what is recorded are told by different threads
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _prune(folder)
            self._file = (folder / f"{run}.log").open("w", encoding="utf-8", errors="replace", newline="")
            self.path = folder / f"{run}.log"
        except OSError as error:
            logger.info("The log of this run is not kept on the disk: %s", error)

    def write(self, text: str) -> bool:
        """Append text, which can be read at once; says whether it is in the file."""
        with self._lock:
            if self._file is None:
                return False
            try:
                self._file.write(text)
                self._file.flush()
            except OSError as error:  # e.g. the disk is full
                logger.warning("The log of this run is incomplete on the disk: %s", error)
                self._file = None
                return False
            return True

    def read(self) -> str:
        """Return what is in the file; raises OSError when that is gone."""
        return "" if self.path is None else self.path.read_bytes().decode("utf-8", "replace")

    def close(self) -> None:
        """End it; a second call changes nothing."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None


def _prune(folder: Path) -> None:
    logs = sorted(folder.glob("*.log"), key=_written, reverse=True)
    for path in logs[KEPT - 1 :]:
        path.unlink(missing_ok=True)


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # another kernel prunes at the same time
        return 0.0
