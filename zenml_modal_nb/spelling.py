"""What a user probably meant: the known word nearest to an unknown one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word most like `word`, None when nothing is close."""
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def one_slip_away(word: str, known: Iterable[str]) -> tuple[str, ...]:
    """Return the known words that one slip of the finger turns into `word`, in their order."""
    return tuple(other for other in known if _one_slip(word, other))


def _one_slip(left: str, right: str) -> bool:
    """Tell whether one letter added, dropped, replaced or swapped with its neighbour separates two words."""
    short, long = sorted((left, right), key=len)
    start = next((i for i, letter in enumerate(short) if letter != long[i]), len(short))
    if len(long) == len(short) + 1:
        return short[start:] == long[start + 1 :]
    if len(long) != len(short) or start == len(short):
        return False
    swapped = long[start : start + 2][::-1] + long[start + 2 :]
    return short[start + 1 :] == long[start + 1 :] or short[start:] == swapped
