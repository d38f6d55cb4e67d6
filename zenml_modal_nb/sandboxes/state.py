"""Where this package keeps what outlives a kernel: the user's state directory."""

from __future__ import annotations

import os
from pathlib import Path

_VARIABLE = "ZENML_MODAL_NB_STATE_DIR"


def home() -> Path:
    """Return the state directory itself; nothing is created."""
    if named := os.environ.get(_VARIABLE):
        return Path(named)
    from platformdirs import user_state_dir

    return Path(user_state_dir("zenml-modal-nb", appauthor=False))


def directory(name: str) -> Path:
    """Return the path of one part of it, e.g. "notebooks"; nothing is created."""
    return home() / name
