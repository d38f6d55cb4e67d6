"""What to do when a named thing is, or is not, there."""

from __future__ import annotations

import enum


class Creation(enum.Enum):
    """Modal's creation types."""

    LOOK_UP = enum.auto()
    IF_MISSING = enum.auto()
    FAIL_IF_EXISTS = enum.auto()
    OVERWRITE = enum.auto()
    EPHEMERAL = enum.auto()
