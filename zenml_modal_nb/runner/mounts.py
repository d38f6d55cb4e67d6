"""Mounts that lie elsewhere than the cell says: `open("/data/x")` leads to where the sandbox has its volume.

At Modal a volume is at its mount path, and nothing here does anything. Where a sandbox has no file system of its own,
its environment says where the volumes are: `VARIABLE`, declared as a JSON list of the mount paths, arrives as that of
their places.
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import io
import json
import os
import re
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

VARIABLE = "ZMNB_VOLUMES"
_FOUND = "ZMNB_VOLUME_PLACES"  # for child processes: a JSON object, mount path to place

# Functions that take a path first, and some a second one; `os.path`, `pathlib`, `glob` and `shutil` rest on them.
_OF_ONE = (
    "access", "chdir", "chmod", "chown", "getxattr", "lchown", "link", "listdir", "listxattr", "lstat", "mkdir",
    "mkfifo", "open", "pathconf", "readlink", "remove", "removexattr", "rename", "replace", "rmdir", "scandir",
    "setxattr", "stat", "statvfs", "symlink", "truncate", "unlink", "utime",
)  # fmt: skip
_OF_TWO = frozenset({"link", "rename", "replace", "symlink"})
_WORDS = ("path", "src", "dst", "file", "database")  # what these parameters are called
_ABLE = ("supports_dir_fd", "supports_effective_ids", "supports_fd", "supports_follow_symlinks")

_places: dict[str, str] = {}
_text = re.compile(r"(?!)")


def follow(paths: Sequence[str]) -> None:
    """Let the volumes' mount paths lead to them, in this process and its children; called once, before the cell."""
    places = json.loads(os.environ.pop(VARIABLE, "[]"))
    moved = {path: place for path, place in zip(paths, places, strict=False) if path != place}
    if moved:
        os.environ[_FOUND] = json.dumps(moved)
        _install(moved)


def follow_parent() -> None:
    """Do as the process that started this one."""
    found = os.environ.get(_FOUND)
    if found and not _places:
        _install(json.loads(found))


def explain(error: BaseException | None) -> None:
    """Add what to do to an error that may come from a library that opens files by itself, in C."""
    if error is None or not _places:
        return
    innermost = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        innermost = frame.f_code
    if innermost is _Led.__call__.__code__:  # a function that knows where the volumes are
        return
    try:
        said = _text.search(str(error))
    except Exception:  # noqa: BLE001  # an exception's own __str__ may raise anything at all
        return
    if said is not None:
        error.add_note(
            f"This sandbox has no file system of its own: the volume of {said[1]} is found by Python's own functions "
            "and by commands, not by a library that opens files itself. Mount it below the working directory and use "
            "a relative path, e.g. --volume NAME:/root/data and 'data/file', or hand over an open file. "
            "At Modal both work."
        )


def place(path: Any) -> Any:
    """Return where a path leads; what is no path below a mount, e.g. a descriptor, stays as it is."""
    if not _places or isinstance(path, int) or path is None:
        return path
    try:
        plain = os.fspath(path)
    except TypeError:  # whoever is called says so
        return path
    text = os.fsdecode(plain)
    if not text.startswith("/"):
        return path
    normal = os.path.normpath(text)
    for mount, directory in _places.items():
        if normal == mount or normal.startswith(f"{mount}/"):
            found = directory + normal[len(mount) :]
            return os.fsencode(found) if isinstance(plain, bytes) else found
    return path


def _install(moved: Mapping[str, str]) -> None:
    global _text
    _places.update(sorted(moved.items(), key=lambda each: -len(each[0])))
    # Not within another path, e.g. /mnt/data or /database
    _text = re.compile(rf"(?<![\w./~$}}-])({'|'.join(map(re.escape, _places))})(?![\w.-])")
    replaced: dict[Any, Any] = {builtins.open: _Led(builtins.open, 1, "builtins")}
    for name in _OF_ONE:
        known = getattr(os, name, None)
        if known is not None:
            made = _Scanning if name == "scandir" else _Led
            replaced[known] = made(known, 2 if name in _OF_TWO else 1, "os")
            setattr(os, name, replaced[known])
    builtins.open = io.open = replaced[builtins.open]
    for able in _ABLE:
        functions: set[Any] = getattr(os, able)
        functions |= {new for known, new in replaced.items() if known in functions}
    with contextlib.suppress(ImportError):  # a Python that was built without it
        import sqlite3

        replaced[sqlite3.connect] = _Led(sqlite3.connect, 1, "sqlite3")
    _replace_captured(replaced)
    setattr(os, "system", _told(os.system))  # noqa: B010  # an assignment would have to keep the names of its parameters
    popen: Any = subprocess.Popen
    popen.__init__ = _starting(popen.__init__)


