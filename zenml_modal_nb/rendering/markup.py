"""A panel as HTML: one block, escaped, without scripts, readable with and without its style."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files

from zenml_modal_nb.rendering import words
from zenml_modal_nb.rendering.lines import Lines
from zenml_modal_nb.rendering.panel import Panel, Phase

STYLE = f"<style>{files(__package__).joinpath('panel.css').read_text('utf-8')}</style>"

_MOOD = {Phase.DONE: "zmnb-done", Phase.FAILED: "zmnb-failed", Phase.STOPPED: "zmnb-stopped"}


def html(panel: Panel, *, saved: bool = False) -> str:
    """Return the whole panel; it replaces itself, under one display ID, as the run goes on.

    `saved` is what a file holds in a widget's place, and is not replaced.
    """
    name = escape(words.name(panel.target))
    mood = _MOOD.get(panel.phase, "zmnb-live")
    state, *more = words.saved(panel) if saved else (words.state(panel),)
    top = [
        f'<span class="zmnb-name">{name}</span>',
        f'<span class="zmnb-state">{escape(state)}</span>',
    ]
    if cost := words.cost(panel):
        top.append(f'<span class="zmnb-cost">{escape(cost)}</span>')
    blocks = [_block("zmnb-top", " ".join(top))]
    blocks += [_block("zmnb-note", escape(line)) for line in more]
    blocks += [_block("zmnb-facts", escape(line)) for line in words.facts(panel.target)]
    if note := words.note(panel.target):
        blocks.append(_block("zmnb-note", escape(note)))
    if panel.started is not None:
        blocks.append(_block("zmnb-facts", escape(words.sandbox(panel.started))))
    if use := _use(panel):
        blocks.append(_block("zmnb-facts", use))
    if remark := words.remark(panel):
        blocks.append(_block("zmnb-facts", escape(f"Next time: {remark}")))
    if message := words.message(panel):
        blocks.append(_block("zmnb-message", escape(message)))
    blocks += [_block("zmnb-facts", escape(line)) for line in words.files(panel)]
    if end := _end(panel):
        blocks.append(_block("zmnb-end", end))
    return (
        f'<div class="zmnb {mood}" role="group" aria-label="Modal step {name}">{STYLE}{"".join(blocks)}</div>'
    )


def log_html(lines: Lines) -> str:
    """Return a part of a log that has ended, empty without lines; its style comes with the panel above it.

    It scrolls by itself, from its end, and can be focused to do so by keyboard; the arrow keys are its own then.
    """
    if not (shown := lines.html()):
        return ""
    return (
        '<div class="zmnb-box"><pre class="zmnb-log" tabindex="0" role="region" aria-label="Log" '
        f'data-lm-suppress-shortcuts="true"><span>{shown}</span></pre></div>'
    )


def unread_log_html(told: str) -> str:
    """Return what stands in a file where a log was a widget."""
    return f'<div class="zmnb-box"><pre class="zmnb-log">{escape(told)}</pre></div>'


def _use(panel: Panel) -> str:
    use, target = panel.use, panel.target
    drawn = (
        sparkline(use.cpu, target.cpu or 0),
        sparkline(use.memory_mib, target.memory_mib or 0),
        sparkline(use.gpu, 100),
    )
    return words.SEPARATOR.join(
        f'<span class="zmnb-use">{escape(label)} {line}{escape(told)}</span>'
        for (label, told), line in zip(words.usage(panel), drawn, strict=False)
    )


def sparkline(samples: Sequence[float], top: float) -> str:
    """Return a small drawing of what was used, against the request as a line; empty with fewer than two samples."""
    if len(samples) < 2:
        return ""
    highest = max(top, *samples, 0.001)
    step = 60 / (len(samples) - 1)
    points = " ".join(f"{n * step:.1f},{15 - 14 * each / highest:.1f}" for n, each in enumerate(samples))
    asked = f'<path d="M0 {15 - 14 * top / highest:.1f}H60" class="zmnb-asked"/>' if top else ""
    return (
        '<svg class="zmnb-spark" viewBox="0 0 60 16" width="60" height="16" aria-hidden="true">'
        f'{asked}<polyline points="{points}"/></svg>'
    )


def _end(panel: Panel) -> str:
    parts = []
    if panel.outputs:
        parts.append("outputs " + ", ".join(f"<code>{escape(name)}</code>" for name in words.outputs(panel)))
    if panel.recorded is not None:
        parts.append(f"ZenML run <code>{escape(words.lookup(panel.recorded))}</code>")
    parts += [
        f'<a href="{escape(url)}" target="_blank" rel="noopener">open in {label}</a>'
        for label, url in words.links(panel)
    ]
    return words.SEPARATOR.join(parts)


def _block(kind: str, content: str) -> str:
    return f'<div class="{kind}">{content}</div>'
