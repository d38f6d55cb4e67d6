"""What the user asks pip for, by `--pip` and `%pip install`, beside the pins that the analysis finds."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlparse

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)

_VERSION = ".".join(map(str, sys.version_info[:3]))
# The image's: Debian, with the notebook's Python.
_IMAGE = {
    "os_name": "posix",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "platform_machine": "x86_64",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
    "python_version": _VERSION.rpartition(".")[0],
    "python_full_version": _VERSION,
    "implementation_version": _VERSION,
}
_EGG = re.compile(r"[#&]egg=([A-Za-z0-9._-]+)")


@dataclass(frozen=True, slots=True)
class Asked:
    """One requirement of the user's; made by `asked`, read by `cells.requirements`."""

    text: str  # as it goes to pip
    name: str | None  # normalised, e.g. "scikit-learn"; None for an address that does not tell
    extras: frozenset[str] = frozenset()
    marker: str | None = None
    versioned: bool = True  # says which one, by a version or an address

    @property
    def holds(self) -> bool:
        """Whether it means the image at all, e.g. not `x; sys_platform == "win32"`."""
        return self.marker is None or Marker(self.marker).evaluate({**_IMAGE, "extra": ""})


def asked(text: str) -> Asked:
    """Read one requirement as pip would.

    Errors: ValueError, with what is wrong with it.
    """
    if (address := urlparse(text)).scheme and "@" not in text.partition("://")[0]:
        return Asked(text, _name_in(text, address.path))
    try:
        found = Requirement(text)
    except InvalidRequirement as error:
        raise ValueError(str(error).splitlines()[0]) from None
    return Asked(
        text,
        canonicalize_name(found.name),
        frozenset(found.extras),
        None if found.marker is None else str(found.marker),
        bool(found.specifier) or found.url is not None,
    )


def _name_in(address: str, path: str) -> str | None:
    """Return the distribution that an address is of: by its fragment, its file or, of a repository, its name."""
    if egg := _EGG.search(address):
        return canonicalize_name(egg[1])
    last = unquote(path.rstrip("/").rpartition("/")[2])
    try:
        return parse_wheel_filename(last)[0] if last.endswith(".whl") else parse_sdist_filename(last)[0]
    except (InvalidWheelFilename, InvalidSdistFilename):
        # e.g. git+https://github.com/huggingface/transformers.git@main
        name = last.partition("@")[0].removesuffix(".git")
        return (
            canonicalize_name(name) if address.startswith(("git+", "hg+", "svn+", "bzr+")) and name else None
        )


def instead(pins: Iterable[str], wanted: Sequence[Asked]) -> tuple[str, ...]:
    """Return the pins with what the user asks for in the place of those of the same distributions.

    A requirement that names no version, e.g. `pandas[excel]`, adds its extras to the pin: what is sent was pickled with
    the version that is here. One with a version keeps the pin's own extras, e.g. jax's CUDA.
    """
    by_name: dict[str, list[Asked]] = {}
    for each in wanted:
        if each.name is not None and each.holds:
            by_name.setdefault(each.name, []).append(each)
    texts = [each.text for each in wanted if each.name is None or not each.holds]
    for pin in pins:
        mine = asked(pin)
        theirs = by_name.pop(mine.name or "", None)
        if theirs is None:
            texts.append(pin)
        elif any(each.versioned for each in theirs):
            texts += [_with_extras(each.text, mine.extras) for each in theirs]
        else:
            texts.append(_with_extras(pin, frozenset().union(*(each.extras for each in theirs))))
    texts += [each.text for several in by_name.values() for each in several]
    return tuple(dict.fromkeys(texts))


def _with_extras(text: str, extras: frozenset[str]) -> str:
    read = asked(text)
    if not extras - read.extras or read.name is None or urlparse(text).scheme:
        return text
    found = Requirement(text)
    found.extras = {*found.extras, *extras}
    return str(found)
