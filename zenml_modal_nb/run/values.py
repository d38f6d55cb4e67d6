"""The values that a cell needs: each pickled by itself, which tells its size and digest, and the order of them all."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from zenml_modal_nb.errors import PackagingError
from zenml_modal_nb.packaging.recognition import Recognized
from zenml_modal_nb.rendering import words
from zenml_modal_nb.runner import digests, pickling

_MIB = 1 << 20
_LARGEST = 5  # variables that a refusal names


def dumped(values: Mapping[str, object], namespace: dict[str, Any]) -> dict[str, pickling.Values]:
    """Pickle each value by itself; one that cannot be is left to `pack`, which says why."""
    found = {}
    for name, value in values.items():
        with suppress(Exception):  # an object's own __reduce__ may raise anything
            found[name] = pickling.dump(value, namespace)
    return found


def ordered(needed: Mapping[str, object], dumped: Mapping[str, pickling.Values]) -> dict[str, object]:
    """Return what travels in the order in which it is pickled: the same one next time, so that numbers stay the same.

    First classes, bases before what is made from them: a class that registers its subclasses refers to them, and
    pickling a subclass first would make it twice. Then values whose pickle itself is large, e.g. a list of a million
    texts: it begins as it did before, whatever has changed in small ones, and those blocks need not be sent.
    """
    inside = {
        name: sum(len(piece) for piece in each.pieces if isinstance(piece, bytes))
        for name, each in dumped.items()
    }

    def place(name: str) -> tuple[int, bool, str]:
        value = needed[name]
        depth = len(value.__mro__) if isinstance(value, type) else sys.maxsize
        return depth, inside.get(name, 0) < digests.BLOCK, name

    return {name: needed[name] for name in sorted(needed, key=place)}


def refuse_too_large(total: int, most_mib: int, sizes: Mapping[str, int]) -> None:
    """Refuse to send more than the user's limit; raises PackagingError, which names the largest variables."""
    if total <= most_mib * _MIB:
        return
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:_LARGEST]
    listed = ", ".join(f"{name} ({words.size(size)})" for name, size in largest)
    raise PackagingError(
        f"The cell would send {words.size(total)}, more than the limit of {words.size(most_mib * _MIB)}: "
        f"{listed}. Read the data inside the cell, send less with --in, or raise the limit, as in "
        '%config ModalStep.max_inputs = "200GiB". Nothing was created.'
    )


def digest_of(value: object, namespace: dict[str, Any]) -> str:
    """Return what a job's `digests` would have for a value as it is now; raises what pickling raises."""
    return Recognized().of_content(pickling.dump(value, namespace).pieces)
