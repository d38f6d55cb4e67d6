"""Code that is defined now and runs when somebody calls it."""

from __future__ import annotations

from dataclasses import dataclass

from zenml_modal_nb.cells.imports import Import


@dataclass(frozen=True, slots=True)
class Body:
    """Code that runs when it is called; made by `cells.scopes`, run symbolically by
    `cells.ledger`.

    `reads` are module names it needs, `tries` those it can do without (a NameError is caught around them),
    `binds` those it assigns through `global` or a walrus. `lazy` code need not run when it is called, e.g.
    a generator.
    """

    reads: frozenset[str] = frozenset()
    tries: frozenset[str] = frozenset()
    calls: frozenset[str] = frozenset()
    binds: frozenset[str] = frozenset()
    imports: tuple[Import, ...] = ()
    lazy: bool = False
