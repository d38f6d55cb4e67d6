"""GPU types and prices, as Modal offers them; recorded and priced here, not provided."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from zenml_modal_nb.emulator.state.refusals import InvalidArgumentError

# Modal's GPU guide, November 2026. `H100!` forbids an upgrade to H200, `B200+` allows one to B300.
GPU_TYPES = (
    "T4", "L4", "A10", "A10G", "L40S", "A100", "A100-40GB", "A100-80GB", "RTX-PRO-6000",
    "H100", "H100!", "H200", "B200", "B200+", "B300",
)  # fmt: skip
MOST_GPUS = 8  # per sandbox
MOST_OF = {"A10": 4, "A10G": 4}

# USD per GPU-second, public price list of November 2026.
_GPU_SECOND = {
    "t4": "0.000164", "l4": "0.000222", "a10g": "0.000306", "l40s": "0.000542", "a100_40gb": "0.000583",
    "a100_80gb": "0.000694", "rtx6000": "0.000842", "h100": "0.001097", "h200": "0.001261",
    "b200": "0.001736", "b300": "0.001972",
}  # fmt: skip

# What Modal's rates API answers: USD per hour, by the keys the SDK's `billing.rates()` passes on.
RATES: dict[str, str] = {
    **{f"gpu_hour_cost_{name}": str(Decimal(price) * 3600) for name, price in _GPU_SECOND.items()},
    "cpu_hour_cost_sandbox": "0.1419",
    "mem_gib_hour_cost_sandbox": "0.024",
}


@dataclass(frozen=True)
class Gpu:
    """A request for `count` devices of one type; refused by `check_gpu` when Modal has no such thing."""

    type: str
    count: int


# Modal's region guide, November 2026; providers' own names, e.g. us-east-1, are taken too.
REGIONS = (
    "us", "eu", "ap", "uk", "ca", "me", "sa", "af", "mx",
    "us-east", "us-central", "us-south", "us-west", "eu-west", "eu-north", "eu-south",
    "ap-northeast", "ap-southeast", "ap-south", "ap-melbourne", "jp", "au",
)  # fmt: skip
_PROVIDERS_REGION = re.compile(r"[a-z]{2,20}(-[a-z]+)*-?\d")
CLOUDS = ("", "aws", "gcp", "oci", "auto")

LEAST_CORES = 0.125
LEAST_MEMORY = 128  # MiB
_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Request:
    """CPU in cores, memory in MiB; `memory_limit` 0 is none. The least that Modal gives, where nobody says."""

    cores: float = LEAST_CORES
    memory_mib: int = LEAST_MEMORY
    memory_limit: int = 0
    threads: int = 0

    def environment(self) -> dict[str, str]:
        """The variables by which Modal tells numerical libraries how many threads make sense."""
        return dict.fromkeys(_THREADS, str(self.threads)) if self.threads else {}


def check_placement(regions: Sequence[str], cloud: str) -> None:
    """Raise InvalidArgumentError for a region or a cloud that Modal does not have."""
    if cloud.lower() not in CLOUDS:
        raise InvalidArgumentError(f"Unknown cloud {cloud!r}. Clouds: {', '.join(filter(None, CLOUDS))}.")
    for region in regions:
        if region not in REGIONS and not _PROVIDERS_REGION.fullmatch(region):
            close = difflib.get_close_matches(region, REGIONS, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise InvalidArgumentError(f"Unknown region {region!r}.{hint} Regions: {', '.join(REGIONS)}.")


def rate_key(gpu_type: str) -> str:
    """The key in RATES of a GPU type, e.g. `A100` is billed as the one with 40 GB."""
    plain = gpu_type.rstrip("!+").lower().replace("-", "_")
    same = {"a10": "a10g", "a100": "a100_40gb", "rtx_pro_6000": "rtx6000"}
    return f"gpu_hour_cost_{same.get(plain, plain)}"


def check_gpu(gpu: Gpu) -> None:
    """Raise InvalidArgumentError for a type Modal does not offer, or for too many of it."""
    if gpu.type not in GPU_TYPES:
        close = difflib.get_close_matches(gpu.type, GPU_TYPES, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise InvalidArgumentError(f"Unknown GPU type {gpu.type!r}.{hint} Types: {', '.join(GPU_TYPES)}.")
    most = MOST_OF.get(gpu.type, MOST_GPUS)
    if not 1 <= gpu.count <= most:
        raise InvalidArgumentError(
            f"A sandbox can have 1 to {most} GPUs of type {gpu.type}, not {gpu.count}."
        )
