"""What an image's Dockerfile commands mean for a process on this machine."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise

from zenml_modal_nb.emulator.interpreters import normalised

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# A piece of a Dockerfile word: quoted, escaped or plain, e.g. the three of  A='b c'\ d
_WORD_PART = r"""(?:'[^']*'|"(?:\\.|[^"\\])*"|\\.|[^\s'"\\]+)"""

# Options of pip and uv that take a value, so that the value is not taken for a package.
_VALUED = frozenset({
    "-i", "--index-url", "--extra-index-url", "-f", "--find-links", "-c", "--constraint", "-t", "--target",
    "--python", "-p", "--prefix", "--index", "--torch-backend", "--trusted-host",
})  # fmt: skip
_PIP = re.compile(r"(.*/)?pip3?")
_OPERATOR = re.compile(r"[();<>|&\n]+")
# ZenML's own image, also in a mirror, e.g. registry.example.com/zenmldocker/zenml:0.98.0-py3.12
_ZENML_IMAGE = re.compile(r"(?:[\w.:-]+/)*zenmldocker/zenml:[\w.]+-py(\d+\.\d+)")
_STANDALONE_PYTHON = re.compile(r"python-build-standalone\.\d+\.(\d+\.\d+)")


@dataclass(frozen=True)
class Recipe:
    """The part of an image that reaches its sandboxes; `packages` are normalised distribution names.

    `python` is e.g. "3.11", or None where the image does not say. `command` is the image's own, used by a
    sandbox created without one.
    """

    environment: tuple[tuple[str, str], ...] = ()
    workdir: str = ""
    packages: frozenset[str] = frozenset()
    python: str | None = None
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()

    @property
    def known(self) -> dict[str, str]:
        """The variables a later instruction can refer to."""
        return {"PATH": SYSTEM_PATH, **dict(self.environment)}

    def with_variables(self, variables: Mapping[str, str]) -> Recipe:
        """The recipe after an ENV instruction."""
        return replace(self, environment=tuple({**dict(self.environment), **variables}.items()))


def follow(base: Recipe, commands: Sequence[str], files: Mapping[str, str], mount: str) -> Recipe:
    """The recipe of `base` after these Dockerfile commands.

    `files` are the text files of the build context by name (requirement lists); `mount` is the name of the
    context mount, which tells the version of a Python that is added to a registry image.
    """
    recipe = base
    for instruction, rest in instructions(commands):
        match instruction:
            case "FROM":
                tagged = re.match(r"(?:docker\.io/)?(?:library/)?python:(\d+\.\d+)", rest)
                recipe = replace(recipe, python=tagged.group(1)) if tagged else recipe
                if zenml := _ZENML_IMAGE.match(rest):
                    packages = recipe.packages | {"zenml"}
                    recipe = replace(recipe, python=zenml.group(1), packages=packages)
            case "COPY" if rest.startswith("/python/"):
                standalone = _STANDALONE_PYTHON.match(mount)
                recipe = replace(recipe, python=standalone.group(1)) if standalone else recipe
            case "ENV":
                recipe = recipe.with_variables(_variables(rest, recipe.known))
            case "WORKDIR":
                recipe = replace(recipe, workdir=_workdir(recipe.workdir, _unquoted(rest, recipe.known)))
            case "ENTRYPOINT":
                recipe = replace(recipe, entrypoint=_arguments(rest))
            case "CMD":
                recipe = replace(recipe, command=_arguments(rest))
            case "RUN":
                recipe = replace(recipe, packages=recipe.packages | _installed(rest, files))
    return recipe


def instructions(commands: Sequence[str]) -> list[tuple[str, str]]:
    """Dockerfile instructions with their rest, e.g. ("ENV", "A=1"); lines joined and comments dropped."""
    lines = "\n".join(commands).replace("\\\n", " ").splitlines()
    words = (line.strip().partition(" ") for line in lines if not line.lstrip().startswith("#"))
    return [(name.upper(), rest.strip()) for name, _, rest in words if name]


