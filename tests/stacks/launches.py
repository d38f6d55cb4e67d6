"""What reached the local Modal API, read from its own records."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Code that notes the Dockerfile commands of images as they leave for Modal, in `built`; the server keeps none of them.
NOTE_BUILDS = """
import grpclib.client
built, _send = [], grpclib.client.Stream.send_message
async def _noted(self, message, **options):
    if type(message).__name__ == "ImageGetOrCreateRequest":
        built.extend(message.image.dockerfile_commands)
    return await _send(self, message, **options)
grpclib.client.Stream.send_message = _noted
"""


@dataclass(frozen=True)
class Launched:
    """One sandbox as it was asked for, and how it ended."""

    app: str
    environment: str
    gpu: str | None  # e.g. "A100:2"
    cores: float
    memory_mib: int
    timeout: int
    regions: tuple[str, ...]
    cloud: str
    tags: dict[str, str]
    end: str | None  # e.g. "EXITED"
    code: int | None
    began: float  # seconds since 1970
    ended: float | None
    command: tuple[str, ...]
    packages: tuple[
        str, ...
    ]  # distributions that the image was told to have, below one that it is built on too
    record: str  # all that the server has written down of it


def launched(state: Path, since: float = 0.0) -> list[Launched]:
    """The sandboxes that a server with this state directory has made, the oldest first; it forgets old ones.

    `since` is in seconds since 1970.
    """
    records = state / "records-1"
    apps = {app["id"]: app for app in _all(records / "apps")}
    sandboxes = sorted(_all(records / "sandboxes-2"), key=lambda each: float(each["created_at"]))
    images = {
        path.stem: json.loads(path.read_text(encoding="utf-8")) for path in records.glob("images-*/*.json")
    }
    return [
        _launched(each, apps[each["definition"]["app_id"]], images[each["definition"]["image_id"]]["recipe"])
        for each in sandboxes
        if each["created_at"] >= since
    ]


def _launched(sandbox: dict[str, Any], app: dict[str, Any], recipe: dict[str, Any]) -> Launched:
    asked, gpu, outcome = sandbox["definition"], sandbox["gpu"], sandbox["outcome"] or {}
    return Launched(
        app=app["name"],
        environment=app["environment"],
        gpu=f"{gpu['type']}:{gpu['count']}" if gpu else None,
        cores=sandbox["request"]["cores"],
        memory_mib=sandbox["request"]["memory_mib"],
        timeout=asked["timeout"],
        regions=tuple(asked["regions"]),
        cloud=asked["cloud"],
        tags=sandbox["tags"],
        end=outcome.get("end"),
        code=outcome.get("code"),
        began=sandbox["created_at"],
        ended=sandbox["ended_at"],
        command=tuple(asked["command"]),
        packages=tuple(recipe["packages"]),
        record=json.dumps(sandbox),
    )


def _all(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in directory.glob("*.json")]
