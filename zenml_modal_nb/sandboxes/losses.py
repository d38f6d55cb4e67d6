"""What the SDK says about output that a server no longer has: not for the user, since it is read elsewhere then."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

_SDK_LOG = "modal-client"  # modal.config.logger, modal 1.6


class Losses:
    """The losses in one sandbox's output; made by its follower, asked by the readings of both streams."""

    def __init__(self, sandbox_id: str) -> None:
        self._sandbox_id = sandbox_id
        self.latest = float(
            "-inf"
        )  # `time.monotonic`; the SDK tells it before it hands out the line it has joined

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Take note of what the SDK says, and keep it from the user."""
        log = logging.getLogger(_SDK_LOG)
        log.addFilter(self._is_news)
        try:
            yield
        finally:
            log.removeFilter(self._is_news)

    def _is_news(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if self._sandbox_id not in text or "dropped" not in text:
            return True
        self.latest = time.monotonic()
        return False
