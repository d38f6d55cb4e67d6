"""Members of a team: who they are, what they run, and what of it has reached Modal."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

from launches import Launched, launched
from team import TeamHome


@dataclass(frozen=True)
class Member(TeamHome):
    """A member of the team whose Modal token leads to the local Modal API."""

    @property
    def environment(self) -> dict[str, str]:
        """With the variables that point Modal's SDK at the local Modal API: ZenML's own operator knows no other way."""
        inherited = super().environment
        state = self.state / "server.json"
        if not state.exists():
            return inherited
        record = json.loads(state.read_text(encoding="utf-8"))
        return inherited | {
            "MODAL_SERVER_URL": record["url"],
            "MODAL_TOKEN_ID": record["token_id"],
            "MODAL_TOKEN_SECRET": record["token_secret"],
            "MODAL_ENVIRONMENT": "local",
        }

    @property
    def state(self) -> Path:
        """The local Modal API's directory."""
        return self.path / "emulator"

    def script(self, name: str, text: str, *, without: Sequence[str] = ()) -> CompletedProcess[str]:
        """Run a script of the user's, from a directory of its own: ZenML ships all that lies beside it.

        `without` are variables that it does not get.
        """
        place = self.path / "scripts" / name
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{name}.py").write_text(text, encoding="utf-8")
        kept = {key: value for key, value in self.environment.items() if key not in without}
        return subprocess.run(
            [sys.executable, str(place / f"{name}.py")],
            env=kept, cwd=place, capture_output=True, text=True, timeout=170, check=False,
        )  # fmt: skip

    def launched(self) -> list[Launched]:
        """What has reached Modal so far."""
        return launched(self.state)
