"""The Python of a sandbox: the host's environment without the packages a real image would not have.

A Modal image holds what its own commands install. Here nothing is installed, so a sandbox uses the user's
own environment; but ZenML, this package and cloudpickle are hidden, or a program that wrongly relies on them
would work here and fail at Modal.
"""

from __future__ import annotations

import asyncio
import csv
import hashlib
import importlib.metadata
import json
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from zenml_modal_nb.emulator.state.refusals import InvalidArgumentError

MASKED = frozenset({"zenml", "zenml-modal-nb", "cloudpickle"})

_PROBE = """
import json, site, sys
sites = site.getsitepackages() + ([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])
print(json.dumps({"version": list(sys.version_info[:3]), "sites": sites}))
"""
_CREATE = """
import sys, venv
venv.EnvBuilder(symlinks=True, with_pip=False).create(sys.argv[1])
"""

# Begins a program that runs with the Python beside it, wherever its environment is moved.
_BESIDE = b"""#!/bin/sh
\'\'\'exec' "$(dirname -- "$(realpath -- "$0")")"/python "$0" "$@"
' \'\'\'
"""


@dataclass(frozen=True)
class Host:
    """The interpreter sandboxes are made from: its version and the directories of its packages."""

    python: str
    version: tuple[int, int, int]
    sites: tuple[Path, ...]

    @property
    def series(self) -> str:
        """E.g. `3.11`."""
        return f"{self.version[0]}.{self.version[1]}"


class Interpreters:
    """Makes and keeps the masked environments below `directory`; one per server."""

    def __init__(self, python: str, directory: Path) -> None:
        self._python = python
        self._directory = directory
        self._host: asyncio.Task[Host] | None = None
        self._preparing: asyncio.Task[Path] | None = None
        self._making: dict[str, asyncio.Task[Path]] = {}

    def prepare(self) -> None:
        """Begin to make the environment most sandboxes use, so that the first one need not wait for it."""
        self._preparing = asyncio.create_task(self.bin(frozenset()))
        self._preparing.add_done_callback(_told_when_used)

    async def settle(self) -> None:
        """Wait for what is being made, so that nothing is written after the server has closed."""
        tasks: list[asyncio.Task[Path]] = list(self._making.values())
        if self._preparing is not None:
            tasks.append(self._preparing)
        if tasks:
            # A failure has been told to whoever wanted the environment.
            await asyncio.wait(tasks)

    async def host(self) -> Host:
        """The interpreter's facts, asked of it once."""
        if self._host is None or (self._host.done() and self._host.exception() is not None):
            self._host = asyncio.create_task(asyncio.to_thread(_probe, self._python))
        return await asyncio.shield(self._host)

    async def bin(self, packages: frozenset[str]) -> Path:
        """The directory to put first on PATH for an image that installs `packages` (normalised names)."""
        host = await self.host()
        masked = MASKED - packages if packages else MASKED
        if packages and masked:
            masked -= await asyncio.to_thread(_required, packages, host.sites)
        key = _key(host, masked)
        # A second sandbox waits for the first one's environment instead of making its own; a failed attempt
        # (e.g. a full disk) is made again.
        making = self._making.get(key)
        if making is None or (making.done() and making.exception() is not None):
            making = asyncio.create_task(asyncio.to_thread(_ensure, self._directory / key, host, masked))
            self._making[key] = making
        return await asyncio.shield(making) / "bin"


def _told_when_used(preparing: asyncio.Task[Path]) -> None:
    """Let a failure be: the first sandbox tries again and its creator is told."""
    if not preparing.cancelled():
        preparing.exception()


