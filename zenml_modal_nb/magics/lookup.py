"""Names that only ZenML or Modal knows, for completion: a key press must not wait for a server."""

from __future__ import annotations

import contextvars
import logging
import threading
from collections.abc import Callable, Iterable

logger = logging.getLogger(__name__)

PATIENCE = 0.5  # seconds; a completion that takes longer feels like a front end that hangs


class Lookup:
    """Asks on a thread of its own and remembers the latest answer; made and read by `candidates`."""

    def __init__(self, ask: Callable[[], Iterable[str]]) -> None:
        self._ask = ask
        self._known: tuple[str, ...] = ()
        self._asking: threading.Thread | None = None

    def names(self, patience: float = PATIENCE) -> tuple[str, ...]:
        """Return the names, those of the time before if the answer takes longer than `patience` seconds."""
        if self._asking is None or not self._asking.is_alive():
            # A context of its own: what is silenced there must not be silent here.
            context = contextvars.Context()
            self._asking = threading.Thread(target=context.run, args=(self._look,), daemon=True)
            self._asking.start()
        self._asking.join(patience)
        return self._known

    def _look(self) -> None:
        try:
            self._known = tuple(self._ask())
        except Exception as error:  # noqa: BLE001 - whatever goes wrong there, the user was only typing
            logger.debug("Nothing to complete with: %r", error)
