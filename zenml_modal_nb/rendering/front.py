"""Whether this kernel's front end shows our widgets: their script says so from the page, or never does.

A request that names its cell comes from a notebook that somebody looks at, but not every Jupyter has the extensions
that widgets need (anywidget's, and ipywidgets' own), and nothing in the protocol says which it has.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

PATIENCE = 5.0  # seconds that a panel has stood when its script has surely spoken
_QUEUED = 1.0  # seconds that a request has waited in the kernel when the script's words may stand behind it
WHY = (
    "This front end has not shown the panel's widget, so here it is as HTML. For the live one install `anywidget` "
    "where Jupyter itself runs, and restart Jupyter; ZENML_MODAL_NB_PANEL=live tries again.\n"
)


class Front:
    """What is known of the front end; one per process, told by `live` and `kept`, asked by `choice`."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._heard = False
        self._stood = 0.0  # the longest that a panel has stood, in seconds
        self._quickest = float(
            "inf"
        )  # seconds from a request's date to its cell's start, clocks' difference included

    def hear(self) -> None:
        """Note that a script has spoken."""
        self._heard = True

    def stand(self, seconds: float) -> None:
        """Note how long a panel has stood."""
        self._stood = max(self._stood, seconds)

    def shows_widgets(self, date: object) -> bool:
        """Return whether the cell that was requested then, and runs now, can be shown by widgets, as far as is known.

        What a script says comes as late as after its cell, where the front end has no subshell, but before the request
        of a cell that is run after that. Cells that were queued together (Run All) tell nothing.
        """
        delay = self._clock() - date.timestamp() if isinstance(date, datetime) else 0.0
        self._quickest = min(self._quickest, delay)
        return self._heard or self._stood < PATIENCE or delay - self._quickest > _QUEUED


FRONT = Front()
