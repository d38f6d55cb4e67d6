"""Why a cell cannot run elsewhere, said before anything is created: every reason with its line."""

from __future__ import annotations

import ast
import builtins
import difflib
import getpass
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from zenml_modal_nb.cells import certainty
from zenml_modal_nb.cells.asked import Asked
from zenml_modal_nb.cells.capture import Captured
from zenml_modal_nb.cells.distributions import may_bring_modules
from zenml_modal_nb.cells.embedded import functions_in
from zenml_modal_nb.cells.names import PROVIDED, Names
from zenml_modal_nb.cells.requirements import Requirements
from zenml_modal_nb.cells.syntax import nodes_in
from zenml_modal_nb.errors import CellError

# What people call these modules, so that a forgotten import is named as such.
_USUAL_IMPORTS = {
    "np": "import numpy as np", "pd": "import pandas as pd", "plt": "import matplotlib.pyplot as plt",
    "sns": "import seaborn as sns", "tf": "import tensorflow as tf", "torch": "import torch",
    "nn": "from torch import nn", "jnp": "import jax.numpy as jnp", "pl": "import polars as pl",
    "tqdm": "from tqdm.auto import tqdm", "Path": "from pathlib import Path",
    "datetime": "from datetime import datetime",
}  # fmt: skip
# Modules whose package has another name.
_PACKAGES = {
    "cv2": "opencv-python-headless", "sklearn": "scikit-learn", "PIL": "pillow", "yaml": "PyYAML",
    "skimage": "scikit-image", "bs4": "beautifulsoup4", "dotenv": "python-dotenv", "git": "GitPython",
    "dateutil": "python-dateutil", "umap": "umap-learn", "Crypto": "pycryptodome", "attr": "attrs",
    "serial": "pyserial", "faiss": "faiss-cpu",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Refusals:
    """Checks one cell against its notebook; made and called by `cells.cell`. Every check raises CellError."""

    tree: ast.Module
    names: Names
    namespace: Mapping[str, object]
    first_line: int

    def refuse_input(self) -> None:
        """Refuse `input()`, unless the notebook has its own, and `getpass()`, wherever they may be called."""
        own = {entry.name: entry for entry in self.names.imports if entry.module == "getpass"}
        read = map(self.namespace.get, self.names.required | self.names.optional)
        if "input" not in self.names.builtins and not own and not any(map(_is_getpass, read)):
            return
        for node in nodes_in(self.tree):
            if not isinstance(node, ast.Call):
                continue
            match node.func:
                case ast.Name("input") if "input" in self.names.builtins and "input" not in self.namespace:
                    called = "input"
                case ast.Name(name) if self.namespace.get(name) is getpass.getpass or (
                    name in own and own[name].attribute == "getpass"
                ):
                    called = "getpass"
                case ast.Attribute(ast.Name(name), "getpass") if self.namespace.get(name) is getpass or (
                    name in own and own[name].attribute is None
                ):
                    called = "getpass"
                case _:
                    continue
            raise CellError(
                f"line {self.line(node)}: {called}() cannot ask anybody in a sandbox. Call it in a cell of its "
                "own and use the variable here; nothing was created."
            )

    def refuse_helpers(self, captured: Captured) -> None:
        """Refuse what a function of another cell surely does when the cell calls it and cannot do: see `certainty`."""
        defined = {*self.namespace, *captured.rebinds, *self.names.bound, *self.names.maybe_bound}
        absent = captured.reads - defined - PROVIDED
        asks = "input" in captured.reads or any(map(_is_getpass, map(self.namespace.get, captured.reads)))
        debugs = "breakpoint" in self.names.builtins | captured.reads and "breakpoint" not in self.namespace
        if not absent and not asks and not debugs:
            return
        binds_unseen = self.names.star or not certainty.UNSEEN.isdisjoint(captured.reads)
        bound = (*self.names.bound, *self.names.maybe_bound, *self.names.deleted)
        for use in certainty.uses_in(self.tree, self.namespace, bound):
            if use.called and use.name in certainty.UNSEEN:
                return
            if debugs and use.called and use.name == "breakpoint" and use.name not in bound:
                way = "".join(f"{name}(), which calls " for name in use.way[:-1])
                way += f"{use.way[-1]}() calls breakpoint(), which" if use.way else "breakpoint()"
                raise CellError(
                    f"line {use.line + self.first_line - 1}: {way} waits for somebody at a debugger, and a sandbox "
                    "has nobody. Take it out, or debug in a cell that runs here; nothing was created."
                )
            if not use.way:
                continue
            where = f"line {use.line + self.first_line - 1}: {'(), which calls '.join(use.way)}()"
            if certainty.asks_somebody(use, self.namespace):
                raise CellError(
                    f"{where} calls {use.name}(), which cannot ask anybody in a sandbox. Ask in a cell of its own "
                    "and pass the answer to it; nothing was created."
                )
            if use.name in absent and not binds_unseen:
                hint = _hint(use.name, self.namespace)
                raise CellError(
                    f"{where} reads '{use.name}', which is not defined.{hint} Run the cell that defines it, or "
                    "correct the name; nothing was created."
                )

    def refuse_not_installed(self, requirements: Requirements, wanted: Iterable[Asked]) -> None:
        """Refuse imports that surely happen and fail, here as there, unless a package that is asked for may help."""
        if any(may_bring_modules(each) for each in wanted):
            return
        for module, line in certainty.imports_in(self.tree):
            root = module.partition(".")[0]
            if root in requirements.by_value_modules:
                return  # a module of the user's own may change `sys.path`
            if root in requirements.not_installed and root not in sys.modules:
                package = _PACKAGES.get(root, root.replace("_", "-"))
                raise CellError(
                    f"line {line + self.first_line - 1}: the module '{root}' is not installed here, so that its "
                    f"package and version are not known. Name the package: --pip {package} in the magic's line, or "
                    f"%pip install {package} in the cell; nothing was created."
                )

    def refuse_undefined(self, missing: Iterable[str]) -> None:
        """Refuse names that neither the cell nor the notebook defines."""
        lines = self.reading_lines(missing)
        if not lines:
            return
        known = {*self.namespace, *self.names.bound, *self.names.maybe_bound} - set(lines)
        parts = [f"line {line}: '{name}' is not defined.{_hint(name, known)}" for name, line in lines.items()]
        raise CellError(
            "\n".join([*parts, "Run the cell that defines it, or correct the name; nothing was created."])
        )

    def refuse_absent(self, inputs: Iterable[str]) -> None:
        """Refuse `--in` names that the notebook does not have."""
        absent = [name for name in inputs if name not in self.namespace]
        if absent:
            parts = [
                f"--in {name}: the notebook has no '{name}'.{_like(name, self.namespace)}" for name in absent
            ]
            raise CellError("\n".join([*parts, "Name variables that exist; nothing was created."]))

    def refuse_left_out(self, names: Iterable[str]) -> None:
        """Refuse an `--in` without a name that the cell reads on every path."""
        lines = self.reading_lines(names)
        if lines:
            parts = [
                f"line {line}: the cell reads '{name}', which --in leaves out."
                for name, line in lines.items()
            ]
            raise CellError("\n".join([*parts, f"Add it: --in …,{','.join(lines)}; nothing was created."]))

    def refuse_unbound(self, outputs: Iterable[str], captured: Captured) -> None:
        """Refuse `--out` names that the cell neither binds nor takes, so that it cannot change them."""
        binds = [*self.names.bound, *self.names.maybe_bound]
        known = {*binds, *captured.rebinds, *captured.values}
        absent = [name for name in outputs if name not in known]
        if absent:
            parts = [f"--out {name}: the cell never binds '{name}'.{_like(name, known)}" for name in absent]
            raise CellError(
                "\n".join([*parts, f"It binds {', '.join(binds) or 'no name'}; nothing was created."])
            )

    def lines_of(self, names: Iterable[str]) -> dict[str, int]:
        """Return the first line that uses each name, without names that the cell does not use itself."""
        used = {node.id for node in ast.walk(self.tree) if isinstance(node, ast.Name)}
        return self.reading_lines(used.intersection(names))

    def reading_lines(self, names: Iterable[str]) -> dict[str, int]:
        """Return the first line that uses each name, in the order of lines."""
        wanted = set(names)
        if not wanted:
            return {}
        lines = dict.fromkeys(wanted, self.first_line)
        nodes = [*ast.walk(self.tree)]
        nodes += [
            node
            for call in nodes
            if isinstance(call, ast.Call)
            for code in functions_in(call)
            for node in ast.walk(code)
        ]
        uses = [node for node in nodes if isinstance(node, ast.Name) and node.id in wanted]
        # Later uses first, so that the earliest wins; plain reads win over others, e.g. a parameter's default.
        for node in sorted(uses, key=lambda node: (isinstance(node.ctx, ast.Load), -node.lineno)):
            lines[node.id] = self.line(node)
        return dict(sorted(lines.items(), key=lambda item: (item[1], item[0])))

    def line(self, node: ast.expr) -> int:
        """Return the number that a node's line has for the user."""
        return node.lineno - 1 + self.first_line


def _is_getpass(value: object) -> bool:
    return value is getpass or value is getpass.getpass


def _hint(name: str, known: Iterable[str]) -> str:
    if name in _USUAL_IMPORTS:
        return f" Is `{_USUAL_IMPORTS[name]}` missing?"
    if name in sys.stdlib_module_names:
        return f" Is `import {name}` missing?"
    return _like(name, [*known, *(n for n in dir(builtins) if n.islower())])


def _like(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, [n for n in known if not n.startswith("_")], n=1)
    return f" Did you mean '{close[0]}'?" if close else ""
