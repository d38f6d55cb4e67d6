"""What the SDK says about our sandboxes that is not for the user: dropped output and repeated calls."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

# The SDK's loggers, modal 1.6: the one of `modal.config`, and the one of `modal._utils.logger`, for repeated calls.
_SDK_LOGS = ("modal-client", "modal-utils")

# e.g. "Warning: Received …\nfor /modal.client.ModalClient/SandboxCreateV2 (1a2b3c4d). Retrying...", modal 1.6's
# `_utils/grpc_utils.py`. It names the call and no object, so among the calls of creating and following a sandbox ours
# cannot be told from the user's own: while a run of ours lasts, theirs are silent too, all others are not.
_REPEATED = re.compile(r"\bfor \S*\b(?:Sandbox|Task|Image|Mount|Secret|Container)\w* \([\w-]+\)\. Retrying")


class Losses:
    """The losses in one sandbox's output; made by its follower, asked by the readings of both streams."""

    def __init__(self, sandbox_id: str) -> None:
        self._sandbox_id = sandbox_id
        self.latest = float(
            "-inf"
        )  # `time.monotonic`; the SDK tells it before it hands out the line it has joined

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Take note of what the SDK says; on the background loop, within `unsaid`."""
        _chatter.hearers = (*_chatter.hearers, self)
        try:
            yield
        finally:
            _chatter.hearers = tuple(each for each in _chatter.hearers if each is not self)

    def take(self, text: str) -> bool:
        """Take note of a loss, if the text tells one of this sandbox; says whether it does."""
        if self._sandbox_id not in text or "dropped" not in text:
            return False
        self.latest = time.monotonic()
        return True


class _Chatter:
    """The one filter on the SDK's log; there while a run of ours lasts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs = 0
        self.hearers: tuple[Losses, ...] = ()  # replaced, never changed: the SDK logs on threads of its own

    def begin(self) -> None:
        with self._lock:
            self._runs += 1
            for log in map(logging.getLogger, _SDK_LOGS):
                log.addFilter(self._is_news)

    def end(self) -> None:
        with self._lock:
            self._runs -= 1
            if self._runs:
                return
            for log in map(logging.getLogger, _SDK_LOGS):
                log.removeFilter(self._is_news)

    def _is_news(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        # Each is asked: a loss may concern one that another has taken note of.
        taken = [each.take(text) for each in self.hearers]
        return not any(taken) and not (record.levelno < logging.ERROR and _REPEATED.search(text))


_chatter = _Chatter()


@contextmanager
def unsaid() -> Iterator[None]:
    """Keep from the user what the SDK says about creating, following and ending a sandbox of ours."""
    _chatter.begin()
    try:
        yield
    finally:
        _chatter.end()
