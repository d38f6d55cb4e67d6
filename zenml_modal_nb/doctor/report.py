"""Findings as lines of text, as a small HTML table, as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from zenml_modal_nb.doctor.finding import Finding, Verdict
from zenml_modal_nb.rendering.ansi import plain
from zenml_modal_nb.rendering.markup import STYLE

_VERDICT, _NAME = 9, 20  # characters of the first two columns


@dataclass(frozen=True, slots=True)
class Report:
    """What an examination has found so far."""

    findings: tuple[Finding, ...]
    state: str = ""  # why this is not all, e.g. "examining …"

    @property
    def healthy(self) -> bool:
        """Whether nothing is a problem; warnings are none."""
        return not any(each.verdict is Verdict.PROBLEM for each in self.findings)

    def summary(self) -> str:
        """Return the last line."""
        if self.state:
            return self.state
        problems = sum(each.verdict is Verdict.PROBLEM for each in self.findings)
        warnings = sum(each.verdict is Verdict.WARNING for each in self.findings)
        return f"{_count(problems, 'problem')}, {_count(warnings, 'warning')}"

    def json(self) -> str:
        """Return everything for a script."""
        findings = [
            {
                "name": each.name,
                "verdict": str(each.verdict),
                "found": each.found,
                "advice": list(each.advice),
            }
            for each in self.findings
        ]
        return json.dumps({"healthy": self.healthy, "findings": findings}, indent=1, ensure_ascii=False)

    def __repr__(self) -> str:
        return "\n".join([*(line for each in self.findings for line in lines(each)), self.summary()])

    def _repr_html_(self) -> str:
        return html(self.findings, self.summary())


def lines(finding: Finding) -> Iterator[str]:
    """Yield the finding's line, and a line for each thing to do."""
    yield f"{finding.verdict:<{_VERDICT}}{finding.name:<{_NAME}}{plain(finding.found)}"
    for each in finding.advice:
        yield f"{'':<{_VERDICT}}→ {plain(each)}"


def html(findings: Sequence[Finding], summary: str) -> str:
    """Return one block, escaped, without scripts, readable with and without its style."""
    rows = "".join(
        f'<tr><td class="zmnb-verdict zmnb-{each.verdict}">{each.verdict}</td>'
        f'<th scope="row">{escape(plain(each.name))}</th>'
        f"<td>{escape(plain(each.found))}{''.join(map(_advice, each.advice))}</td></tr>"
        for each in findings
    )
    alarm = " zmnb-failed" if any(each.verdict is Verdict.PROBLEM for each in findings) else ""
    return (
        f'<div class="zmnb{alarm}" role="group" aria-label="doctor">{STYLE}'
        f'<div class="zmnb-top"><span class="zmnb-name">doctor</span> '
        f'<span class="zmnb-state">{escape(summary)}</span></div>'
        f'<table class="zmnb-rows">{rows}</table></div>'
    )


def _advice(text: str) -> str:
    return f"<br>→ <code>{escape(plain(text))}</code>"


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
