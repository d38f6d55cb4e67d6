"""What `--dry-run` shows: everything that would be sent, and its price per hour."""

from __future__ import annotations

from dataclasses import dataclass

from zenml_modal_nb.run.preparation import Prepared


@dataclass(frozen=True, slots=True)
class Plan:
    """A run that was prepared and not started; its representation is the answer to `--dry-run`."""

    prepared: Prepared

    def __repr__(self) -> str:
        job = self.prepared.job
        target = job.target
        payload = next(part for part in job.parts if part.name == "payload.zmnb")
        price = "unknown" if target.hourly_rate is None else f"${target.hourly_rate:.2f}"
        rows = {
            "step": target.step_name,
            "where": target.place,
            "resources": f"{target.gpu or 'no GPU'}, {target.cpu:g} cores, {target.memory_mib} MiB",
            "timeout": f"{target.timeout} s",
            "price per hour": f"{price} ({target.rate_source}){'' if target.billed else ', not billed here'}",
            "image": f"{job.image.base or 'Debian'} with Python {job.image.python}",
            "packages": " ".join([*job.image.apt, *job.image.pip]) or "none",
            "values in": ", ".join(sorted(job.inputs)) or "none",
            "sent": f"{payload.size:,} bytes, {payload.via}",
            "values out": ", ".join(job.run["outputs"]) or "none",
        }
        width = max(map(len, rows))
        lines = [f"{name:<{width}}  {text}" for name, text in rows.items()]
        return "\n".join([*lines, "Nothing was created."])
