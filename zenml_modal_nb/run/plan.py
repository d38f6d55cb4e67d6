"""What `--dry-run` shows: everything that would be sent, and its price per hour."""

from __future__ import annotations

from dataclasses import dataclass

from zenml_modal_nb.rendering import words
from zenml_modal_nb.run.preparation import Prepared

_MOST_FILES = 20  # named one by one


@dataclass(frozen=True, slots=True)
class Plan:
    """A run that was prepared and not started; its representation is the answer to `--dry-run`.

    In the words and units of the panel, so that the two can be compared.
    """

    prepared: Prepared

    def __repr__(self) -> str:
        job = self.prepared.job
        target = job.target
        resources = words.resources(target)
        rows = {
            "step": words.name(target),
            "where": words.place(target),
            "resources": resources if target.gpu else f"no GPU{words.SEPARATOR}{resources}",
            "timeout": words.span(target.timeout),
            "price": words.rate(target),
            "image": f"{job.image.base or 'Debian'} with Python {job.image.python}",
            "packages": " ".join([*job.image.apt, *job.image.pip]) or "none",
            "variables in": ", ".join(sorted(job.inputs)) or "none",
            "code in": ", ".join(self.prepared.code) or "none but the cell's own",
            "size": f"{words.size(sum(part.size for part in job.parts) + self.prepared.shipment.size)} to send, "
            "the program that runs the cell included",
            **_files(self.prepared),
            "variables out": ", ".join(job.run["outputs"]) or "none",
        }
        width = max(map(len, rows))
        lines = [f"{name:<{width}}  {text}" for name, text in rows.items()]
        note = words.note(target)
        return "\n".join([*lines, *([note] if note else []), "Dry run: no image, no sandbox, no ZenML run."])


def _files(prepared: Prepared) -> dict[str, str]:
    """Rows of what goes in and out beside the variables, where there is any."""
    shipment, job = prepared.shipment, prepared.job
    shown = [f"{each.inside} ({words.size(each.size)})" for each in shipment.entries[:_MOST_FILES]]
    more = len(shipment.entries) - len(shown)
    rows = {
        "files in": ", ".join(shown)
        + (f" and {more} more" if more > 0 else "")
        + (f": {words.size(shipment.size)} in all" if len(shown) > 1 else ""),
        "files out": ", ".join(job.fetch),
        "volumes": ", ".join(f"{name} at {path}" for name, path in job.volumes),
    }
    return {name: words.shortened(text, 2000) for name, text in rows.items() if text}
