"""What may have happened to each name on the ways that lead to a point of the cell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from zenml_modal_nb.cells.bodies import Body
from zenml_modal_nb.cells.imports import Import

# A name's marks at a point: the union over all ways that lead there.
UNTOUCHED = 1  # the cell has not bound it: whatever the notebook holds
BOUND = 2
DELETED = 4


@dataclass(slots=True)
class Paths:
    """All ways to one point of the cell, folded together; made and joined by `cells.flow`.

    `marks` lacks names that are UNTOUCHED. `bodies` are the functions a name may stand for, `imports` the
    imports that bound it last. `alive` is false where no way leads, e.g. after `raise`.
    """

    marks: dict[str, int] = field(default_factory=dict)
    bodies: dict[str, tuple[Body, ...]] = field(default_factory=dict)
    imports: dict[str, tuple[Import, ...]] = field(default_factory=dict)
    alive: bool = True

    def copy(self) -> Paths:
        """Return an independent copy."""
        return Paths(dict(self.marks), dict(self.bodies), dict(self.imports), self.alive)

    def mark(self, name: str) -> int:
        """Return the marks of a name."""
        return self.marks.get(name, UNTOUCHED)

    def bind(self, name: str, bodies: tuple[Body, ...] = (), imports: tuple[Import, ...] = ()) -> None:
        """Bind a name on every way that leads here."""
        self.marks[name] = BOUND
        self.bodies.pop(name, None)
        self.imports.pop(name, None)
        if bodies:
            self.bodies[name] = bodies
        if imports:
            self.imports[name] = imports


def join(ways: Iterable[Paths]) -> Paths:
    """Fold several ways into one; ways that lead nowhere count only when there is no other."""
    ways = list(ways)
    going = [way for way in ways if way.alive]
    if not going:
        last = ways[-1].copy()
        last.alive = False
        return last
    result = going[0].copy()
    marks = result.marks
    for way in going[1:]:
        # Most ways differ in few names or none.
        for name, mark in way.marks.items():
            own = marks.get(name, UNTOUCHED)
            if own != mark:
                marks[name] = own | mark
        for name in marks.keys() - way.marks.keys():
            marks[name] |= UNTOUCHED
        for name, bodies in way.bodies.items():
            known = result.bodies.get(name, ())
            if known is bodies:
                continue
            result.bodies[name] = known + tuple(body for body in bodies if body not in known)
    for name in {name for way in going for name in way.imports}:
        binding = [way for way in going if way.mark(name) & BOUND]
        if all(name in way.imports for way in binding):
            result.imports[name] = tuple(
                dict.fromkeys(entry for way in binding for entry in way.imports[name])
            )
        else:  # e.g. `try: import torch` / `except ImportError: torch = None`: not always a module
            result.imports.pop(name, None)
    return result