def _variables(text: str, known: Mapping[str, str]) -> dict[str, str]:
    """The variables of an ENV instruction, e.g. `A=1 B="x $A"` or the older `A x y`."""
    first = text.split(maxsplit=1)[0] if text else ""
    if "=" not in first:
        name, _, value = text.partition(" ")
        return {name: _unquoted(value.strip(), known)} if name else {}
    pairs = (word.partition("=") for word in re.findall(rf"(?:{_WORD_PART})+", text))
    return {name: _unquoted(value, known) for name, _, value in pairs}


def _unquoted(text: str, known: Mapping[str, str]) -> str:
    """`text` without its quotes, `$NAME` and `${NAME}` replaced outside single quotes, as Docker does."""

    def plain(part: str) -> str:
        if part.startswith("'"):
            return part[1:-1]
        if part.startswith("\\"):
            return part[1:]
        inside = re.sub(r"\\([\\\"$])", r"\1", part[1:-1]) if part.startswith('"') else part
        return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda m: known.get(m.group(1) or m.group(2), ""), inside)

    return "".join(plain(part) if part.strip() else part for part in re.findall(rf"{_WORD_PART}|\s+", text))


def _workdir(current: str, path: str) -> str:
    return path if path.startswith("/") else f"{current.rstrip('/')}/{path}"


def _arguments(text: str) -> tuple[str, ...]:
    """The words of CMD or ENTRYPOINT, e.g. `["sleep", "1"]`, or a line for the shell."""
    if text.startswith("["):
        with suppress(ValueError, RecursionError):
            words = json.loads(text)
            if all(isinstance(word, str) for word in words):
                return tuple(words)
    # What is no JSON is a line for the shell, also for Docker, e.g. `[ -e x ]`.
    return ("/bin/sh", "-c", text) if text else ()


def shell_words(command: str) -> list[str]:
    """The words of a command line, its operators among them; ValueError for a quote that is not closed."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars="();<>|&\n")
    lexer.whitespace_split = True
    lexer.whitespace = " \t\r"
    lexer.commenters = ""
    return list(lexer)


def _installed(command: str, files: Mapping[str, str]) -> frozenset[str]:
    """The distributions that the pip or uv commands of a RUN instruction name."""
    if "pip" not in command:
        return frozenset()  # without reading it letter by letter
    try:
        words = shell_words(command)
    except ValueError:
        return frozenset()  # no shell can run it: the build says so
    names: set[str] = set()
    simple: list[str] = []
    for word in (*words, ";"):
        if not _OPERATOR.fullmatch(word):
            simple.append(word)
        elif word in ("<", ">", ">>", "<<", "<>", ">&", "&>"):
            simple.append(">")  # the next word is a file's name
        else:
            names |= _installed_by(simple, files)
            simple = []
    return frozenset(names)


def _installed_by(words: Sequence[str], files: Mapping[str, str]) -> set[str]:
    """What one command installs, e.g. `python -m pip install six`."""
    pairs = enumerate(pairwise(words))
    begin = next((n for n, (a, b) in pairs if _PIP.fullmatch(a) and b == "install"), None)
    if begin is None:
        return set().union(*(_installed(word, files) for word in words if " " in word and "pip" in word))
    names: set[str] = set()
    rest = iter(words[begin + 2 :])
    for word in rest:
        if word in ("-r", "--requirement", "--requirements"):
            # e.g. /.requirements.txt, sent along as a context file of that name
            names |= _listed(files.get(next(rest, ""), ""))
        elif word in _VALUED or word == ">":
            next(rest, None)
        elif not word.startswith("-") and not word.isdigit():  # e.g. the 2 of 2>/dev/null
            names |= _named(word)
    return names


def _listed(requirements: str) -> set[str]:
    lines = (line.strip() for line in requirements.splitlines())
    return {name for line in lines if line and not line.startswith(("#", "-")) for name in _named(line)}


def _named(requirement: str) -> set[str]:
    """E.g. `Scikit_Learn[alldeps]>=1.5` names scikit-learn; a URL names the part before `@`, or nothing."""
    name = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*(?=\s*(?:[\[<>=!~;@]|$))", requirement)
    return {normalised(name.group())} if name else set()
