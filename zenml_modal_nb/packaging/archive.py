"""The runner as one file: a zip of the `runner` package and cloudpickle's source, importable from `sys.path`.

Nothing of ours is in an image, so editing the runner never rebuilds one. It also holds those modules of the notebook's
own IPython that programs use to show things; the runner puts them behind whatever the image has installed.
"""

from __future__ import annotations

import ast
import importlib
import io
import marshal
import zipfile
from collections.abc import Iterator
from functools import cache
from importlib.util import MAGIC_NUMBER, source_hash
from pathlib import Path

_UNCHECKED = (1).to_bytes(4, "little")  # PEP 552: by hash, which nobody has to check
_EPOCH = (2026, 1, 1, 0, 0, 0)  # fixed, so that equal sources give equal bytes

STAND_IN = "stand_in"  # the folder of IPython's modules; `runner.stand_in` puts it on the path
# With what they import: the classes of IPython.display, the lists of `x = !command`, `%%capture`'s result, and the
# text form of what is displayed.
_IPYTHONS = ("IPython.display", "IPython.utils.text", "IPython.utils.capture", "IPython.lib.pretty")
# IPython's own `__init__` imports all of IPython; no shell is here until the runner says so.
_IPYTHON = """from IPython.core.getipython import get_ipython
from IPython.core.display_functions import display
__version__, version_info = {0!r}, {1!r}
"""

# An image may hold an installed zenml_modal_nb (connected runs): its other rooms stay reachable. As pkgutil's
# extend_path does, whose import alone takes several milliseconds.
_PACKAGE = """import os
import sys

_places = [os.path.join(each, __name__) for each in sys.path if isinstance(each, str)]
__path__ += [each for each in _places if each not in __path__ and os.path.isdir(each)]
"""


@cache
def runner_archive() -> bytes:
    """Return the zip's bytes; the same bytes for the same sources."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in sorted(_members()):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), text, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _members() -> Iterator[tuple[str, bytes]]:
    import cloudpickle

    from zenml_modal_nb import runner

    yield "zenml_modal_nb/__init__.py", _PACKAGE.encode()
    for package in (runner, cloudpickle):
        root = Path(str(package.__file__)).parent
        for path in root.rglob("*.py"):
            inside = "/".join([*package.__name__.split("."), *path.relative_to(root).parts])
            yield inside, path.read_bytes()
            yield inside + "c", _compiled(path.read_bytes(), inside)
    yield from _ipythons()


def _ipythons() -> Iterator[tuple[str, bytes]]:
    import IPython

    packages = {"IPython": _IPYTHON.format(IPython.__version__, IPython.version_info).encode()}
    modules = {"IPython.core.getipython": b"def get_ipython():\n    return None\n"}
    todo = list(_IPYTHONS)
    while todo:
        name = todo.pop()
        if name not in modules:
            modules[name] = Path(str(importlib.import_module(name).__file__)).read_bytes()
            todo += _imported(ast.parse(modules[name]), name.rpartition(".")[0])
        packages.setdefault(name.rpartition(".")[0], b"")
    files = {f"{name.replace('.', '/')}/__init__.py": text for name, text in packages.items()}
    files |= {f"{name.replace('.', '/')}.py": text for name, text in modules.items()}
    for name, text in files.items():
        yield f"{STAND_IN}/{name}", text
        yield f"{STAND_IN}/{name}c", _compiled(text, name)


def _imported(tree: ast.Module, package: str) -> Iterator[str]:
    """The modules of IPython that are imported when this one is, not later inside a function."""
    for node in tree.body:
        if not isinstance(node, ast.ImportFrom):
            continue
        module = ".".join(filter(None, [package if node.level else "", node.module]))
        if module == package and node.level:  # e.g. `from . import display_functions`
            yield from (f"{package}.{alias.name}" for alias in node.names)
        elif module.startswith("IPython."):
            yield module


def _compiled(source: bytes, name: str) -> bytes:
    """Bytecode for the sandbox's Python, which is the notebook's: a zip's sources are compiled at every import.

    Another interpreter's import system takes it for what it is and compiles the source.
    """
    code = compile(source, name, "exec", dont_inherit=True)
    # Format 2 has no references between objects: with them, the bytes tell what else the process has loaded.
    return MAGIC_NUMBER + _UNCHECKED + source_hash(source) + marshal.dumps(code, 2)
