"""Which distributions the image needs for what a cell imports, at the versions installed here."""

from __future__ import annotations

import ast
import sys
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from packaging.utils import canonicalize_name

from zenml_modal_nb.cells.asked import Asked, instead
from zenml_modal_nb.cells.distributions import Installed, installed, local_module
from zenml_modal_nb.cells.imports import imports_of
from zenml_modal_nb.errors import CellError

# The sandbox has these without an image: the runner's own, what the cell has defined, and of IPython what shows things.
_PROVIDED = frozenset({"__main__", "zenml_modal_nb", "cloudpickle", "notebook_definitions"})
PROVIDED_OF_IPYTHON = frozenset({
    "IPython", "IPython.core", "IPython.core.display", "IPython.core.display_functions", "IPython.core.getipython",
    "IPython.core.magics", "IPython.core.magics.execution", "IPython.display", "IPython.lib", "IPython.lib.display",
    "IPython.lib.pretty", "IPython.testing", "IPython.testing.skipdoctest", "IPython.utils", "IPython.utils.capture",
    "IPython.utils.text",
})  # fmt: skip

# Distributions whose CUDA build has another name on the public index (as of November 2026).
_ON_GPU = {
    "jax": "jax[cuda12]",
    "tensorflow": "tensorflow[and-cuda]",
    "tensorflow-cpu": "tensorflow[and-cuda]",
    "onnxruntime": "onnxruntime-gpu",
}
# Distributions for one kind of machine, and what stands for them in a Linux image; None: nothing.
_ELSEWHERE = {"tensorflow-macos": "tensorflow", "tensorflow-metal": None, "tensorflow-intel": "tensorflow",
              "pywin32": None, "appnope": None, "jax-metal": None}  # fmt: skip

# What pandas imports only when asked, e.g. `df.to_parquet(...)`; its documentation, "Optional dependencies".
_ON_DEMAND = {
    "read_parquet": "pyarrow", "to_parquet": "pyarrow", "read_feather": "pyarrow", "to_feather": "pyarrow",
    "read_excel": "openpyxl", "to_excel": "openpyxl", "plot": "matplotlib", "hist": "matplotlib",
    "boxplot": "matplotlib", "to_markdown": "tabulate", "style": "jinja2", "read_html": "lxml",
    "read_xml": "lxml", "read_hdf": "tables", "to_hdf": "tables", "to_xarray": "xarray",
}  # fmt: skip

MAX_FILES = 300  # of one local package, searched for what it imports


@dataclass(frozen=True, slots=True)
class Requirements:
    """What an image needs; made here, read by `packaging` and `run`.

    `pinned` is for pip, sorted. `by_value_modules` exist on this machine only and travel with the cell.
    `not_installed` are imported modules that are not here either, so no version is known.
    """

    pinned: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()  # those of `pinned` that the user has written
    by_value_modules: tuple[str, ...] = ()
    not_installed: tuple[str, ...] = ()


def find_requirements(
    import_roots: Iterable[str],
    *,
    gpu: bool,
    attributes: Iterable[str] = (),
    wanted: Sequence[Asked] = (),
) -> Requirements:
    """Find the distributions of imported modules, given as `numpy` or, more precisely, `google.protobuf`.

    `attributes` are the names behind a dot in the cell; some of pandas' need more than pandas. `wanted` is what the
    user asks for: it takes the place of what would be found of the same distributions.

    Raises:
        CellError: a local module's file is gone or is not Python.
    """
    named = {each.name for each in wanted if each.holds}
    here = installed()
    todo = sorted(set(import_roots))
    imported = frozenset(todo)
    if any(name.partition(".")[0] == "pandas" for name in todo):
        asked_for = {_ON_DEMAND[name] for name in attributes if name in _ON_DEMAND}
        if _has_text_of_arrow(here):
            asked_for.add("pyarrow")
        todo += [name for name in sorted(asked_for) if name in here.by_import]
    seen: set[str] = set()
    pinned: set[str] = set()
    by_value: set[str] = set()
    unknown: set[str] = set()
    while todo:
        module = todo.pop()
        root = module.partition(".")[0]
        if module in seen or not root or _is_provided(module, root):
            continue
        seen.add(module)
        found = here.distributions(module)
        for one in found:
            if one.source and (
                pin := _in_image(one.name, one.source, gpu and not _is_named(one.name, named))
            ):
                pinned.add(pin)
        if any(one.source for one in found):
            continue
        place = local_module(root)
        if place is None:
            unknown.add(root)
        elif root not in by_value:
            by_value.add(root)
            todo.extend(_imports_below(root, place, imported))
    pins = instead(pinned, wanted) if wanted else pinned
    ordered = tuple(sorted(pins, key=str.lower))
    asked = tuple(pin for pin in ordered if pin not in pinned)
    return Requirements(ordered, asked, tuple(sorted(by_value)), tuple(sorted(unknown)))


