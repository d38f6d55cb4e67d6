"""The text of a module whose one function is a cell as a ZenML step."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StepModule:
    """Module text and the name of its step function; `packaging.module` writes it, `record` makes a step of it."""

    text: str
    function: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Hex SHA-1 of the text, as ZenML names its extracted notebook code."""
        return hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
