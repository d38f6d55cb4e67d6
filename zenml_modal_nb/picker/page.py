"""The picker as a page without widgets: the same as its text, for notebooks that are saved or run by nobody."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from importlib.resources import files

from zenml_modal_nb.picker import words
from zenml_modal_nb.pricing.quote import Quote
from zenml_modal_nb.pricing.rates import Rates
from zenml_modal_nb.request import StepRequest

STYLE = f"<style>{files(__package__).joinpath('form.css').read_text('utf-8')}</style>"


def html(
    request: StepRequest | None,
    line: str,
    quote: Quote | None,
    rates: Rates,
    said: Mapping[str, str],
) -> str:
    """Return what `words.whole` says as one block, escaped, without scripts, readable with and without its style."""
    heading, *kinds = words.rows(rates)
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heading)
    chosen = ""
    if request is not None and quote is not None:
        chosen = (
            f'<div>Chosen: <code class="zmnb-line">{escape(line)}</code></div>'
            f'<div class="zmnb-price">{escape(words.total(quote, request))}</div>'
            f"{parts(quote, request)}"
        )
    return (
        f'<div class="zmnb-picker" role="group" aria-label="prices">{STYLE}'
        f'<div class="zmnb-source">Prices: {escape(rates.source)}; an estimate.</div>'
        f'<table class="zmnb-parts"><thead><tr>{head}</tr></thead><tbody>{_rows(kinds)}</tbody></table>'
        f'<div class="zmnb-source">{escape(words.others(rates))}</div>{chosen}'
        f"{''.join(map(message, said.values()))}{message(' '.join(words.HOW))}</div>"
    )


def parts(quote: Quote, request: StepRequest) -> str:
    """Return the parts of a price as a table."""
    return f'<table class="zmnb-parts" aria-label="Parts of the price">{_rows(words.parts(quote, request))}</table>'


def message(text: str) -> str:
    """Return a sentence as a line of its own; nothing for none."""
    return f'<div class="zmnb-said">{escape(text)}</div>' if text else ""


def _rows(rows: Iterable[tuple[str, ...]]) -> str:
    return "".join(
        f'<tr><th scope="row">{escape(what)}</th>{"".join(f"<td>{escape(text)}</td>" for text in texts)}</tr>'
        for what, *texts in rows
    )
