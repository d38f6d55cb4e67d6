"""Whether a cell seeds a global random generator before it does anything else: then nothing of it depends on the state
that the generator had.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Set

_SEEDS = {"random.seed": "random", "numpy.random.seed": "numpy.random", "torch.manual_seed": "torch"}


def seeded(tree: ast.Module, modules: Mapping[str, str], values: Mapping[str, object]) -> frozenset[str]:
    """Return the modules whose generator the cell seeds at its start.

    `modules` maps a name of the notebook to the module it stands for, `values` are its variables. Before the seeds
    there may be imports, constants and docstrings only, e.g. `import numpy as np`, `SEED = 0`, `np.random.seed(SEED)`.
    """
    known = dict(modules)
    numbers = {name for name, value in values.items() if isinstance(value, int)}
    found = set()
    for statement in tree.body:
        if isinstance(statement, ast.Import):
            for each in statement.names:
                top = each.name.partition(".")[0]
                known[each.asname or top] = each.name if each.asname else top
        elif isinstance(statement, ast.ImportFrom):
            for each in statement.names:
                known[each.asname or each.name] = f"{statement.module}.{each.name}"
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue
        elif isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant):
            names = {each.id for each in statement.targets if isinstance(each, ast.Name)}
            numbers = numbers | names if isinstance(statement.value.value, int) else numbers - names
        elif isinstance(statement, ast.Expr) and (module := _seeds(statement.value, known, numbers)):
            found.add(module)
        else:
            break
    return frozenset(found)


def _seeds(call: ast.expr, known: Mapping[str, str], numbers: Set[str]) -> str | None:
    if not isinstance(call, ast.Call) or len(call.args) != 1 or call.keywords:
        return None
    argument = call.args[0]
    fixed = isinstance(argument, ast.Constant) and isinstance(argument.value, int)
    if not fixed and not (isinstance(argument, ast.Name) and argument.id in numbers):  # None would be no seed
        return None
    return _SEEDS.get(_path(call.func, known) or "")


def _path(function: ast.expr, known: Mapping[str, str]) -> str | None:
    parts: list[str] = []
    while isinstance(function, ast.Attribute):
        parts.append(function.attr)
        function = function.value
    if not isinstance(function, ast.Name) or function.id not in known:
        return None
    return ".".join([known[function.id], *reversed(parts)])
