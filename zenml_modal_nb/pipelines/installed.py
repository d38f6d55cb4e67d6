"""What is installed, as far as it takes to see that it has changed: reading all of it takes 0.1 to 1 s."""

from __future__ import annotations

import os
import sys
from functools import lru_cache

State = tuple[frozenset[str], ...]

_METADATA = (".dist-info", ".egg-info", ".egg-link")


def state() -> State:
    """Return the names, with versions, of the installed distributions, by directory of `sys.path`."""
    return tuple(_distributions(path, _changed(path)) for path in sys.path)


# A directory is read again only when it has changed, as the notebook's own often does.
@lru_cache(maxsize=256)
def _distributions(path: str, changed: int | None) -> frozenset[str]:
    try:
        names = os.listdir(path or ".")
    except OSError:  # e.g. a zip of the standard library that does not exist
        return frozenset()
    return frozenset(name for name in names if name.endswith(_METADATA))


def _changed(path: str) -> int | None:
    try:
        return os.stat(path or ".").st_mtime_ns
    except OSError:
        return None
