"""Sizes, durations and counts as a user writes them, in the units of `request`: MiB, seconds, cores."""

from __future__ import annotations

import math
import re
from fractions import Fraction

from zenml_modal_nb.errors import InvalidRequestError

MIN_MEMORY_MIB = 128  # Modal's smallest request, November 2026
MIN_CPU = 0.125  # cores; the same
# Modal's API counts MiB and thousandths of a core in 32 bits (modal_proto's Resources, 1.6). The most that a machine of
# its has is less and documented nowhere: Modal refuses that itself, when the sandbox is created.
MAX_MEMORY_MIB = 2**32 - 1
MAX_CPU = MAX_MEMORY_MIB / 1000  # cores
MAX_TIMEOUT = 24 * 3600  # seconds; Modal's limit for a sandbox, fixed at creation

# MiB for one of each unit. Modal takes MiB only, and ZenML hands it a decimal megabyte as one MiB
# (zenml.integrations.modal.sandbox_utils.get_memory_mb, 0.98): 32GB means here what it means in a ZenML step,
# 32000 MiB, and the binary units mean themselves.
_MIB = {"MB": 1, "MIB": 1, "GB": 1000, "GIB": 1024, "TB": 1000**2, "TIB": 1024**2}

_NUMBER = r"\d{1,9}(?:\.\d{1,9})?|\.\d{1,9}"
_SIZE = re.compile(rf"({_NUMBER})\s*([a-z]*)", re.IGNORECASE | re.ASCII)
_DURATION = re.compile(
    rf"(?:({_NUMBER})\s*d(?:ays?)?)?\s*"
    rf"(?:({_NUMBER})\s*h(?:ours?|rs?)?)?\s*"
    rf"(?:({_NUMBER})\s*m(?:in(?:ute)?s?)?)?\s*"
    rf"(?:({_NUMBER})\s*s(?:ec(?:ond)?s?)?)?",
    re.IGNORECASE | re.ASCII,
)


def memory(text: str) -> int:
    """Return the MiB that `text` asks for, a fraction rounded up: "32GiB" is 32768, "32GB" 32000."""
    mib = size(text, "Memory")
    if mib < MIN_MEMORY_MIB:
        raise InvalidRequestError(
            f"Memory {text!r} is too small: Modal's smallest request is {MIN_MEMORY_MIB}MiB."
        )
    if mib > MAX_MEMORY_MIB:
        raise InvalidRequestError(f"Memory {text!r} is more than Modal's API can ask for. Write e.g. 32GiB.")
    return mib


def size(text: str, what: str) -> int:
    """Return the MiB of an amount of memory; `what` is its name in messages."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise InvalidRequestError(
            f"{what} {text!r} is not a size. Write a number and a unit, such as 32GB or 512MiB."
        )
    number, unit = match.groups()
    if not unit:
        advice = (
            f"{number}GB, {number}GiB or {number}MiB" if Fraction(number) else "e.g. 32GB, 32GiB or 512MiB"
        )
        raise InvalidRequestError(f"{what} {text!r} has no unit. Write {advice}.")
    if unit.upper() not in _MIB:
        raise InvalidRequestError(
            f"{what} {text!r} has an unknown unit. Known are MB, MiB, GB, GiB, TB and TiB."
        )
    return math.ceil(Fraction(number) * _MIB[unit.upper()])


def memory_text(mib: int) -> str:
    """Return the shortest size that `memory` reads as `mib`."""
    for unit, size in (("TiB", 1024**2), ("TB", 1000**2), ("GiB", 1024), ("GB", 1000)):
        if mib % size == 0:
            return f"{mib // size}{unit}"
    return f"{mib}MiB"


def timeout(text: str) -> int:
    """Return the seconds of a sandbox's time limit."""
    seconds = duration(text)
    if not 1 <= seconds <= MAX_TIMEOUT:
        raise InvalidRequestError(f"Timeout {text!r} is out of range: Modal allows 1 second to 24 hours.")
    return seconds


def duration(text: str) -> int:
    """Return the seconds of "3600", "45s", "90m", "1h30m" or "1d", a fraction rounded up."""
    if re.fullmatch(r"\d{1,9}", text.strip(), re.ASCII):
        return int(text)
    match = _DURATION.fullmatch(text.strip())
    if match is None or not any(match.groups()):  # e.g. 1h30 and 1.5: of what?
        raise InvalidRequestError(
            f"Duration {text!r} is not understood. Write seconds, as in 3600, or units, as in 90m or 1h30m."
        )
    sizes = zip(match.groups(), (24 * 3600, 3600, 60, 1), strict=True)
    return math.ceil(sum(Fraction(number) * size for number, size in sizes if number))


def duration_text(seconds: int) -> str:
    """Return the duration as `duration` reads it: 5400 is "1h30m"."""
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    parts = [f"{number}{unit}" for number, unit in ((hours, "h"), (minutes, "m"), (rest, "s")) if number]
    return "".join(parts) or "0s"


def cpu(text: str) -> float:
    """Return a number of cores."""
    if not re.fullmatch(_NUMBER, text.strip(), re.ASCII):
        raise InvalidRequestError(f"CPU {text!r} is not a number of cores. Write a number such as 4 or 0.5.")
    cores = float(text)
    if cores < MIN_CPU:
        raise InvalidRequestError(f"CPU {text!r} is too small: Modal's smallest request is {MIN_CPU} cores.")
    if cores > MAX_CPU:
        raise InvalidRequestError(f"CPU {text!r} is more than Modal's API can ask for. Write e.g. 16.")
    return cores


def cpu_text(cores: float) -> str:
    """Return the number of cores as `cpu` reads it: 4.0 is "4"."""
    return f"{cores:.0f}" if cores.is_integer() else repr(cores)


def gpu_count(text: str) -> int:
    """Return a number of GPUs, 0 or more; how many a type allows is `pricing.gpus`' to say."""
    if not re.fullmatch(r"\d{1,9}", text.strip(), re.ASCII):
        raise InvalidRequestError(
            f"GPU count {text!r} is not a whole number. Write, for example, --gpu-count 2."
        )
    return int(text)
