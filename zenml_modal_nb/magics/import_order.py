"""Cells that import zenml wait until the warm-up has.

Two threads that import one package at the same time see its circular imports half made:
`from zenml.client import Client` right below `%load_ext zenml_modal_nb` was an ImportError.
"""

from __future__ import annotations

import importlib.util
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionInfo

_IMPORT = re.compile(r"^[ \t]*(?:from|import)[ \t]+(.+)", re.MULTILINE)
_ROOT = re.compile(r"(?:^|,)\s*([^\W\d]\w*)")


def wait_for_warmup(info: ExecutionInfo) -> None:
    """Run before every cell, as IPython's `pre_run_cell` event."""
    from zenml_modal_nb.pipelines import warmup

    if warmup.is_busy() and any(map(_may_import_zenml, _roots(info.raw_cell or ""))):
        warmup.settle()


def _roots(cell: str) -> Iterator[str]:
    """Yield the top-level packages that a cell's import statements name, e.g. import a.b, c: a and c."""
    for statement in _IMPORT.findall(cell):
        yield from _ROOT.findall(statement.partition(" import ")[0])


def _may_import_zenml(root: str) -> bool:
    """Tell zenml and the user's own modules from what is installed: pandas need not wait."""
    if root == "zenml":
        return True
    try:
        spec = importlib.util.find_spec(root)
    except (ImportError, ValueError):
        return False
    if spec is None or (not spec.has_location and spec.submodule_search_locations is None):
        return False
    place = Path(spec.origin or next(iter(spec.submodule_search_locations or ()), ""))
    installed = {sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib", "platstdlib")}
    return not any(place.is_relative_to(path) for path in installed)
