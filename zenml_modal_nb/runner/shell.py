"""The small `get_ipython()` of a sandbox: shell lines, the magics that make sense there, and formatters."""

from __future__ import annotations

import io
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

from zenml_modal_nb.runner import stand_in
from zenml_modal_nb.runner.displays import Displays
from zenml_modal_nb.runner.functions import Namespace
from zenml_modal_nb.runner.magics import Magics

_EXIT_CODE = "_exit_code"  # the variable that IPython leaves a command's status in


class Events:
    """Takes callbacks as IPython's does; those of `post_execute` run at the end of the cell."""

    def __init__(self) -> None:
        self.callbacks: dict[str, list[Callable[[], object]]] = {"post_execute": []}

    def register(self, event: str, function: Callable[[], object]) -> None:
        """Run a function at the end of the cell, e.g. matplotlib's."""
        if event not in self.callbacks:
            raise KeyError(f"{event} never happens in a sandbox, which runs one cell; post_execute does")
        if function not in self.callbacks[event]:
            self.callbacks[event].append(function)

    def unregister(self, event: str, function: Callable[[], object]) -> None:
        """Forget a function; raises ValueError if it was not registered."""
        if function not in self.callbacks.get(event, ()):
            raise ValueError(f"Function {function!r} is not registered as a {event} callback")
        self.callbacks[event].remove(function)

    def trigger(self, event: str) -> None:
        """Run an event's functions."""
        for function in [*self.callbacks.get(event, ())]:
            function()


class Shell:
    """Made once by `program`; the builtin `get_ipython` and IPython's own return it.

    Names and arguments are those of `IPython.core.interactiveshell.InteractiveShell`, but for `run`, `read`, `expand`,
    `capture` and `end_capture`, which are ours.
    """

    def __init__(self, namespace: Namespace, displays: Displays) -> None:
        self.user_ns = self.user_global_ns = namespace
        self.display_formatter = displays.formatter
        self.events = Events()
        self.config: dict[str, Any] = {}  # empty: programs that ask it for a kernel's application find none
        self._displays = displays
        self._streams: tuple[Any, Any] | None = None  # the cell's own, while its output is captured

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"get_ipython() has no {name!r} in a sandbox, where no notebook answers. Use it in a cell that runs here; "
            "in a sandbox there are system, getoutput, run_line_magic, run_cell_magic, var_expand, user_ns, push, ev, "
            "ex, events and display_formatter."
        )

    def system(self, cmd: str) -> None:
        """Run a command in the sandbox's shell; its status is left in `_exit_code`."""
        self.run(self.var_expand(cmd, depth=1))

    system_raw = system_piped = system

    def getoutput(self, cmd: str, split: bool = True, depth: int = 0) -> Any:
        """Run a command and return what it writes, errors included, as lines or as one text."""
        return self.read(self.var_expand(cmd, depth=depth + 1), split)

    def var_expand(self, cmd: str, depth: int = 0) -> str:
        """Put values in the place of `{expression}` and `$name`, which the frame `depth` above the caller knows."""
        return self.expand(cmd, sys._getframe(depth + 1).f_locals)

    def run_line_magic(self, magic_name: str, line: str, _stack_depth: int = 1) -> Any:
        """Run `%magic_name line`; raises UsageError for a magic that makes no sense in a sandbox."""
        return Magics(self, sys._getframe(_stack_depth).f_locals).line(magic_name, line)

    def run_cell_magic(self, magic_name: str, line: str, cell: str) -> Any:
        """Run `%%magic_name line` with the lines below it; raises UsageError likewise."""
        return Magics(self, sys._getframe(1).f_locals).cell(magic_name, line, cell)

    def push(self, variables: Mapping[str, Any], interactive: bool = True) -> None:
        """Bind variables of the cell."""
        self.user_ns.update(variables)

    def ev(self, expr: str) -> Any:
        """Evaluate an expression among the cell's variables."""
        return eval(expr, self.user_ns)  # noqa: S307  # the user's code

    def ex(self, cmd: str) -> None:
        """Run statements among the cell's variables."""
        exec(cmd, self.user_ns)  # noqa: S102  # the user's code

    def run(self, command: str) -> None:
        """Run a command whose text is final."""
        if self._streams is None:
            sys.stdout.flush()
            self.user_ns[_EXIT_CODE] = subprocess.call(command, shell=True, stderr=subprocess.STDOUT)  # noqa: S602  # the user's command
        else:  # its output goes where the cell's goes, which a process does not know
            self.user_ns[_EXIT_CODE], text = _written_by(command)
            sys.stdout.write(text)

    def read(self, command: str, split: bool = True) -> Any:
        """Run a command whose text is final and return what it writes."""
        _, text = _written_by(command)
        if split:
            return stand_in.find("IPython.utils.text", "SList")(text.splitlines())
        return stand_in.find("IPython.utils.text", "LSString")(text)

    def expand(self, text: str, local: Mapping[str, Any]) -> str:
        """Put values in the place of `{expression}` and `$name`."""
        formatter = stand_in.find("IPython.utils.text", "DollarFormatter")()
        try:
            return str(formatter.vformat(text, args=[], kwargs={**self.user_ns, **local}))
        except Exception:  # noqa: BLE001  # as in IPython: what cannot be expanded stays as it is
            return text

    def capture(self, line: str) -> tuple[str | None, Any]:
        """Collect what is shown until `end_capture`; returns the name and the value for what `%%capture line` binds."""
        words = shlex.split(line)
        wanted = [f"--no-{kind}" not in words for kind in ("stdout", "stderr", "display")]
        self.end_capture()
        self._streams = sys.stdout, sys.stderr
        texts = [io.StringIO() if each else None for each in wanted[:2]]
        sys.stdout, sys.stderr = texts[0] or sys.stdout, texts[1] or sys.stderr
        self._displays.captured = [] if wanted[2] else None
        made = stand_in.find("IPython.utils.capture", "CapturedIO")(*texts, self._displays.captured)
        return next((word for word in words if not word.startswith("-")), None), made

    def end_capture(self) -> None:
        """Let the cell show things again."""
        self._displays.captured = None
        if self._streams is not None:
            sys.stdout, sys.stderr = self._streams
            self._streams = None


def _written_by(command: str) -> tuple[int, str]:
    sys.stdout.flush()
    done = subprocess.run(  # noqa: S602  # the user's command
        command,
        shell=True,
        check=False,
        text=True,
        errors="replace",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return done.returncode, done.stdout