def _has_text_of_arrow(here: Installed) -> bool:
    """Tell whether pandas keeps text in pyarrow's arrays where that is installed, and in others where not."""
    return any(int(one.version.partition(".")[0]) >= 3 for one in here.distributions("pandas"))


def _is_provided(module: str, root: str) -> bool:
    return root in _PROVIDED or root in sys.stdlib_module_names or module in PROVIDED_OF_IPYTHON


def _is_named(name: str, named: Container[str | None]) -> bool:
    """Tell whether the user asks for a distribution whose build for GPUs is another distribution."""
    other = _ON_GPU.get(canonicalize_name(name), "").partition("[")[0]
    return bool(other) and other != canonicalize_name(name) and canonicalize_name(name) in named


def _in_image(name: str, source: str, gpu: bool) -> str | None:
    """Return a distribution's requirement as a Linux image needs it, e.g. jax with CUDA on a GPU."""
    key = str(canonicalize_name(name))
    there = _ELSEWHERE.get(key, key)
    if there is None:
        return None
    if gpu and there in _ON_GPU:
        there = _ON_GPU[there]
    return source if there == key else there + source[len(name) :]


def _imports_below(root: str, place: Path, imported: Container[str]) -> set[str]:
    """Return what a local module or package imports."""
    if not place.exists():
        raise CellError(
            f"The cell needs the local module {root!r}, but {_told(place)} is not there. "
            "Put it back, or import what takes its place. Nothing was created."
        )
    package = place.is_dir()
    files = sorted(place.rglob("*.py"))[:MAX_FILES] if package else [place]
    found: set[str] = set()
    for file in files:
        if file.suffix != ".py":
            continue
        try:
            found |= _imports_in(file, file.stat().st_mtime_ns)
        except (SyntaxError, ValueError, OSError) as error:
            module = _module_of(file, place, root) if package else root
            # A package may hold templates, or code for another Python, which nobody imports.
            if module == root or module in sys.modules or module in imported:
                raise _unreadable(module, file, error) from None
    return found


def _module_of(file: Path, package: Path, root: str) -> str:
    parts = file.relative_to(package).with_suffix("").parts
    return ".".join((root, *(parts[:-1] if parts[-1] == "__init__" else parts)))


def _unreadable(module: str, file: Path, error: SyntaxError | ValueError | OSError) -> CellError:
    line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
    reason = (error.msg if isinstance(error, SyntaxError) else getattr(error, "strerror", None)) or str(error)
    return CellError(
        f"The cell needs the local module {module!r}, which cannot be read: {_told(file)}{line}: {reason}. "
        "Correct the file and run the cell again. Nothing was created."
    )


def _told(file: Path) -> str:
    """Return a path as the user knows it: below the notebook's directory without what leads there."""
    here = Path.cwd()
    return str(file.relative_to(here) if file.is_relative_to(here) else file)


@lru_cache(maxsize=1024)
def _imports_in(file: Path, _changed: int) -> frozenset[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            found.update(entry.module for entry in imports_of(node) if not entry.module.startswith("."))
    return frozenset(found)
