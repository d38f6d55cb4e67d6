"""Images in `venv` mode: each a virtual environment that its own commands have filled, layer by layer.

What a container would have and this has not: a root file system (absolute paths of the commands lead into the
image's own directory), system packages (apt-get is recorded, not run), the content of registry images.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

from zenml_modal_nb.emulator import context, processes, relocation, virtualenvs, wall
from zenml_modal_nb.emulator.interpreters import Interpreters
from zenml_modal_nb.emulator.places import HOME, Place
from zenml_modal_nb.emulator.processes import MARKER, Command
from zenml_modal_nb.emulator.state.builds import Build, BuildError, Parts
from zenml_modal_nb.emulator.state.mounts import Mounts
from zenml_modal_nb.emulator.state.output import Output, Reading, RecentBytes
from zenml_modal_nb.emulator.state.recipes import SYSTEM_PATH, Recipe, instructions

PYTHON = PurePosixPath("/usr", "local")  # of a sandbox's place: where its own environment lies
LAST_LINES = 20  # of a failed command's output, in the error
OUTPUT_KEPT = 65536  # bytes

# Only commands that install get these of the user's variables: where packages come from, and how to get there.
_NETWORK = re.compile(r"(UV_|PIP_|SSL_CERT_|REQUESTS_CA_BUNDLE$|GIT_|(https?|no|all)_proxy$)", re.IGNORECASE)
_INSTALLS = re.compile(r"\b(pip3?|uv)\b")
_SYSTEM_ONLY = re.compile(r"\s*(apt-get|apt|dpkg)\b[^&|;]*(&&\s*(apt-get|apt|dpkg|rm)\b[^&|;]*)*$")
_LINK_PYTHON = "ln -s /usr/local/bin/python3 /usr/local/bin/python"  # the SDK's, after adding a Python
_PROGRAMS = (
    "usr/bin",
    "bin",
    "usr/sbin",
    "sbin",
)  # where images put theirs; /usr/local/bin is the environment's

_WALL = (
    "\nA command of a build writes only below its image's own directory, whose paths it finds in HOME, TMPDIR and "
    "VIRTUAL_ENV: what it computes itself, or has in a script, leads to this machine, which is not changed."
)

_ATTRIBUTES = re.compile(r"\b(?:chmod|chown|chgrp|chattr|setfacl)\b")  # what the wall does not guard

_TOOLS = {
    "apt-get": 'echo "$(basename "$0") $*: not run on this machine"\n',
    "debconf-set-selections": "cat >/dev/null\n",
    # --system would leave the image's environment for the machine's own.
    "uv": """for word do
    shift
    case "$word" in --system|--break-system-packages) ;; *) set -- "$@" "$word" ;; esac
done
exec {uv} "$@"
""",
    # uv knows most of pip's options; 2 is its exit code for one that it does not.
    "pip": """case "$1" in
install)
    shift
    UV_INDEX_STRATEGY=unsafe-best-match uv pip install "$@"
    code=$?
    [ $code = 2 ] || exit $code
    exec python -m pip install "$@" ;;
*) exec python -m pip "$@" ;;
esac
""",
}
_ALIASES = {"apt": "apt-get", "dpkg": "apt-get", "pip3": "pip"}


class VenvImages:
    """Builds layers with uv into directories of the server's state; made by the server."""

    def __init__(self, uv: str, interpreters: Interpreters, mounts: Mounts, directory: Path) -> None:
        self._uv = uv
        self._interpreters = interpreters
        self._mounts = mounts
        self._tools = directory / "tools"
        self._variables = _variables(uv)
        self._uv_own = _uv_directories(self._variables)
        self._walled = bool(wall.abi())

    async def check(self, recipe: Recipe) -> None:
        """Any Python will do: uv brings the one that is asked for."""

    async def build(self, build: Build, say: Callable[[str], None]) -> None:
        """Carry out a layer's commands; each that runs gets an environment of this layer's own."""
        await asyncio.to_thread(self._lay_out_tools)
        for number, (instruction, rest) in enumerate(instructions(build.layer.commands)):
            say(f"Step {number}: {instruction} {rest}")
            match instruction:
                case "FROM" if not build.layer.bases:
                    note = "" if build.after.python else " Its packages are missing."
                    access = "with credentials" if build.layer.credentials else "without credentials"
                    say(f"Not downloaded ({access}): Python is this machine's, or brought by uv.{note}")
                case "COPY" | "ADD":
                    if missing := await asyncio.to_thread(context.copied, build, rest, self._mounts):
                        say(missing)
                case "RUN" if rest == _LINK_PYTHON:
                    say("There already.")
                case "RUN" if _SYSTEM_ONLY.match(rest):
                    say("Not run on this machine: system packages are what is installed here.")
                case "RUN":
                    await self._run(build, rest, say)
        if build.base.venv is None:
            await self._own_venv(build)
        context.finish(build)

    async def enter(self, recipe: Recipe, parts: Parts, place: Place) -> Path:
        """Copy the image's files, and make an environment of the sandbox's own on top of the image's."""
        return await asyncio.to_thread(_enter, parts, place)

    async def _own_venv(self, build: Build) -> Path:
        venv = build.directory / "venv"
        if venv.is_dir():
            return venv
        if build.base.venv is not None:
            await asyncio.to_thread(virtualenvs.clone, build.base.venv, venv)
            return venv
        host = await self._interpreters.host()
        wanted = build.after.python
        python = host.python if wanted in (None, host.series) else str(wanted)
        await asyncio.to_thread(virtualenvs.create, self._uv, python, venv, self._variables)
        return venv

    async def _run(self, build: Build, command: str, say: Callable[[str], None]) -> None:
        guarded = self._walled and not _ATTRIBUTES.search(command)
        if not guarded and (reader := await asyncio.to_thread(relocation.unproven, command)):
            raise BuildError(f"RUN {command}: {_unproven(reader)}")
        venv = await self._own_venv(build)
        place = await asyncio.to_thread(context.own_root, build)
        temporary = build.directory / "tmp"
        temporary.mkdir(exist_ok=True)
        declared = dict(build.after.environment)
        path = declared.pop("PATH", SYSTEM_PATH)
        environment = {
            **(self._variables if _INSTALLS.search(command) else {}),
            "LANG": "C.UTF-8",
            "HOME": str(place.directory(str(HOME))),
            **declared,
            **build.layer.secrets,
            "PATH": ":".join(
                map(str, (self._tools, venv / "bin", *(place.root / d for d in _PROGRAMS), path))
            ),
            "TMPDIR": str(temporary),
            "VIRTUAL_ENV": str(venv),
            "UV_PROJECT_ENVIRONMENT": str(venv),
            MARKER: build.directory.name,
        }
        words: tuple[str, ...] = (
            "/bin/sh",
            "-c",
            await asyncio.to_thread(relocation.relocated, command, place, venv),
        )
        if self._walled:
            own = self._uv_own if _INSTALLS.search(command) else ()
            words = wall.behind((build.directory, *own), words)
        started = Command(words, environment, place.directory(build.after.workdir or "/"), merge_stderr=True)
        code, tail = await _told(started, say)
        if code:
            note = _WALL if self._walled and "Permission denied" in tail else ""
            raise BuildError(f"RUN {command}: exit status {code}\n{tail}".rstrip() + note)

    def _lay_out_tools(self) -> None:
        self._tools.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in (*_TOOLS, *_ALIASES):
            script = self._tools / name
            draft = script.with_suffix(f".{os.getpid()}")
            text = _TOOLS[_ALIASES.get(name, name)].replace("{uv}", f'"{self._uv}"')
            draft.write_text(f"#!/bin/sh\n{text}", encoding="utf-8")
            draft.chmod(0o700)
            draft.replace(script)


