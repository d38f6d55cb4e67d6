"""Checks of what is installed on this machine: Python, the packages that matter, free disk."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from zenml_modal_nb.doctor.finding import Finding, ok, problem, warning

_DISTRIBUTION = "zenml-modal-nb"
_TOLD = ("zenml", "modal", "cloudpickle", "ipykernel")  # the others are told when they do not fit
_GIB = 1024**3
_SCARCE = 2 * _GIB  # below it a notebook that keeps its artifacts here soon stops
_FULL = _GIB // 4  # below it ZenML's database and a cell's shipment have no room


def check_python(offered: Iterable[str]) -> Finding:
    """Compare this Python with what the package needs, and with the versions that Modal offers images of."""
    name, version = "python", platform.python_version()
    series = f"{sys.version_info.major}.{sys.version_info.minor}"
    required = _required_python()
    found = f"{version}, {sys.implementation.name}"
    if not required.contains(version, prereleases=True):
        return problem(name, found, f"Make an environment with Python {required}.")
    if sys.implementation.name != "cpython":
        return problem(
            name, found, "Modal's images have CPython, and values travel between equal Pythons only."
        )
    versions = tuple(offered)
    if versions and series not in versions:
        return problem(
            name,
            f"{found}; Modal's images have {', '.join(versions)}",
            "Make an environment with one of those, or name an image with this Python by --image.",
        )
    if sys.version_info.releaselevel != "final":
        return warning(name, f"{found}, not a final release", "Values may not travel to another build of it.")
    return ok(name, found)


def check_packages() -> Iterator[Finding]:
    """Compare the installed packages with what this package declares to need."""
    try:
        declared = [Requirement(each) for each in metadata.requires(_DISTRIBUTION) or ()]
    except metadata.PackageNotFoundError:
        yield warning(
            _DISTRIBUTION, "not installed, only imported", "Install it with `pip install`: see its README."
        )
        return
    for each in declared:
        if each.marker is None or each.marker.evaluate({"extra": ""}):
            yield from check_requirement(each)


def check_requirement(requirement: Requirement) -> Iterator[Finding]:
    """Compare one package; what fits is told only of those that matter most."""
    needs = f"needs {requirement.specifier}" if requirement.specifier else "needs any version"
    command = f'pip install "{requirement.name}{_extras(requirement)}{requirement.specifier}"'
    try:
        installed = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        yield problem(requirement.name, f"not installed, {needs}", command)
        return
    if not requirement.specifier.contains(installed, prereleases=True):
        yield problem(requirement.name, f"{installed}, {needs}", command)
    elif requirement.name in _TOLD:
        yield ok(requirement.name, f"{installed} ({needs})")


def check_disk(places: Iterable[Path], free: Callable[[Path], int] | None = None) -> Iterator[Finding]:
    """Tell the free space of the disks that hold state, records and artifacts."""
    ask = free or (lambda place: shutil.disk_usage(place).free)
    seen: set[int] = set()
    for place in places:
        there = next(each for each in (place, *place.parents) if each.exists())
        disk = there.stat().st_dev
        if disk in seen:
            continue
        seen.add(disk)
        room = ask(there)
        said = f"{room / _GIB:.1f} GiB free at {place}"
        if room < _FULL:
            yield problem("disk", said, "Make room: see 'What is kept on your disk' in the README.")
        elif room < _SCARCE:
            yield warning("disk", said, "Make room before large inputs and outputs are recorded.")
        else:
            yield ok("disk", said)


def _required_python() -> SpecifierSet:
    try:
        return SpecifierSet(metadata.metadata(_DISTRIBUTION)["Requires-Python"] or "")
    except metadata.PackageNotFoundError:
        return SpecifierSet()


def _extras(requirement: Requirement) -> str:
    return f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
