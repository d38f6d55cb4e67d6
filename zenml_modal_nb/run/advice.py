"""What a failing cell may have lacked: something that is here and was not sent."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from zenml_modal_nb.pipelines.execution import CellJob
from zenml_modal_nb.sandboxes.fetching import is_odd

# Where programs and the system have their files: nobody means to send them.
_SYSTEM = (
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/proc",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
)


def advice(error: Mapping[str, Any], job: CellJob, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return a sentence for the fields of an `error` frame, None where nothing that is here would have helped."""
    for missing in _missing(error):
        found = None
        if "variable" in missing:
            found = _of_variable(missing["variable"], job, environment)
        elif "file" in missing:
            found = _of_file(missing["file"], job)
        if found is not None:
            return found
    return None


def _missing(error: Mapping[str, Any]) -> Iterator[Mapping[str, str]]:
    """What the error lacks, and those that it was raised from; not one that was merely being handled."""
    chain: list[Mapping[str, Any]] = [error]
    while chain:
        each = chain.pop()
        if "missing" in each:
            yield each["missing"]
        chain += each.get("cause") or []


def _of_variable(name: str, job: CellJob, environment: Mapping[str, str]) -> str | None:
    known = name in environment and name not in job.environment and name not in job.ephemeral
    if not known or not (name.isascii() and name.isidentifier()):
        return None
    return f"`{name}` is set here but was not sent: add --env {name}"


def _of_file(path: str, job: CellJob) -> str | None:
    # A path with a line break cannot stand on the magic line.
    if is_odd(path) or _is_elsewhere(path, job):
        return None
    here = job.directory / path
    if here.exists():
        # Where it was sent, or something in it, the cell has moved or removed it since.
        return None if _was_sent(path, job) else _told("", path)
    folder = os.path.dirname(path)
    if (
        folder
        and not _is_elsewhere(folder, job)
        and (job.directory / folder).is_dir()
        and not _was_sent(folder, job)
        and not os.path.isabs(path)
    ):
        return f"{_told('folder ', folder)}, or create it in the cell"
    return None


def _is_elsewhere(path: str, job: CellJob) -> bool:
    """Whether a path is the system's or a volume's, or the working directory itself or one that it is in."""
    taken = (*_SYSTEM, *(mount for _, mount in job.volumes))
    return {*os.path.normpath(path).split("/")} <= {"", ".", ".."} or any(
        path == place or path.startswith(f"{place}/") for place in taken
    )


def _was_sent(path: str, job: CellJob) -> bool:
    return any(each.path == path or each.path.startswith(f"{path}/") for each in job.sent)


def _told(kind: str, path: str) -> str:
    option = f"--file={shlex.quote(path)}" if path.startswith("--") else f"--file {shlex.quote(path)}"
    name = os.path.basename(os.path.normpath(path))
    outside = os.path.isabs(path) or os.path.normpath(path).split("/")[0] == ".."
    there = f", and call it {name!r} in the cell" if outside else ""
    return f"{kind}`{path}` exists here but was not sent: add {option}{there}"
