"""The magics of a sandbox, for code that runs them by `get_ipython()`: helpers of other cells, and rewritten cells."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from zenml_modal_nb.runner import clocks, figures

if TYPE_CHECKING:
    from zenml_modal_nb.runner.shell import Shell

# As in `cells.magics`: these are commands of the same name.
_SHELL_ALIASES = ("ls", "cat", "cp", "mv", "rm", "mkdir", "rmdir")
_WORKS = "time, timeit, capture, writefile, env, cd, pwd, sx, bash, " + ", ".join(_SHELL_ALIASES)


class UsageError(Exception):
    """A magic that a sandbox does not have, or one that is used wrongly; named as IPython names it."""


class Magics:
    """Runs magics among the names of the code that asks for them; made by `shell` for each call."""

    def __init__(self, shell: Shell, local: dict[str, Any]) -> None:
        self._shell = shell
        self._local = None if local is shell.user_ns else local

    def line(self, name: str, text: str) -> Any:
        """Run a line magic."""
        match name:
            case "time":
                return clocks.time_it(text, self._shell.user_ns, self._local)
            case "timeit":
                return clocks.timeit(text, None, self._shell.user_ns, self._local)
            case "matplotlib":  # it sets up the notebook's own display
                return None
            case "config" if text.startswith("InlineBackend"):
                try:
                    return figures.configure(text, self._shell.user_ns)
                except ValueError as error:
                    raise UsageError(str(error)) from None
            case "pip" | "conda" | "mamba" | "uv":
                raise UsageError(
                    f"%{name} has to be known before a sandbox is created: name the packages with --pip, or with "
                    "%pip install in the cell that runs in the sandbox, outside of its functions."
                )
        text = self._shell.expand(text, self._local or {}).strip()
        match name:
            case "env" | "set_env":
                return _environment(text, needs_value=name == "set_env")
            case "cd":
                return _change_directory(text)
            case "pwd":
                return os.getcwd()
            case "sx" | "system":
                return self._shell.read(text)
            case alias if alias in _SHELL_ALIASES:
                return self._shell.run(f"{alias} {text}")
        raise _refusal(f"%{name}")

    def cell(self, name: str, text: str, body: str) -> Any:
        """Run a cell magic."""
        match name:
            case "time":
                return clocks.time_it(body, self._shell.user_ns, self._local)
            case "timeit":
                return clocks.timeit(text, body, self._shell.user_ns, self._local)
            case "capture":
                return self._capture(text, body)
            case "writefile" | "file":
                return _write(self._shell.expand(text, self._local or {}), body)
            case "bash" | "sh":
                if text.strip():
                    raise UsageError(
                        f"%%{name} takes no options in a sandbox: {text.strip()!r}. Write them into the script, e.g. "
                        "`set -- a b`, or use getoutput."
                    )
                sys.stdout.flush()
                subprocess.run([name, "-c", body], check=True)  # the user's script
                return None
            case "sx" | "system" | "!":
                return self._shell.read(self._shell.expand(body, self._local or {}))
        raise _refusal(f"%%{name}")

    def _capture(self, text: str, body: str) -> None:
        name, captured = self._shell.capture(text)
        try:
            value = clocks.evaluated(body, self._shell.user_ns, None)
        finally:
            self._shell.end_capture()
        if value is not None and captured._outputs is not None:
            made = self._shell.display_formatter.bundle(value)
            captured._outputs.append({"data": made.data, "metadata": made.metadata})
        if name is not None:
            self._shell.user_ns[name] = captured


def _environment(text: str, *, needs_value: bool) -> Any:
    name, sign, value = text.partition("=" if "=" in text else " ")
    name, value = name.strip(), value.strip()
    if sign:
        os.environ[name] = value
        sys.stdout.write(f"env: {name}={value}\n")
        return None
    if needs_value:
        raise UsageError("usage is 'set_env var=val'")
    if name and name not in os.environ:
        raise UsageError(f"Environment does not have key: {name}")
    if name:
        return os.environ[name]
    secret = ("key", "token", "secret")  # as in IPython
    return {
        name: "<hidden>" if any(word in name.lower() for word in secret) else value
        for name, value in os.environ.items()
    }


def _change_directory(text: str) -> None:
    place = text.removeprefix("-q").strip().strip("'\"")
    left = os.getcwd()
    os.chdir(os.environ.get("OLDPWD", "-") if place == "-" else os.path.expanduser(place or "~"))
    os.environ["OLDPWD"] = left
    if not text.startswith("-q"):
        sys.stdout.write(f"{os.getcwd()}\n")


def _write(text: str, body: str) -> None:
    append = {"-a", "--append"}
    words = shlex.split(text)
    names = [word for word in words if word not in append]
    if len(names) != 1:
        raise UsageError(f"%%writefile takes one file, and -a to append to it: {text!r}")
    name = os.path.expanduser(names[0])
    appends = len(words) > 1
    told = ("Appending to" if appends else "Overwriting") if os.path.exists(name) else "Writing"
    sys.stdout.write(f"{told} {name}\n")
    with open(name, "a" if appends else "w", encoding="utf-8") as file:
        file.write(body)


def _refusal(magic: str) -> UsageError:
    return UsageError(
        f"The magic {magic} does not work in a sandbox. Run it in a cell of its own, or write it as Python; what "
        f"works: {_WORKS}."
    )
