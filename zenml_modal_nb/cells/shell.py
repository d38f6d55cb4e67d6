"""Shell lines of a cell (`!cmd`, `x = !cmd`) as Python that needs no shell of IPython's."""

from __future__ import annotations

import ast
import builtins
import re
import shlex
from dataclasses import dataclass

from zenml_modal_nb.cells.asked import asked

# Flags of `pip install` that change how it works, not what it installs.
_QUIET_FLAGS = frozenset({
    "-q", "-qq", "-qqq", "--quiet", "-U", "--upgrade", "-v", "--verbose", "--no-cache-dir", "--user",
    "--disable-pip-version-check", "--no-input", "-y", "--yes", "--system", "--no-warn-script-location",
    "--root-user-action=ignore", "--progress-bar=off", "--upgrade-strategy=eager", "--break-system-packages",
})  # fmt: skip
EXIT_CODE = "_exit_code"  # the variable that IPython leaves a command's status in
_SHELL_OPERATORS = frozenset("|&;<>()")
_REDIRECTION = re.compile(r"(\d*|&)(>>?|<)")  # its target follows, in the same word or the next

# Text of the sandbox's shell, written before what the command writes to the same descriptor.
_FLUSH = "__import__('sys').stdout.flush()"


class NotARequirement(Exception):  # noqa: N818 - a signal inside this package, not an error of the user
    """An argument of `pip install` that an image cannot be built from; says which."""


@dataclass(frozen=True, slots=True)
class _Field:
    code: str
    conversion: str | None


def run_command(command: str) -> str:
    """Return a statement that runs `!command`; like IPython, it leaves the status in `_exit_code`.

    Both of the command's streams are one, in order, as in the terminal that a kernel gives it.
    """
    return f"{EXIT_CODE} = {_FLUSH} or __import__('subprocess').call({_expanded(command)}, shell=True, stderr=-2)"


def read_command(command: str) -> str:
    """Return an expression for `x = !command`: the lines of its output and errors, as IPython's own list."""
    return f"__import__('IPython.utils.text', fromlist=['SList']).SList({_run(command)}.stdout.splitlines())"


def show_command(command: str) -> str:
    """Return a statement for `!command` where the cell's output is captured: it is written by the cell."""
    written = "print(done.stdout, end='') or done.returncode"
    return f"{EXIT_CODE} = (lambda done: {written})({_run(command)})"


def _run(command: str) -> str:
    return (
        f"__import__('subprocess').run({_expanded(command)}, shell=True, stdout=-1, stderr=-2, text=True, "
        "errors='replace')"
    )


def run_script(interpreter: str, script: str) -> str:
    """Return a statement that runs `%%bash` and the like; a failing script raises, as in IPython."""
    return (
        f"{_FLUSH} or __import__('subprocess').run([{interpreter!r}, '-c', {script!r}], check=True) and None"
    )


def expand(text: str) -> str:
    """Return an expression for a text with IPython's `{expression}` and `$name`."""
    return _expanded(text)


def expressions(text: str) -> list[str]:
    """Return the expressions that IPython would put in a text, e.g. `["x"]` for `echo {x}`."""
    return [part.code for part in _fields(text) or () if not isinstance(part, str)]


def pip_requirements(words: list[str]) -> tuple[str, ...] | None:
    """Return what a command line installs with pip; None: it is another command.

    Errors: NotARequirement.
    """
    if words[:1] and words[0].rpartition("/")[2] in {"python", "python3"} and words[1:2] == ["-m"]:
        words = words[2:]  # e.g. `python -m pip install x`
    if words[:2] == ["uv", "pip"]:
        words = words[1:]
    if len(words) < 2 or words[0] not in {"pip", "pip3"} or words[1] != "install":
        return None
    found = []
    for word in words[2:]:
        if word in _QUIET_FLAGS:
            continue
        if word.startswith(("-", ".", "/", "~", "file:")) or any(sign in word for sign in "{$"):
            raise NotARequirement(word)
        try:
            asked(word)
        except ValueError:
            raise NotARequirement(word) from None
        found.append(word)
    return tuple(found)


def _without_redirections(words: list[str]) -> list[str]:
    """Leave out where a command line's output goes, e.g. `> log.txt` and `2>&1`."""
    kept, rest = [], iter(words)
    for word in rest:
        if _REDIRECTION.fullmatch(word):
            next(rest, None)
        elif not _REDIRECTION.match(word):
            kept.append(word)
    return kept


def command_words(command: str) -> list[str] | None:
    """Split a command line into words; None if it is more than one command, e.g. `a; b`, or is not closed."""
    try:
        words = _without_redirections(shlex.split(command.rstrip().removesuffix(";"), comments=True))
    except ValueError:
        return None
    if any(set(word) <= _SHELL_OPERATORS or word.endswith(";") for word in words if word):
        return None
    return words


def _expanded(text: str) -> str:
    fields = _fields(text)
    if fields is None or all(isinstance(part, str) for part in fields):
        return repr(text if fields is None else "".join(part for part in fields if isinstance(part, str)))
    parts: list[str] = []
    needed: set[str] = set()
    for part in fields:
        if isinstance(part, str):
            parts.append(repr(part))
            continue
        value = f"repr({part.code})" if part.conversion == "r" else f"format({part.code})"
        parts.append(value)
        needed |= _names_in(part.code)
    joined = " + ".join(parts)
    if not needed:
        return joined
    # IPython leaves the whole command as it is when a name is unknown, e.g. `!echo $HOME`.
    names = "{" + ", ".join(map(repr, sorted(needed))) + "}"
    return f"({joined} if {names} <= {{*globals(), *locals()}} else {text!r})"


def _fields(text: str) -> list[str | _Field] | None:
    """Split a text as IPython does; None: it holds something that is no expression, e.g. `awk '{print $1}'`."""
    from IPython.utils.text import DollarFormatter

    result: list[str | _Field] = []
    try:
        for literal, code, spec, conversion in DollarFormatter().parse(text):
            if literal:
                result.append(literal)
            if code is None:
                continue
            code = (
                f"{code}:{spec}" if spec else code
            )  # e.g. `{rows[1:3]}`: IPython reads a slice, not a format
            ast.parse(code.strip(), mode="eval")
            result.append(_Field(f"({code.strip()})", conversion))
    except (ValueError, SyntaxError):
        return None
    return result


def _names_in(code: str) -> set[str]:
    tree = ast.parse(code, mode="eval")
    stored = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    read = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    return read - stored - set(dir(builtins))
