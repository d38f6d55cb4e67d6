"""Members of a team: who they are, what they run, and what of it has reached Modal."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

from launches import Launched, launched
from team import TeamHome

from zenml_modal_nb.emulator.faults import Fault, FaultControl


@dataclass(frozen=True)
class Member(TeamHome):
    """A member of the team whose Modal token leads to the local Modal API."""

    @property
    def environment(self) -> dict[str, str]:
        """With the variables that point Modal's SDK at the local Modal API: ZenML's own operator knows no other way."""
        inherited = super().environment
        if not self._record.exists():
            return inherited
        record = self.server_record
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

    @property
    def server_record(self) -> Mapping[str, str]:
        """Address and token of the local Modal API."""
        return dict(json.loads(self._record.read_text(encoding="utf-8")))

    @property
    def _record(self) -> Path:
        return self.state / "server.json"

    @contextmanager
    def fault(self, fault: Fault) -> Iterator[None]:
        """Let something go wrong at Modal meanwhile."""
        planned = self._faults.add(fault)
        try:
            yield
        finally:
            self._faults.clear(planned)

    def refused(self, kind: type[Fault]) -> int:
        """How often faults of a kind have happened that are planned now."""
        return sum(each.happened for each in self._faults.list() if isinstance(each.fault, kind))

    @property
    def _faults(self) -> FaultControl:
        record = self.server_record
        return FaultControl(record["url"], record["token_id"], record["token_secret"])

    def script(
        self, name: str, text: str, *, without: Sequence[str] = (), seconds: float = 170, **beside: str
    ) -> CompletedProcess[str]:
        """Run a script of the user's, from a directory of its own: ZenML ships all that lies beside it.

        `without` are variables that it does not get, `beside` the texts of modules.
        """
        with self.started(name, text, without=without, **beside) as process:
            try:
                printed, told = process.communicate(timeout=seconds)
            except BaseException:
                process.kill()
                raise
        return CompletedProcess(process.args, process.returncode, printed, told)

    def started(
        self, name: str, text: str, *, without: Sequence[str] = (), **beside: str
    ) -> subprocess.Popen[str]:
        """Start such a script."""
        place = self.path / "scripts" / name
        place.mkdir(parents=True, exist_ok=True)
        for module, content in {name: text, **beside}.items():
            (place / f"{module}.py").write_text(content, encoding="utf-8")
        kept = {key: value for key, value in self.environment.items() if key not in without}
        return subprocess.Popen(
            [sys.executable, str(place / f"{name}.py")],
            env=kept, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def launched(self, since: float = 0.0) -> list[Launched]:
        """What has reached Modal since a moment, in seconds since 1970."""
        return launched(self.state, since)


@dataclass(frozen=True)
class Outsider(Member):
    """A member with a token that Modal does not take: only what a component has leads there."""

    @property
    def environment(self) -> dict[str, str]:
        """With the wrong token."""
        return super().environment | {"MODAL_TOKEN_ID": "ak-wrong", "MODAL_TOKEN_SECRET": "as-wrong"}