def _unproven(reader: str) -> str:
    return (
        f"not run. {reader} is given text with a path that cannot be led into the image, and nothing on this machine "
        "would keep the command from its files: Landlock (Linux 5.19 or later) does, except for their permissions, "
        "owners and times. Write the path as a word of the command itself, or relative to the working directory."
    )


def _uv_directories(variables: Mapping[str, str]) -> tuple[Path, ...]:
    """Where uv puts packages and Pythons that all images share."""
    pythons = variables.get("UV_PYTHON_INSTALL_DIR") or Path(variables["XDG_DATA_HOME"], "uv")
    directories = (Path(variables["UV_CACHE_DIR"]), Path(pythons))
    for directory in directories:
        directory.mkdir(parents=True, exist_ok=True)
    return directories


def _variables(uv: str) -> dict[str, str]:
    """What uv and pip need of the user's environment to find the user's package index, cache and settings."""
    home = Path.home()
    kept = {name: value for name, value in os.environ.items() if _NETWORK.match(name)}
    index = {"UV_DEFAULT_INDEX": kept["PIP_INDEX_URL"]} if "PIP_INDEX_URL" in kept else {}
    asked = subprocess.run([uv, "cache", "dir"], capture_output=True, text=True, check=True)
    return {
        "UV_CACHE_DIR": asked.stdout.strip(),
        "XDG_CONFIG_HOME": os.environ.get("XDG_CONFIG_HOME", str(home / ".config")),
        "XDG_DATA_HOME": os.environ.get("XDG_DATA_HOME", str(home / ".local" / "share")),
        "NETRC": str(home / ".netrc"),
        "PATH": os.environ.get("PATH", SYSTEM_PATH),
        "HOME": str(home),
        **index,
        **kept,
    }


async def _told(command: Command, say: Callable[[str], None]) -> tuple[int, str]:
    """Run a command, tell each line as it comes, and return its exit code and last lines."""
    output = Output(RecentBytes(OUTPUT_KEPT))
    process = await processes.start(command, output, Output(RecentBytes(OUTPUT_KEPT)))
    process.stdin.end()
    last: list[str] = []
    pending = ""
    draining = asyncio.create_task(_drained(process))
    try:
        async for piece in output.texts(0, Reading(), float("inf")):
            *lines, pending = (pending + (piece[1] if piece else "\n" if pending else "")).split("\n")
            for line in lines:
                say(line)
            last = [*last, *lines][-LAST_LINES:]
            if piece is None:
                break
    finally:
        process.kill()
        await draining
    return await process.wait(), "\n".join(last)


async def _drained(process: processes.Process) -> None:
    await process.wait()
    await process.drain()


def _enter(parts: Parts, place: Place) -> Path:
    if parts.root is not None:
        context.copy_root(parts.root, place.root)
    if parts.venv is None:
        raise BuildError("The image has no Python.")
    programs = virtualenvs.overlay(parts.venv, place.within(PYTHON))
    for folder in (place.within(name) for name in _PROGRAMS):
        for program in folder.iterdir() if folder.is_dir() else ():
            own = programs / program.name
            if program.is_file() and not os.path.lexists(own):
                own.symlink_to(program)
    return programs
