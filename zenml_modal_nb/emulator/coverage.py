"""Which of Modal's calls are here: COVERAGE.md, written from the code that answers them.

A call's method that does not do all that Modal's does says so in its docstring, in a sentence that begins with
`Differs:`; a call without a method is not there.
"""

from __future__ import annotations

import asyncio
import inspect
import tempfile
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zenml_modal_nb.emulator.services.calls import Method, Servable

PATH = Path(__file__).with_name("COVERAGE.md")
DIFFERS = "Differs:"

_INTRODUCTION = """\
# What the local Modal API answers

Written by `python -m zenml_modal_nb.emulator coverage`; a test fails when it is out of date. What every sandbox
here is made of (a subprocess, not a container) is in `ARCHITECTURE.md`, not repeated for each call.

- **supported**: as far as Modal's SDK can tell, as at Modal.
- **partly**: answered, and how it differs.
- **not there**: answered with UNIMPLEMENTED and the name of the call.
"""


@dataclass(frozen=True)
class Call:
    """One call of a gRPC service; `difference` is empty for one that is here as at Modal."""

    service: str
    name: str
    present: bool
    difference: str = ""

    @property
    def status(self) -> str:
        """The word for the table."""
        if not self.present:
            return "not there"
        return "partly" if self.difference else "supported"


def report() -> str:
    """The text of COVERAGE.md for the code as it is."""
    calls = _listed(asyncio.run(_services()))
    parts = [_INTRODUCTION]
    for service in dict.fromkeys(call.service for call in calls):
        parts.append(_section(service, [call for call in calls if call.service == service]))
    return "\n".join(parts)


async def _services() -> Collection[Servable]:
    from zenml_modal_nb.emulator.server import serve
    from zenml_modal_nb.emulator.settings import ServerSettings

    # A whole server, for a moment: nothing else knows which services there are and what they need.
    with tempfile.TemporaryDirectory(prefix="zenml-modal-nb-") as directory:
        server = await serve(ServerSettings(Path(directory), "ak-unused", "as-unused"))
        try:
            return server.services
        finally:
            await server.close()


def _listed(services: Collection[Servable]) -> list[Call]:
    return [call for service in services for call in calls_of(service.methods)]


def calls_of(methods: Mapping[str, Method | None]) -> list[Call]:
    """The calls of one service by name; a path is e.g. `/modal.client.ModalClient/AppList`."""
    found = []
    for path, method in methods.items():
        _, service, name = path.split("/")
        found.append(Call(service, name, method is not None, _difference(method) if method else ""))
    return sorted(found, key=lambda call: call.name)


def _difference(method: Method) -> str:
    _, differs, text = (inspect.getdoc(method) or "").partition(DIFFERS)
    return " ".join(text.split()) if differs else ""


def _section(service: str, calls: list[Call]) -> str:
    count = Counter(call.status for call in calls)
    there = [call for call in calls if call.present]
    lines = [
        f"## {service}",
        "",
        f"{len(calls)} calls: {count['supported']} supported, {count['partly']} partly, "
        f"{count['not there']} not there.",
        "",
        "| call | status | how it differs |",
        "|---|---|---|",
        *(f"| `{call.name}` | {call.status} | {call.difference.replace('|', '&#124;')} |" for call in there),
        "",
        "Not there:",
        "",
        *(f"- `{call.name}`" for call in calls if not call.present),
        "",
    ]
    return "\n".join(lines)
