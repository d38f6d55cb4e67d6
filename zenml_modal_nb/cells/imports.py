"""What an import statement binds, and which modules a piece of code imports."""

from __future__ import annotations

import ast
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Import:
    """One name that an import statement binds; made by `cells.flow`, read by `run` and `cells.requirements`.

    `module` keeps the dots of a relative import. `attribute` is set for `from module import attribute as
    name`
    ("*" for a star import, whose `name` is "*" too). `root` is true for `import a.b`, which binds `a`, not
    `a.b`.
    """

    module: str
    name: str
    attribute: str | None = None
    root: bool = False

    @property
    def statement(self) -> str:
        """The import as a statement that binds this name alone."""
        if self.root:
            return f"import {self.module}"
        if self.attribute is None:
            return f"import {self.module}{self._as(self.module)}"
        if self.attribute == "*":
            return f"from {self.module} import *"
        return f"from {self.module} import {self.attribute}{self._as(self.attribute)}"

    def _as(self, name: str) -> str:
        return "" if name == self.name else f" as {self.name}"


def imports_of(node: ast.Import | ast.ImportFrom) -> tuple[Import, ...]:
    """Return what one import statement binds, in its order."""
    if isinstance(node, ast.ImportFrom):
        module = "." * node.level + (node.module or "")
        return tuple(Import(module, alias.asname or alias.name, alias.name) for alias in node.names)
    found = []
    for alias in node.names:
        if alias.asname is None and "." in alias.name:
            found.append(Import(alias.name, alias.name.partition(".")[0], root=True))
        else:
            found.append(Import(alias.name, alias.asname or alias.name))
    return tuple(found)