def normalised(name: str) -> str:
    """A distribution's name in the form all spellings share (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _probe(python: str) -> Host:
    # -E: PYTHONPATH and the like are the user's variables and stay outside, as at Modal.
    try:
        answer = subprocess.run([python, "-E", "-c", _PROBE], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise InvalidArgumentError(f"The Python of the local sandboxes cannot be started: {error}") from error
    facts = json.loads(answer.stdout)
    major, minor, micro = facts["version"]
    return Host(
        python, (major, minor, micro), tuple(Path(site) for site in facts["sites"] if os.path.isdir(site))
    )


def _key(host: Host, masked: frozenset[str]) -> str:
    """Changes whenever a package comes, goes or changes its version (its dist-info has another name).

    Times of directories are left out on purpose: importing a package for the first time changes them.
    """
    digest = hashlib.sha256(repr((host.python, host.version, sorted(masked))).encode())
    for site in host.sites:
        for entry in sorted(os.scandir(site), key=lambda entry: entry.name):
            stamp = entry.stat().st_mtime_ns if entry.name.endswith(".pth") else ""
            digest.update(f"{site}/{entry.name}:{stamp}\n".encode())
    return digest.hexdigest()[:24]


def _ensure(target: Path, host: Host, masked: frozenset[str]) -> Path:
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f"{target.name}.{secrets.token_hex(4)}")
        try:
            subprocess.run([host.python, "-I", "-c", _CREATE, str(draft)], check=True, capture_output=True)
            _link(host, masked, draft / "lib" / f"python{host.series}" / "site-packages")
            _link_programs(host.sites, masked, draft / "bin")
            draft.rename(target)
        except OSError:
            # Another process was faster: its environment has the same content.
            if not target.is_dir():
                raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return target


def _link(host: Host, masked: frozenset[str], destination: Path) -> None:
    hidden = _hidden_entries(host.sites, masked)
    for site in host.sites:
        for entry in os.scandir(site):
            link = destination / entry.name
            # The first directory wins, as on sys.path; compiled files of single modules are made anew.
            if entry.name in hidden or entry.name == "__pycache__" or os.path.lexists(link):
                continue
            if entry.name.endswith(".pth"):
                link.write_text(_without_hidden(Path(entry.path), hidden), encoding="utf-8")
            else:
                link.symlink_to(entry.path)


def _link_programs(sites: Iterable[Path], masked: frozenset[str], destination: Path) -> None:
    """Bring the programs of the packages that are not masked, e.g. torchrun, with this environment's Python."""
    for distribution in importlib.metadata.distributions(path=[str(site) for site in sites]):
        if normalised(distribution.name) in masked:
            continue
        for file in _files(distribution):
            # e.g. ../../../bin/torchrun
            parts = file.split("/")
            program = destination / parts[-1]
            if parts[-2:-1] != ["bin"] or ".." not in parts or os.path.lexists(program):
                continue
            source = Path(os.path.abspath(str(distribution.locate_file(file))))
            if source.is_file():
                _link_program(source, program)


def _link_program(source: Path, program: Path) -> None:
    with source.open("rb") as file:
        first = file.readline() if file.read(2) == b"#!" else b""
        rest = file.read() if b"python" in first else b""
    if rest:
        program.write_bytes(_BESIDE + rest)
        program.chmod(0o755)
    else:
        program.symlink_to(source)


def _without_hidden(pth: Path, hidden: frozenset[str]) -> str:
    """A .pth file's lines but for directories that hold a hidden package, e.g. an editable checkout."""

    def reveals(line: str) -> bool:
        if line.startswith(("import ", "import\t", "#")):
            return False
        return any((pth.parent / line.strip() / name).exists() for name in hidden)

    lines = pth.read_text(encoding="utf-8").splitlines()
    return "".join(f"{line}\n" for line in lines if not reveals(line))


def _hidden_entries(sites: Iterable[Path], masked: frozenset[str]) -> frozenset[str]:
    """The top-level names that belong to masked distributions and to no other."""
    masked_entries: set[str] = set()
    other_entries: set[str] = set()
    for distribution in importlib.metadata.distributions(path=[str(site) for site in sites]):
        tops = {file.partition("/")[0] for file in _files(distribution)}
        entries = tops - {"..", "__pycache__", ""}  # the last one is of absolute paths
        if normalised(distribution.name) in masked:
            # An editable install lists no modules: its import names are its own name's spellings.
            masked_entries |= entries | {normalised(distribution.name).replace("-", "_")}
        else:
            other_entries |= entries
    return frozenset(masked_entries - other_entries)


def _files(distribution: importlib.metadata.Distribution) -> list[str]:
    """What an installer has written down, relative to the packages' directory; e.g. `torch/__init__.py`.

    `distribution.files` looks for each of them on the disk, tens of thousands in an environment with Jupyter.
    """
    record = distribution.read_text("RECORD")
    if record is None:  # e.g. an egg
        return [str(file) for file in distribution.files or ()]
    return [row[0] for row in csv.reader(record.splitlines()) if row]


def _required(packages: frozenset[str], sites: tuple[Path, ...]) -> frozenset[str]:
    """`packages` and everything they require, as far as it is installed on the host."""
    found: set[str] = set()
    waiting = set(packages)
    path = [str(site) for site in sites]
    while waiting:
        name = waiting.pop()
        found.add(name)
        for distribution in importlib.metadata.distributions(name=name, path=path):
            for requirement in distribution.requires or ():
                # e.g. 'cloudpickle>=2; extra == "x"': an extra nobody asked for installs nothing
                required = re.match(r"[A-Za-z0-9._-]+", requirement)
                if required and "extra ==" not in requirement:
                    waiting |= {normalised(required.group())} - found
    return frozenset(found)
