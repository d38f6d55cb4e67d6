"""A panel as HTML: one block, escaped, without scripts, readable with and without its style."""

from __future__ import annotations

from html import escape
from importlib.resources import files

from zenml_modal_nb.events import Recorded
from zenml_modal_nb.rendering import words
from zenml_modal_nb.rendering.panel import Panel, Phase

STYLE = f"<style>{files(__package__).joinpath('panel.css').read_text('utf-8')}</style>"

_MOOD = {Phase.DONE: "zmnb-done", Phase.FAILED: "zmnb-failed", Phase.STOPPED: "zmnb-stopped"}


def html(panel: Panel) -> str:
    """Return the whole panel; it replaces itself, under one display ID, as the run goes on."""
    name = escape(words.name(panel.target))
    mood = _MOOD.get(panel.phase, "zmnb-live")
    top = [
        f'<span class="zmnb-name">{name}</span>',
        f'<span class="zmnb-state">{escape(words.state(panel))}</span>',
    ]
    if cost := words.cost(panel):
        top.append(f'<span class="zmnb-cost">{escape(cost)}</span>')
    blocks = [_block("zmnb-top", " ".join(top))]
    blocks += [_block("zmnb-facts", escape(line)) for line in words.facts(panel.target)]
    if note := words.note(panel.target):
        blocks.append(_block("zmnb-note", escape(note)))
    if panel.started is not None:
        blocks.append(_block("zmnb-facts", escape(words.sandbox(panel.started))))
    if message := words.message(panel):
        blocks.append(_block("zmnb-message", escape(message)))
    blocks += [_block("zmnb-facts", escape(line)) for line in words.files(panel)]
    if end := _end(panel):
        blocks.append(_block("zmnb-end", end))
    return (
        f'<div class="zmnb {mood}" role="group" aria-label="Modal step {name}">{STYLE}{"".join(blocks)}</div>'
    )


def _end(panel: Panel) -> str:
    parts = []
    if panel.outputs:
        parts.append("outputs " + ", ".join(f"<code>{escape(name)}</code>" for name in words.outputs(panel)))
    if panel.recorded is not None:
        parts.append(f"ZenML run <code>{escape(words.lookup(panel.recorded))}</code>{_link(panel.recorded)}")
    return words.SEPARATOR.join(parts)


def _link(recorded: Recorded) -> str:
    url = words.address(recorded)
    return f' <a href="{escape(url)}" target="_blank" rel="noopener">open</a>' if url else ""


def _block(kind: str, content: str) -> str:
    return f'<div class="{kind}">{content}</div>'
