"""What the Modal SDK logs about sandboxes that we follow: not for the user's cell, since the follower deals with it.

The user's own Modal code keeps its log.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

_SDK_LOGGER = "modal-client"  # modal.config.logger, modal 1.6


class _Followed(logging.Filter):
    """Drops records that name a followed sandbox, e.g. "dropped 512 bytes" of output that is read elsewhere then."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        return not any(sandbox_id in message for sandbox_id in self.ids)


@cache
def _followed() -> _Followed:
    followed = _Followed()
    logging.getLogger(_SDK_LOGGER).addFilter(followed)
    return followed


@contextmanager
def hushed(sandbox_id: str) -> Iterator[None]:
    """Keep the SDK quiet about one sandbox."""
    ids = _followed().ids
    ids.add(sandbox_id)
    try:
        yield
    finally:
        ids.discard(sandbox_id)