class _Led:
    """A function whose first `count` arguments lead to the mounts; errors name what was asked for.

    An object, since a function of Python would become a method where a class holds it, as those of C do not.
    """

    def __init__(self, known: Callable[..., Any], count: int, module: str) -> None:
        functools.update_wrapper(self, known)
        self.__module__ = module
        self._known = known
        self._count = count

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        asked = arguments[: self._count]
        found = tuple(map(place, asked))
        for word in _WORDS:
            if word in named:
                asked, found = (*asked, named[word]), (*found, place(named[word]))
                named[word] = found[-1]
        try:
            return self._known(*found[: len(arguments[: self._count])], *arguments[self._count :], **named)
        except OSError as error:
            for before, after in zip(asked, found, strict=True):
                if before is not after and error.filename == after:
                    error.filename = before
                if before is not after and error.filename2 == after:
                    error.filename2 = before
            raise

    def __reduce__(self) -> str:
        return self._known.__name__  # pickled by that name, of its module, as the function itself is


class _Scanning(_Led):
    """`os.scandir`, whose entries tell paths below what was asked for."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        listing = super().__call__(*arguments, **named)
        asked = arguments[0] if arguments else named.get("path")
        return listing if place(asked) is asked else _Listing(listing, asked)


class _Listing:
    """What `os.scandir` returns of a directory that lies elsewhere."""

    def __init__(self, known: Any, directory: Any) -> None:
        self._known = known
        self._directory = directory
        self.close = known.close

    def __iter__(self) -> _Listing:
        return self

    def __next__(self) -> _Entry:
        entry = next(self._known)
        return _Entry(entry, os.path.join(self._directory, entry.name))

    def __enter__(self) -> _Listing:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Entry:
    """An `os.DirEntry` with another path; Python cannot make one of those."""

    def __init__(self, known: os.DirEntry[Any], path: Any) -> None:
        self._known = known
        self.path = path

    def __getattr__(self, name: str) -> Any:
        return getattr(self._known, name)

    def __fspath__(self) -> Any:
        return self.path

    def __repr__(self) -> str:
        return f"<DirEntry {self._known.name!r}>"


def _replace_captured(replaced: Mapping[Any, Any]) -> None:
    """Give modules that have taken the functions by name, e.g. `from builtins import open`, the new ones."""
    for name, module in list(sys.modules.items()):
        if name in ("posix", "_io", __name__):  # where the functions come from
            continue
        variables = getattr(module, "__dict__", None)
        if not isinstance(variables, dict):
            continue
        for key, value in list(variables.items()):
            if type(value).__name__ == "builtin_function_or_method" and value in replaced:
                variables[key] = replaced[value]
        if name == "glob":  # whose classes hold some of them since Python 3.13, for pathlib
            _replace_held(filter(lambda each: isinstance(each, type), list(variables.values())), replaced)


def _replace_held(classes: Iterable[Any], replaced: Mapping[Any, Any]) -> None:
    for each in classes:
        for key, value in list(vars(each).items()):
            if isinstance(value, staticmethod) and value.__func__ in replaced:
                setattr(each, key, staticmethod(replaced[value.__func__]))


def _told(known: Callable[[Any], int]) -> Callable[[Any], int]:
    @functools.wraps(known)
    def told(command: Any) -> int:
        return known(_word(command))

    return told


def _starting(known: Callable[..., None]) -> Callable[..., None]:
    """Lead the words of a command to the mounts, as the local Modal API does with those that it runs itself."""

    @functools.wraps(known)
    def starting(self: Any, args: Any, *rest: Any, **named: Any) -> None:
        words = _word(args) if isinstance(args, str | bytes | os.PathLike) else list(map(_word, args))
        if "cwd" in named:
            named = {**named, "cwd": place(named["cwd"])}
        known(self, words, *rest, **named)

    return starting


def _word(word: Any) -> Any:
    if isinstance(word, os.PathLike):
        return place(word)
    if isinstance(word, bytes):
        return os.fsencode(_word(os.fsdecode(word)))
    return _text.sub(lambda found: _places[found.group()], word) if isinstance(word, str) else word
