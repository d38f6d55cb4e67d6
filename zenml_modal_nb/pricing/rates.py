"""What a sandbox costs per hour of each resource, and where the figures come from."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from importlib import resources
from pathlib import Path
from typing import Any

from zenml_modal_nb.errors import InvalidRequestError
from zenml_modal_nb.pricing import gpus
from zenml_modal_nb.pricing.regions import BROAD_REGIONS

SNAPSHOT = "rates_2026_11.json"
OVERRIDE_VARIABLE = "ZENML_MODAL_NB_RATES"

_SECONDS = {"second": Decimal(3600), "hour": Decimal(1)}  # what makes an hour of the file's unit

# `modal.Workspace…billing.rates()` names GPUs its own way (modal 1.6.4); others follow by `_` → `-`.
_WORKSPACE_GPUS = {"a10g": "A10", "rtx6000": "RTX-PRO-6000"}
_WORKSPACE_GPU_PREFIX = "gpu_hour_cost_"
_WORKSPACE_CPU = "cpu_hour_cost_sandbox"
_WORKSPACE_MEMORY = "mem_gib_hour_cost_sandbox"


@dataclass(frozen=True, slots=True)
class Rates:
    """Prices in USD per hour; made by the functions below, read by `meter`, the header and the picker."""

    gpu_hour: Mapping[str, Decimal]  # keyed by `gpus.Gpu.name`, per GPU
    cpu_hour: Decimal  # per physical core
    memory_gib_hour: Decimal
    source: str  # for people, e.g. "snapshot of November 2026"
    # Unverified: public sources disagree (1.25 to 2.5 in older ones). The override file can change both.
    broad_region: Decimal = Decimal("1.15")
    narrow_region: Decimal = Decimal("1.75")

    def multiplier(self, region: str | None) -> Decimal:
        """Return what Modal multiplies all prices by for a region; 1 without one."""
        if region is None:
            return Decimal(1)
        return self.broad_region if region.strip().lower() in BROAD_REGIONS else self.narrow_region


def snapshot(environ: Mapping[str, str] | None = None) -> Rates:
    """Return the package's dated figures, or those of the file that ZENML_MODAL_NB_RATES names.

    The file has the form of the package's `rates_2026_11.json`; what it leaves out keeps the dated figure.
    Raises `InvalidRequestError` that names the file and the entry.
    """
    dated = json.loads(resources.files("zenml_modal_nb.pricing").joinpath(SNAPSHOT).read_text("utf-8"))
    rates = _read(dated, base=None, name=SNAPSHOT)
    override = (os.environ if environ is None else environ).get(OVERRIDE_VARIABLE)
    if not override:
        return rates
    path = Path(override).expanduser()
    try:
        document = json.loads(path.read_text("utf-8"), parse_float=Decimal)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequestError(
            f"The rates file {override!r} ({OVERRIDE_VARIABLE}) cannot be read: {error}. "
            "Correct the path or unset the variable."
        ) from error
    except json.JSONDecodeError as error:
        raise InvalidRequestError(
            f"The rates file {override!r} ({OVERRIDE_VARIABLE}) is not JSON: {error}."
        ) from error
    return _read(document, base=rates, name=path.name)


def from_workspace(rates: Mapping[str, Decimal], source: str) -> Rates:
    """Translate the answer of Modal's rates API (USD per hour); what it lacks keeps the dated figure."""
    dated = snapshot({})
    gpu_hour = dict(dated.gpu_hour)
    for key, value in rates.items():
        if key.startswith(_WORKSPACE_GPU_PREFIX):
            short = key.removeprefix(_WORKSPACE_GPU_PREFIX)
            gpu_hour[_WORKSPACE_GPUS.get(short, short.upper().replace("_", "-"))] = Decimal(value)
    return Rates(
        gpu_hour=gpu_hour,
        cpu_hour=Decimal(rates.get(_WORKSPACE_CPU, dated.cpu_hour)),
        memory_gib_hour=Decimal(rates.get(_WORKSPACE_MEMORY, dated.memory_gib_hour)),
        source=source,
        broad_region=dated.broad_region,
        narrow_region=dated.narrow_region,
    )


def _read(document: Any, *, base: Rates | None, name: str) -> Rates:
    if not isinstance(document, dict):
        raise InvalidRequestError(f"The rates file {name!r} must hold a JSON object, as {SNAPSHOT} does.")
    unit = document.get("per", "hour")
    if unit not in _SECONDS:
        raise InvalidRequestError(
            f"The rates file {name!r} has {unit!r} for 'per'. Write 'second' or 'hour'."
        )
    regions, listed = document.get("region_multiplier", {}), document.get("gpu", {})
    if not isinstance(regions, dict) or not isinstance(listed, dict):
        raise InvalidRequestError(
            f"In the rates file {name!r}, 'gpu' and 'region_multiplier' must be objects, as in {SNAPSHOT}."
        )

    def price(entry: str, value: Any, otherwise: Decimal | None, factor: Decimal = _SECONDS[unit]) -> Decimal:
        if value is None and otherwise is not None:
            return otherwise
        try:
            amount = Decimal(str(value))
        except InvalidOperation:
            amount = Decimal("NaN")
        if isinstance(value, bool) or not amount.is_finite() or amount < 0:
            raise InvalidRequestError(
                f"The rates file {name!r} has {value!r} for {entry!r}. "
                f"Write a number of USD per {unit}, e.g. 0.5."
            )
        return amount * factor

    gpu_hour = dict(base.gpu_hour) if base else {}
    cpu, memory, broad, narrow = (
        (base.cpu_hour, base.memory_gib_hour, base.broad_region, base.narrow_region) if base else (None,) * 4
    )
    for gpu, value in listed.items():
        gpu_hour[gpus.find(gpu).name] = price(gpu, value, None)
    return Rates(
        gpu_hour=gpu_hour,
        cpu_hour=price("cpu_core", document.get("cpu_core"), cpu),
        memory_gib_hour=price("memory_gib", document.get("memory_gib"), memory),
        source=str(document.get("source", f"rates file {name}")),
        broad_region=price("broad", regions.get("broad"), broad, Decimal(1)),
        narrow_region=price("narrow", regions.get("narrow"), narrow, Decimal(1)),
    )
