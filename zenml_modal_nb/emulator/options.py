"""What a user may say about a server: the options of `start`, `serve` and `running()`."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zenml_modal_nb.emulator.directory import StateDirectory
from zenml_modal_nb.emulator.record import LifecycleError

if TYPE_CHECKING:
    from zenml_modal_nb.emulator.settings import ServerSettings

IDLE_SECONDS = 3600.0
TUNINGS = ("log_retention", "read_delay", "read_size", "images")  # passed on to ServerSettings as they are


@dataclass(frozen=True)
class ServeOptions:
    """How to run a server; made by the command line and `running()`, read by the lifecycle.

    `idle_timeout` is in seconds, 0 for never; `chosen_python` an executable's path, None for the interpreter
    that starts the server. The rest is as in `settings.ServerSettings`, None for its default. Raises
    LifecycleError.
    """

    directory: StateDirectory
    idle_timeout: float = IDLE_SECONDS
    chosen_python: str | None = None
    log_retention: int | None = None
    read_delay: float | None = None
    read_size: int | None = None
    images: str | None = None

    def __post_init__(self) -> None:
        # `not >=` rather than `<`, since nan is neither.
        if not self.idle_timeout >= 0 or not (self.read_delay or 0) >= 0:
            raise LifecycleError("Times are numbers of seconds and at least 0.")
        if self.chosen_python is not None and _located(self.chosen_python) is None:
            raise LifecycleError(
                f"{self.chosen_python} is not a program that can be run; name a Python interpreter."
            )

        if self.images == "venv":
            from zenml_modal_nb.emulator.virtualenvs import find_uv

            if find_uv() is None:
                raise LifecycleError(
                    "Images in venv mode are built with uv, which is not installed: pip install uv."
                )

    @property
    def python(self) -> str:
        """The interpreter of sandboxes; links are not followed, since one makes a virtual environment."""
        if self.chosen_python is None:
            return sys.executable
        return os.path.abspath(_located(self.chosen_python) or self.chosen_python)

    @property
    def tuned(self) -> bool:
        """Whether anything but the defaults is asked for that only a new server can give."""
        return self != ServeOptions(self.directory, chosen_python=self.chosen_python)

    def arguments(self) -> list[str]:
        """The same options as words of a command line; they hold no secret."""
        words = ["--state-dir", str(self.directory.path), "--idle-timeout", str(self.idle_timeout)]
        if self.chosen_python is not None:
            words += ["--python", self.python]
        for name in TUNINGS:
            if (value := getattr(self, name)) is not None:
                words += [f"--{name.replace('_', '-')}", str(value)]
        return words

    def settings(self, token_id: str, token_secret: str) -> ServerSettings:
        """What `server.serve` is given; raises LifecycleError for values it refuses."""
        from zenml_modal_nb.emulator.settings import ServerSettings

        said = {name: value for name in TUNINGS if (value := getattr(self, name)) is not None}
        try:
            return ServerSettings(self.directory.path, token_id, token_secret, python=self.python, **said)
        except ValueError as error:
            raise LifecycleError(str(error)) from error


def _located(program: str) -> str | None:
    from shutil import which

    return which(program)
