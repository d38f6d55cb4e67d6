"""One scope of nested code while `scope_reader` walks through it: which names it binds, and which it reads."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

# "called": of a lambda that is called where it stands
Kind = Literal["outside", "function", "called", "class", "comprehension"]
# What runs where it stands, and does not see the names of a class around it.
AT_ONCE = ("called", "comprehension")


@dataclass(slots=True)
class Scope:
    """Made and read by `scope_reader.ScopeReader`."""

    kind: Kind
    bound: set[str] = field(default_factory=set)
    declared_global: set[str] = field(default_factory=set)
    declared_nonlocal: set[str] = field(default_factory=set)
    reads: set[str] = field(default_factory=set)
    tries: set[str] = field(default_factory=set)
    inner_reads: set[str] = field(default_factory=set)  # of functions defined inside
    inner_tries: set[str] = field(default_factory=set)
    functions: dict[str, ast.FunctionDef] = field(default_factory=dict)  # of a class, that its body may call
    # Of `bound`, what may be unbound where it is read. The body of a class then reads the module's name.
    perhaps: set[str] = field(default_factory=set)
    branches: int = 0  # depth of what may not run around us

    def bind(self, name: str) -> None:
        """Note that a name is bound here."""
        if not self.branches:
            self.perhaps.discard(name)
        elif name not in self.bound:
            self.perhaps.add(name)
        self.bound.add(name)

    def delete(self, name: str) -> None:
        """Note that the body of a class deletes a name of its own."""
        if self.branches:
            self.perhaps.add(name)
        else:
            self.bound.discard(name)

    @contextmanager
    def branch(self) -> Iterator[None]:
        """Take what is noted meanwhile for what may not happen."""
        self.branches += 1
        yield
        self.branches -= 1
