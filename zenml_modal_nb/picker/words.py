"""The picker's sentences and its table, for people; plain text."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from zenml_modal_nb.pricing import gpus
from zenml_modal_nb.pricing.gpus import Gpu
from zenml_modal_nb.pricing.quote import Quote
from zenml_modal_nb.pricing.rates import Rates
from zenml_modal_nb.rendering.words import money, span
from zenml_modal_nb.request import DEFAULT_CPU, DEFAULT_MEMORY_MIB, StepRequest

HOW = (
    "Write the options on the first line of a cell, as in %%modal_step --gpu A100 --gpu-count 2 --timeout 1h,",
    'or for all cells, as in %config ModalStep.gpu = "A100". %modal_pick --gpu A100 prices other choices.',
)


def gpu(kind: Gpu, rates: Rates) -> str:
    """Return a GPU's type, memory and price in one line."""
    return f"{kind.name} · {kind.memory_gib} GiB · {hourly(rates.gpu_hour.get(kind.name))}"


def hourly(amount: Decimal | None) -> str:
    """Return e.g. "$2.10/h"."""
    return "price unknown" if amount is None else f"{dollars(amount)}/h"


def dollars(amount: Decimal) -> str:
    """Return e.g. "$2.10", with more decimals only below a cent."""
    return money(float(amount)) if amount < Decimal("0.01") else f"${amount:,.2f}"


def gib(mib: int) -> str:
    """Return MiB as a number of GiB for people: "0.125", "31.25", "1,024"."""
    amount = mib / 1024
    return f"{amount:.4g}" if amount < 1000 else f"{amount:,.0f}"


def total(quote: Quote, request: StepRequest) -> str:
    """Return what the whole time limit would cost."""
    amount = quote.total(request.timeout)
    if amount is None:
        return "Modal's price for this GPU is not known here."
    return f"{hourly(quote.hourly)}, at most {dollars(amount)} if the cell runs for all of {span(request.timeout)}"


def parts(quote: Quote, request: StepRequest) -> list[tuple[str, str]]:
    """Return what is paid for, each with its price per hour; a region's multiplier comes last."""
    cores = request.cpu or DEFAULT_CPU
    memory = gib(request.memory_mib or DEFAULT_MEMORY_MIB)
    rows = [
        (f"{cores:g} core{'' if cores == 1 else 's'}", hourly(quote.cpu)),
        (f"{memory} GiB of memory", hourly(quote.memory)),
    ]
    if request.gpu is not None:
        rows.insert(0, (f"{request.gpu_count} × {request.gpu}", hourly(quote.gpu)))
    if request.region is not None:
        rows.append((f"region {request.region}", f"× {quote.multiplier.normalize():f}"))
    return rows


def rows(rates: Rates) -> list[tuple[str, str, str, str]]:
    """Return the GPU types with memory, price and the most that one sandbox can have, below a heading."""
    return [
        ("GPU", "memory", "each", "at most"),
        *(
            (each.name, f"{each.memory_gib} GiB", hourly(rates.gpu_hour.get(each.name)), str(each.max_count))
            for each in gpus.CATALOGUE
        ),
    ]


def others(rates: Rates) -> str:
    """Return what a core and memory cost, in a sentence."""
    return f"A core costs {hourly(rates.cpu_hour)}, a GiB of memory {hourly(rates.memory_gib_hour)}."


def _table(rates: Rates) -> list[str]:
    found = rows(rates)
    widths = [max(len(row[at]) for row in found) for at in range(4)]
    lines = [
        "  ".join(
            [
                f"{row[0]:<{widths[0]}}",
                *(f"{text:>{width}}" for text, width in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in found
    ]
    return [
        *lines,
        others(rates),
    ]


def whole(
    request: StepRequest | None,
    line: str,
    quote: Quote | None,
    rates: Rates,
    said: Mapping[str, str],
) -> str:
    """Return the picker as text: prices, what is chosen and how to write it."""
    lines = [f"Prices: {rates.source}.", "", *_table(rates), ""]
    if request is not None and quote is not None:
        lines += [f"Chosen: {line}", f"  {total(quote, request)}"]
        lines += [f"  {what}: {price}" for what, price in parts(quote, request)]
    lines += [f"  {text}" for text in said.values()]
    lines += ["", *HOW]
    return "\n".join(lines)
