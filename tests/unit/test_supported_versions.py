"""The table of supported versions in README.md is what pyproject.toml allows and requirements.lock pins."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = ("zenml", "modal")


def ends(name: str) -> tuple[Version, Version]:
    """The oldest and the newest version of the table."""
    row = re.search(rf"^\| {name} \| ([\d.]+) \| ([\d.]+) \|$", (ROOT / "README.md").read_text("utf-8"), re.M)
    assert row, f"README.md has no row for {name}"
    return Version(row[1]), Version(row[2])


def oldest(allowed: SpecifierSet) -> Version:
    (lowest,) = (Version(each.version) for each in allowed if each.operator == ">=")
    return lowest


@pytest.mark.parametrize("name", PACKAGES)
def test_the_oldest_version_of_a_package_is_the_lowest_that_is_allowed(name: str) -> None:
    declared = [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["dev"]]
    allowed = [each.specifier for each in map(Requirement, declared) if each.name == name]
    assert allowed
    assert {oldest(each) for each in allowed} == {ends(name)[0]}
    assert all(ends(name)[1] in each for each in allowed)


@pytest.mark.parametrize("name", PACKAGES)
def test_the_newest_version_of_a_package_is_the_one_that_is_pinned(name: str) -> None:
    pinned = re.findall(rf"^{name}==(\S+)", (ROOT / "requirements.lock").read_text("utf-8"), re.M)
    assert [Version(each) for each in pinned] == [ends(name)[1]]


def test_the_pythons_are_those_that_the_package_declares() -> None:
    first, last = ends("Python")
    assert first == oldest(SpecifierSet(PROJECT["project"]["requires-python"]))
    prefix = "Programming Language :: Python :: "
    told = [
        each.removeprefix(prefix) for each in PROJECT["project"]["classifiers"] if each.startswith(prefix)
    ]
    assert (min(map(Version, told)), max(map(Version, told))) == (first, last)
