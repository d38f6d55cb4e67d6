"""A list of facts as text and as HTML, in the look of a run's panel; e.g. what `--dry-run` answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from zenml_modal_nb.rendering.ansi import plain
from zenml_modal_nb.rendering.markup import STYLE


@dataclass(frozen=True, slots=True)
class Item:
    """One thing of a row, with what is said about it, e.g. a variable and its size."""

    text: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A label and its items; made by `run.plan`."""

    label: str
    items: tuple[Item, ...]

    @classmethod
    def of(cls, label: str, text: str, detail: str = "") -> Row:
        """A row of one item."""
        return cls(label, (Item(text, detail),))


@dataclass(frozen=True, slots=True)
class Table:
    """Rows below a title; `closing` lines stand at the end."""

    title: str
    state: str
    rows: Sequence[Row]
    closing: Sequence[str] = ()

    def text(self) -> str:
        """Return the rows as aligned lines."""
        width = max(len(row.label) for row in self.rows)
        lines = [f"{row.label:<{width}}  {', '.join(map(_said, row.items))}" for row in self.rows]
        return "\n".join([*lines, *map(plain, self.closing)])

    def html(self) -> str:
        """Return one block, escaped, without scripts, readable with and without its style."""
        title = escape(plain(self.title))
        state = f'<span class="zmnb-state">{escape(plain(self.state))}</span>'
        rows = "".join(
            f'<tr><th scope="row">{escape(row.label)}</th><td>{", ".join(map(_marked, row.items))}</td></tr>'
            for row in self.rows
        )
        closing = "".join(f'<div class="zmnb-end">{escape(plain(line))}</div>' for line in self.closing)
        return (
            f'<div class="zmnb" role="group" aria-label="{title}">{STYLE}'
            f'<div class="zmnb-top"><span class="zmnb-name">{title}</span> {state}</div>'
            f'<table class="zmnb-rows">{rows}</table>{closing}</div>'
        )


def _said(item: Item) -> str:
    return plain(f"{item.text} ({item.detail})" if item.detail else item.text)


def _marked(item: Item) -> str:
    text = f"<code>{escape(plain(item.text))}</code>" if item.detail else escape(plain(item.text))
    return f"{text} ({escape(plain(item.detail))})" if item.detail else text
