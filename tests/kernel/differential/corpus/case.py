"""One cell of the corpus with its set-up; run twice by `sides`, compared by the test."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """Cells of one notebook: `setup` runs here, `cell` here or in a sandbox, `then` here again.

    `here` takes the place of `cell` in the run here where DESIGN.md gives the cell another meaning in a sandbox.
    `stays` are names whose values cannot come back: they end undefined, and the cell says so. `refused` are words of
    the message with which the sandbox's side refuses what would work here; `options` go on the magic line; `fast`
    cases run by default, the others are slow.
    """

    name: str
    cell: str
    setup: tuple[str, ...] = ()
    then: tuple[str, ...] = ()
    options: str = ""
    here: str | None = None
    stays: tuple[str, ...] = ()
    refused: str | None = None
    fast: bool = False
