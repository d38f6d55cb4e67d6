"""What is installed here: which distribution an import comes from, at which version, from where."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlparse

from zenml_modal_nb.cells.asked import Asked


@dataclass(frozen=True, slots=True)
class Distribution:
    """One installed distribution; `source` is how pip finds it elsewhere, None if only this machine has it."""

    name: str
    version: str
    source: str | None


@dataclass(slots=True)
class Installed:
    """The distributions on `sys.path` at one moment; read by `cells.requirements`."""

    by_import: Mapping[str, list[str]]
    _known: dict[str, Distribution] = field(default_factory=dict)

    def distributions(self, module: str) -> list[Distribution]:
        """Return what provides a module, e.g. for `google.protobuf` only protobuf of all that share `google`."""
        names = sorted(set(self.by_import.get(module.partition(".")[0], ())))
        if len(names) > 1 and "." in module:
            names = [name for name in names if _provides(name, module)] or names
        return [self._distribution(name) for name in names]

    def _distribution(self, name: str) -> Distribution:
        if name not in self._known:
            found = metadata.distribution(name)
            self._known[name] = Distribution(found.metadata["Name"], found.version, _source(found))
        return self._known[name]


def installed() -> Installed:
    """Return what is installed now; read again only when a directory of `sys.path` has other metadata than before."""
    return _read_installed(tuple((path, _metadata_in(path, _changed(path))) for path in sys.path))


@lru_cache(maxsize=1)
def _read_installed(_state: tuple[tuple[str, tuple[str, ...]], ...]) -> Installed:
    return Installed(metadata.packages_distributions())


@lru_cache(maxsize=64)
def _metadata_in(path: str, _changed: int) -> tuple[str, ...]:
    """Return the names of what tells of installed distributions, versions included.

    Not the directory's time alone: the notebook's own directory is one of `sys.path`, and changes with every file that
    is saved there, while to read all metadata takes half a second.
    """
    try:
        names = os.listdir(path or ".")
    except OSError:
        return ()  # an entry of sys.path that is no directory, e.g. python311.zip
    return tuple(sorted(name for name in names if name.endswith((".dist-info", ".egg-info", ".egg"))))


def _changed(path: str) -> int:
    try:
        return os.stat(path or ".").st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=256)
def _provides(name: str, module: str) -> bool:
    prefix = module.replace(".", "/")
    while "/" in prefix:
        for file in metadata.distribution(name).files or ():
            text = file.as_posix()
            if text.startswith((f"{prefix}/", f"{prefix}.")):
                return True
        prefix = prefix.rpartition("/")[0]  # `google.protobuf.message.Message` may end in a class
    return False


def _source(found: metadata.Distribution) -> str | None:
    """Return the requirement that installs a distribution elsewhere (PEP 610's `direct_url.json`)."""
    name, version = found.metadata["Name"], found.version
    pin = f"{name}=={version.partition('+')[0]}"  # local labels such as "+cpu" are not on the public index
    text = found.read_text("direct_url.json")
    if text is None:
        return pin
    origin = json.loads(text)
    url = origin["url"]
    if "vcs_info" in origin:
        return f"{name} @ {origin['vcs_info']['vcs']}+{url}@{origin['vcs_info']['commit_id']}"
    if not url.startswith("file:"):
        return f"{name} @ {url}"
    # conda's packages name the directory they were built in, which is not here: those are ordinary releases
    return None if Path(unquote(urlparse(url).path)).exists() else pin


def may_bring_modules(wanted: Asked) -> bool:
    """Tell whether a requirement may bring modules that are not here: it is not here itself, or with other extras."""
    if not wanted.holds:
        return False
    if wanted.name is None or wanted.extras:
        return True
    try:
        found = metadata.version(wanted.name)
    except metadata.PackageNotFoundError:
        return True
    return wanted.versioned and f"=={found.partition('+')[0]}" not in wanted.text.replace(" ", "")


def local_module(name: str) -> Path | None:
    """Return the file or package directory of a module that no distribution provides, e.g. `helpers.py`."""
    loaded = sys.modules.get(name)
    spec = getattr(loaded, "__spec__", None)
    if spec is None:
        try:
            spec = importlib.util.find_spec(name)
        except ValueError:
            return None  # a module made by hand: it has no spec and no file
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    return Path(spec.origin) if spec.has_location and spec.origin else None
