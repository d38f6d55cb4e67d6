"""Patterns of files as a shell's: what matches is decided by the same words in the sandbox and in the notebook."""

from __future__ import annotations

import re
from functools import lru_cache

_SPECIAL = frozenset("*?[")
_SEVERAL = "**"  # any number of directories, none included


def matches(pattern: str, path: str) -> bool:
    """Say whether a relative path, or a directory on it, matches: `out` matches `out/model.pt` too.

    `*` and `?` do not match a slash, nor the dot that a hidden name begins with.
    """
    return _matches(_parts(pattern), tuple(path.split("/")))


def root(pattern: str) -> str:
    """Return the directory below which everything lies that can match, empty for the working directory."""
    fixed: list[str] = []
    for part in _parts(pattern)[:-1]:
        if _SPECIAL.intersection(part):
            break
        fixed.append(part)
    return "/".join(fixed)


def is_pattern(text: str) -> bool:
    """Say whether a text may match anything but itself."""
    return bool(_SPECIAL.intersection(text))


def _parts(pattern: str) -> tuple[str, ...]:
    return tuple(part for part in pattern.split("/") if part not in ("", "."))


def _matches(pattern: tuple[str, ...], path: tuple[str, ...]) -> bool:
    reached = {0}  # numbers of the pattern's parts that may be next
    for name in path:
        reached = _skipping(pattern, reached)
        if len(pattern) in reached:
            if pattern[-1:] != (_SEVERAL,):
                return True  # a directory on the path
            reached.remove(len(pattern))  # `**` stands for the files in there one by one, without hidden ones
        taken = {number for number in reached if _matches_name(pattern[number], name)}
        reached = {number + 1 for number in taken} | {
            number for number in taken if pattern[number] == _SEVERAL
        }
    return len(pattern) in reached


def _skipping(pattern: tuple[str, ...], reached: set[int]) -> set[int]:
    """Add what is next where `**` stands for nothing; at its end it stands for files, of which there is one."""
    found = set(reached)
    for number in reached:
        while number < len(pattern) - 1 and pattern[number] == _SEVERAL:
            number += 1
            found.add(number)
    return found


def _matches_name(part: str, name: str) -> bool:
    if part == _SEVERAL:
        return not name.startswith(".")
    return _compiled(part).fullmatch(name) is not None


@lru_cache(256)
def _compiled(part: str) -> re.Pattern[str]:
    import fnmatch

    hidden = "" if part.startswith(".") else r"(?!\.)"
    # fnmatch's is anchored at its end by \Z, which fullmatch does not mind.
    return re.compile(hidden + fnmatch.translate(part))
