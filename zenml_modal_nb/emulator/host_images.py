"""Images in `host` mode: the sandbox runs in the user's own Python environment, nothing is built."""

from __future__ import annotations

import asyncio
import importlib.metadata
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable
from pathlib import Path

from zenml_modal_nb.emulator import context
from zenml_modal_nb.emulator.interpreters import Interpreters, normalised
from zenml_modal_nb.emulator.places import Place
from zenml_modal_nb.emulator.state.builds import Build, BuildError, Parts
from zenml_modal_nb.emulator.state.mounts import Mounts
from zenml_modal_nb.emulator.state.recipes import Recipe, instructions, shell_words


class HostImages:
    """Puts an image's files where they belong and says what is not installed; made by the server."""

    def __init__(self, interpreters: Interpreters, mounts: Mounts) -> None:
        self._interpreters = interpreters
        self._mounts = mounts

    async def check(self, recipe: Recipe) -> None:
        """Raise BuildError for another Python than this machine's."""
        host = await self._interpreters.host()
        if recipe.python and recipe.python != host.series:
            raise BuildError(
                f"The image asks for Python {recipe.python}, but sandboxes on this machine run Python "
                f"{host.series}. Ask for {host.series}, or run on Modal."
            )

    async def build(self, build: Build, say: Callable[[str], None]) -> None:
        """Copy files; of the packages only say which an import would not find on this machine."""
        for number, (instruction, rest) in enumerate(instructions(build.layer.commands)):
            say(f"Step {number}: {instruction} {rest}")
            if instruction in ("COPY", "ADD"):
                note = await asyncio.to_thread(context.copied, build, rest, self._mounts)
                if note:
                    say(note)
            elif instruction == "RUN":
                await _check_syntax(rest)
        context.finish(build)
        say("Nothing is built on this machine: the sandbox runs in this Python environment.")
        path = [str(site) for site in (await self._interpreters.host()).sites]
        packages = build.after.packages - build.before.packages
        present = {normalised(name) for name in packages if _is_installed(name, path)}
        if missing := sorted(packages - present):
            say(f"Not installed in this Python environment: {', '.join(missing)}.")

    async def enter(self, recipe: Recipe, parts: Parts, place: Place) -> Path:
        """Copy the image's files; the Python is one that all sandboxes with these packages share."""
        if parts.root is not None:
            await asyncio.to_thread(context.copy_root, parts.root, place.root)
        return await self._interpreters.bin(recipe.packages)


async def _check_syntax(command: str) -> None:
    """Raise BuildError for a command that no shell can run, as one that runs it would find."""
    if not set(command) & set("'\"\\"):
        return  # the usual case, without reading it letter by letter
    try:
        await asyncio.to_thread(shell_words, command)
    except ValueError:
        # Only the shell knows for certain, e.g. of a comment with an apostrophe; -n: it runs nothing.
        shell = await asyncio.create_subprocess_exec(
            "/bin/sh", "-n", "-c", command, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE
        )
        _, said = await shell.communicate()
        if shell.returncode:
            reason = said.decode("utf-8", "replace").strip()
            raise BuildError(f"RUN {command}: exit status {shell.returncode}\n{reason}") from None


def _is_installed(name: str, path: list[str]) -> bool:
    return any(True for _ in importlib.metadata.distributions(name=name, path=path))
