"""What one check has found: made by the checks, shown by `report`, read by scripts as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How a check ended; only a problem makes the exit code 1."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report: what was looked at, how it is, and what to do about it."""

    name: str
    verdict: Verdict
    found: str
    advice: tuple[str, ...] = ()  # sentences and commands, a line each


def ok(name: str, found: str) -> Finding:
    """All is well."""
    return Finding(name, Verdict.OK, found)


def skipped(name: str, found: str) -> Finding:
    """Not looked at, and why."""
    return Finding(name, Verdict.SKIPPED, found)


def warning(name: str, found: str, *advice: str) -> Finding:
    """Cells run all the same."""
    return Finding(name, Verdict.WARNING, found, advice)


def problem(name: str, found: str, *advice: str) -> Finding:
    """Something that was asked for would fail."""
    return Finding(name, Verdict.PROBLEM, found, advice)
