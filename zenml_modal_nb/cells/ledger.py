"""The running account of a cell: what it has bound so far, and what it has needed before binding it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from zenml_modal_nb.cells.bodies import Body
from zenml_modal_nb.cells.imports import Import
from zenml_modal_nb.cells.paths import BOUND, DELETED, UNTOUCHED, Paths
from zenml_modal_nb.cells.syntax import Visitor


@dataclass(frozen=True, slots=True)
class _Start:
    """A piece of code that runs: now or perhaps later; `forgiven` if a missing name in it does no harm."""

    body: Body
    now: bool
    forgiven: bool = False


class Ledger(Visitor):
    """Keeps account while `cells.flow`, its subclass, follows the statements; read by `cells.names`."""

    def __init__(self, postponed: bool) -> None:
        super().__init__(postponed, set(), set())
        self.now = Paths()
        self.required: set[str] = set()
        self.optional: set[str] = set()
        self.pending: set[str] = set()  # read by code that may run later than it is mentioned
        self.first_bound: dict[str, None] = {}  # in order
        self.imports: dict[Import, None] = {}  # at top level, in order
        self.inner_imports: dict[Import, None] = {}  # inside functions that may run
        self.star = False
        self.unseen = False  # code that is not to be seen here may have bound any name, e.g. `exec(text)`
        self.guarded = 0  # depth of constructs around us in which a missing name does no harm
        self.journals: list[list[tuple[str, int]]] = []  # marks set inside the blocks around us

    def close(self) -> None:
        """Settle what code that runs late has read: the cell may have bound it by then."""
        for name in self.pending:
            later = name in self.first_bound or self.star or self.unseen
            (self.optional if later else self.required).add(name)
        self.optional -= self.required

    def need(self, name: str, *, later: bool = False) -> None:
        """Note that a name is needed; `later`: by code that may run later than now."""
        mark = self.now.mark(name)
        if not mark & UNTOUCHED:
            return
        if self.guarded or not self.now.alive or mark & BOUND or self.star or self.unseen:
            self.optional.add(name)
        elif later:
            self.pending.add(name)
        else:
            self.required.add(name)

    def mention(self, name: str) -> None:
        """Note that a name is read; if it is a function of this cell, it may be called from now on."""
        self.need(name)
        if bodies := self.now.bodies.get(name):
            self.execute([_Start(body, now=False) for body in bodies])

    def call(self, name: str) -> None:
        """Note that a name is called; if it is a function of this cell, it runs now."""
        if bodies := self.now.bodies.get(name):
            self.execute([_Start(body, now=True) for body in bodies])

    def refer(self, body: Body) -> None:
        """Note that code may run from now on."""
        self.execute([_Start(body, now=False)])

    def run(self, body: Body) -> None:
        """Run code symbolically, here and now."""
        self.execute([_Start(body, now=True)])

    def execute(self, starts: list[_Start]) -> None:
        """Run code, and the cell's functions that it calls, in no particular order."""
        reached = self.reach(starts)
        binders = Counter(
            name for body in {id(s.body): s.body for s in reached}.values() for name in body.binds
        )
        # What a function reads before it binds it itself is needed, e.g. `global n; n += 1`. Whatever another
        # one binds may be there in time, e.g. `def main(): set_up(); return settings`.
        for start in reached:
            self.needs(start, {name for name in start.body.binds if binders[name] == 1})
        for start in reached:
            self.effects(start.body)
        for start in reached:
            self.needs(start, start.body.reads | start.body.tries)

    def reach(self, starts: list[_Start]) -> list[_Start]:
        """Return the code that runs when `starts` run, each piece once for each way it may run."""
        reached: dict[tuple[int, bool, bool], _Start] = {}
        todo = list(starts)
        while todo:
            start = todo.pop()
            now = start.now and not start.body.lazy
            key = (id(start.body), now, start.forgiven)
            if key in reached:
                continue
            reached[key] = _Start(start.body, now, start.forgiven)
            for name in start.body.reads | start.body.tries:
                forgiven = start.forgiven or name in start.body.tries
                for body in self.now.bodies.get(name, ()):
                    todo.append(_Start(body, now and name in start.body.calls, forgiven))
        return list(reached.values())

    def needs(self, start: _Start, names: Iterable[str]) -> None:
        """Note those of `names` that a piece of code reads."""
        for name in names:
            if name in start.body.reads:
                with self.forgiving(start.forgiven):
                    self.need(name, later=not start.now)
            elif name in start.body.tries:
                with self.forgiving():
                    self.need(name)

    def effects(self, body: Body) -> None:
        """Note what code that runs leaves behind: names it declares global, packages it imports."""
        for name in sorted(body.binds):
            self.first_bound.setdefault(name)
            self.now.marks[name] = self.now.mark(name) | BOUND
            self.now.imports.pop(name, None)
            self.note(name, BOUND)
        self.inner_imports.update(dict.fromkeys(body.imports))

    def bind(self, name: str, bodies: tuple[Body, ...] = (), imports: tuple[Import, ...] = ()) -> None:
        """Bind a name here; `bodies` if it stands for functions, `imports` if by an import."""
        self.first_bound.setdefault(name)
        self.now.bind(name, bodies, imports)
        self.note(name, BOUND)

    def delete(self, name: str) -> None:
        """Delete a name here."""
        self.now.bind(name)
        self.now.marks[name] = DELETED
        self.note(name, DELETED)

    def note(self, name: str, mark: int) -> None:
        """Write a mark into the journals of the blocks around us, unless no way leads here, e.g. in `if False:`."""
        if not self.now.alive:
            return
        for journal in self.journals:
            journal.append((name, mark))

    @contextmanager
    def forgiving(self, really: bool = True) -> Iterator[None]:
        """Within this, a missing name does no harm."""
        self.guarded += really
        yield
        self.guarded -= really


def interrupted(before: Paths, journal: Iterable[tuple[str, int]]) -> Paths:
    """Return the ways out of a block that an exception left at any point."""
    result = before.copy()
    for name, mark in journal:
        result.marks[name] = result.mark(name) | mark
        result.imports.pop(name, None)
    return result
