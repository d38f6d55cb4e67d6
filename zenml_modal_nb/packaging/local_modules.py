"""Modules that exist on this machine only, e.g. `features.py` beside the notebook: shipped as their files.

The sandbox gets them by the import path they have here, so that classes keep their identity on the way back.
"""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

from zenml_modal_nb.errors import PackagingError

LIMIT = 64 << 20  # bytes of one module's files; beside code, a package directory may hold data by accident
_EPOCH = (2026, 1, 1, 0, 0, 0)  # fixed, so that equal files give equal bytes
_LEFT_OUT = frozenset({"__pycache__", ".git", ".ipynb_checkpoints", ".mypy_cache", ".venv", "node_modules"})


def modules_archive(names: Iterable[str]) -> bytes | None:
    """Return a zip of the modules' present files, None without modules.

    Raises:
        PackagingError: a module has no files here, or too many.
    """
    wanted = sorted(names)
    if not wanted:
        return None
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in wanted:
            size = 0
            for inside, path in _files(name):
                size += path.stat().st_size
                if size > LIMIT:
                    raise PackagingError(
                        f"The local module {name!r} has more than {LIMIT >> 20} MiB of files beside its code. "
                        "Keep data elsewhere. Nothing was created."
                    )
                archive.writestr(zipfile.ZipInfo(inside, _EPOCH), path.read_bytes(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _files(name: str) -> Iterator[tuple[str, Path]]:
    root = _location(name)
    if root.is_file():
        yield root.name, root
        return
    for path in sorted(root.rglob("*")):
        below = path.relative_to(root)
        if path.is_file() and not _LEFT_OUT.intersection(below.parts):
            yield f"{name}/{below.as_posix()}", path


def _location(name: str) -> Path:
    """The module's file, or its directory if it is a package."""
    module = sys.modules.get(name)
    spec = getattr(module, "__spec__", None) or find_spec(name)
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    if places:
        return Path(places[0])
    origin = getattr(spec, "origin", None)
    if origin is None or not Path(origin).is_file():
        raise PackagingError(
            f"The cell needs the module {name!r}, which is neither installed here nor a file. "
            "Name its package with --pip. Nothing was created."
        )
    return Path(origin)
