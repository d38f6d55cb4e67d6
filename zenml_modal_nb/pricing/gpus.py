"""The GPU types that Modal offers, and what may be asked of each."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from zenml_modal_nb.errors import InvalidRequestError

_WHERE_TO_LOOK = "%modal_pick shows all types with memory and price."


@dataclass(frozen=True, slots=True)
class Gpu:
    """One type of the catalogue; read by the picker, by `magics.arguments` and by the meter."""

    name: str  # as Modal names it and as `Rates.gpu_hour` is keyed
    memory_gib: int
    max_count: int = 8  # GPUs in one sandbox


# Modal's GPU guide, November 2026, in the order of price. Memory is the vendor's figure.
CATALOGUE: tuple[Gpu, ...] = (
    Gpu("T4", 16),
    Gpu("L4", 24),
    Gpu("A10", 24, max_count=4),
    Gpu("L40S", 48),
    Gpu("A100-40GB", 40),
    Gpu("A100-80GB", 80),
    Gpu("RTX-PRO-6000", 96),
    Gpu("H100", 80),
    Gpu("H200", 141),
    Gpu("B200", 192),
    Gpu("B300", 288),
)

# Other spellings that Modal accepts, with the type that is billed: an upgraded GPU costs what was requested.
ALIASES: dict[str, str] = {
    "A100": "A100-40GB",
    "A10G": "A10",
    "H100!": "H100",  # forbids an upgrade to H200
    "B200+": "B200",  # allows a B300
}

# Types people ask for because other tools have them; ZenML's own help mentions the V100.
_NOT_OFFERED: dict[str, str] = {"V100": "'T4' (16 GiB) or 'A10' (24 GiB)", "P100": "'T4'", "K80": "'T4'"}

# Letters that are read, and typed, as digits.
_LOOKALIKES = str.maketrans("OIL", "011")

_BY_NAME: dict[str, Gpu] = {gpu.name: gpu for gpu in CATALOGUE}


def check(gpu_type: str) -> str:
    """Return the type in the spelling that Modal accepts, e.g. "a100" gives "A100" and "h100!" gives "H100!".

    Raises `InvalidRequestError` with the nearest type for anything that Modal does not offer.
    """
    wanted = gpu_type.strip().upper()
    if wanted in _BY_NAME or wanted in ALIASES:
        return wanted
    kind, colon, count = wanted.partition(":")
    if colon and (kind in _BY_NAME or kind in ALIASES):
        raise InvalidRequestError(
            f"GPU {gpu_type!r} holds a count. Write --gpu {kind} --gpu-count {count or 'N'} instead."
        )
    if wanted in _NOT_OFFERED:
        raise InvalidRequestError(
            f"GPU {gpu_type!r} is not offered by Modal. "
            f"The nearest it has: {_NOT_OFFERED[wanted]}. {_WHERE_TO_LOOK}"
        )
    known = [*ALIASES, *_BY_NAME]
    alike = [name for name in known if name.translate(_LOOKALIKES) == wanted.translate(_LOOKALIKES)]
    nearest = difflib.get_close_matches(wanted, known, n=1, cutoff=0.6)
    meant = " or ".join(repr(name) for name in dict.fromkeys([*alike, *nearest]))
    suggestion = f" Did you mean {meant}?" if meant else ""
    raise InvalidRequestError(f"GPU {gpu_type!r} is unknown to Modal.{suggestion} {_WHERE_TO_LOOK}")


def find(gpu_type: str) -> Gpu:
    """Return the catalogue's entry for a type in any accepted spelling; raises as `check` does."""
    name = check(gpu_type)
    return _BY_NAME[ALIASES.get(name, name)]


def check_count(gpu_type: str, count: int) -> int:
    """Return `count` if one sandbox can have so many of the type; raises `InvalidRequestError` otherwise."""
    most = find(gpu_type).max_count
    if 1 <= count <= most:
        return count
    advice = "Use --gpu none for a run without a GPU." if count < 1 else f"Ask for {most} or fewer."
    raise InvalidRequestError(
        f"--gpu-count {count} is not possible with {check(gpu_type)}: "
        f"one Modal sandbox has 1 to {most} of them. {advice}"
    )


def read(modal_gpu: str) -> tuple[str, int]:
    """Take Modal's notation apart, e.g. "a100:2" into "A100", as Modal accepts it, and 2.

    Raises `InvalidRequestError`.
    """
    kind, _, count = modal_gpu.partition(":")
    if count and not count.isdecimal():
        raise InvalidRequestError(f"GPU count {count!r} in {modal_gpu!r} is not a number. Write e.g. A100:2.")
    return check(kind), check_count(kind, int(count or 1))


def split(modal_gpu: str) -> tuple[Gpu, int]:
    """Take Modal's notation apart, e.g. "A100:2" into the A100-40GB and 2; raises `InvalidRequestError`."""
    kind, count = read(modal_gpu)
    return find(kind), count
