"""What `--dry-run` shows: everything that would be sent, and its price per hour."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

from zenml_modal_nb.pipelines.connected import is_prebuilt
from zenml_modal_nb.pipelines.execution import CellJob
from zenml_modal_nb.rendering import words
from zenml_modal_nb.rendering.table import Item, Row, Table
from zenml_modal_nb.run.preparation import Prepared
from zenml_modal_nb.sandboxes import layers

_CLOSING = "Dry run: no image, no sandbox, no ZenML run."

_MOST_FILES = 20  # named one by one


@dataclass(frozen=True, slots=True)
class Plan:
    """A run that was prepared and not started; its representation is the answer to `--dry-run`.

    In the words and units of the panel, so that the two can be compared.
    """

    table: Table

    @classmethod
    def of(cls, prepared: Prepared) -> Plan:
        """Tell what there is now: `Out` keeps the answer, and must not keep the notebook's values alive."""
        target = prepared.job.target
        note = words.note(target)
        closing = (*([note] if note else []), _CLOSING)
        return cls(Table(words.name(target), "dry run", _rows(prepared), closing))

    def __repr__(self) -> str:
        return self.table.text()

    def _repr_html_(self) -> str:
        return self.table.html()


def _rows(prepared: Prepared) -> list[Row]:
    job = prepared.job
    target = job.target
    resources = words.resources(target)
    inputs = (
        Item(name, f"{type(job.inputs[name]).__name__}, {words.size(size)}")
        for name, size in sorted(prepared.sizes.items())
    )
    sent = sum(part.size for part in job.parts) + prepared.shipment.size
    return [
        Row.of("step", words.name(target)),
        Row.of("where", words.place(target)),
        Row.of("resources", resources if target.gpu else f"no GPU{words.SEPARATOR}{resources}"),
        Row.of("timeout", words.span(target.timeout)),
        Row.of("price", words.rate(target)),
        *(
            [Row.of("operator", f"{job.operator.name}, {job.operator.kind}")]
            if job.operator.registered
            else []
        ),
        _image(job),
        _row("packages", map(Item, [*job.image.apt, *job.image.pip])),
        _row("variables in", inputs),
        _row("code in", map(Item, prepared.code), "none but the cell's own"),
        _row("files in", chain(map(Item, prepared.modules), _files(prepared))),
        Row.of("size", f"{words.size(sent)} to send, the program that runs the cell included"),
        _row("variables out", map(Item, job.run["outputs"])),
        *([_row("files out", map(Item, job.fetch))] if job.fetch else []),
        *(
            [_row("volumes", (Item(f"{name} at {path}") for name, path in job.volumes))]
            if job.volumes
            else []
        ),
    ]


def _image(job: CellJob) -> Row:
    if not job.operator.stock:
        return Row.of("image", f"{job.image.base or 'Debian'} with Python {job.image.python}", _build(job))
    if is_prebuilt(job.image):
        return Row.of("image", str(job.image.base), "used as it is")
    return Row.of("image", job.image.base or "ZenML's own", "built upon by ZenML, with Docker")


def _build(job: CellJob) -> str:
    """Say whether the image would be built, and why."""
    plan = layers.plan(job.image, job.notebook, job.connection.label)
    return "used by this notebook before" if plan.known else f"to be built: {plan.why}"


def _row(label: str, items: Iterable[Item], otherwise: str = "none") -> Row:
    return Row(label, tuple(items) or (Item(otherwise),))


def _files(prepared: Prepared) -> list[Item]:
    """What `--file` sends: the first files one by one, and how many more."""
    entries = prepared.shipment.entries
    shown = [Item(each.inside, words.size(each.size)) for each in entries[:_MOST_FILES]]
    more = len(entries) - len(shown)
    return [
        *shown,
        *([Item(f"{more} more", f"{words.size(prepared.shipment.size)} in all")] if more > 0 else []),
    ]
