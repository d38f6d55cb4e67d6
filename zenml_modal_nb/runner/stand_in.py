"""IPython's own display modules, for an image without IPython: they come with the runner's zip.

What is installed comes first. Their objects are those of the notebook's IPython: they go there and come back as what
they are.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
import zipimport
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from zenml_modal_nb.runner.imports import AfterImport

_FOLDER = Path(__file__).parents[2] / "stand_in"  # in the zip; `packaging.archive` puts it there


def take_over(imports: AfterImport, shell: Callable[[], Any], functions: Mapping[str, Any]) -> None:
    """Make IPython's modules, installed or not, ask our shell and show things with our functions."""
    sys.path.append(str(_FOLDER))
    imports.add("IPython.core.getipython", lambda found: vars(found).update(get_ipython=shell))
    imports.add("IPython.core.display_functions", lambda found: vars(found).update(functions))


def find(module: str, name: str) -> Any:
    """Return e.g. IPython.utils.text.SList: the image's if IPython is installed there, else the zip's."""
    return getattr(importlib.import_module(module), name)


@functools.cache
def pretty() -> ModuleType:
    """Return IPython.lib.pretty from the zip: importing all of an installed IPython takes 0.3 s."""
    found = zipimport.zipimporter(str(_FOLDER / "IPython/lib")).find_spec("pretty")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module
