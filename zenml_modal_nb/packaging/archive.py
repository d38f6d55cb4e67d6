"""The runner as one file: a zip of the `runner` package and cloudpickle's source, importable from `sys.path`.

Nothing of ours is in an image, so editing the runner never rebuilds one.
"""

from __future__ import annotations

import io
import marshal
import zipfile
from collections.abc import Iterator
from functools import cache
from importlib.util import MAGIC_NUMBER, source_hash
from pathlib import Path

_UNCHECKED = (1).to_bytes(4, "little")  # PEP 552: by hash, which nobody has to check
_EPOCH = (2026, 1, 1, 0, 0, 0)  # fixed, so that equal sources give equal bytes

# An image may hold an installed zenml_modal_nb (connected runs): its other rooms stay reachable.
_PACKAGE = "from pkgutil import extend_path\n\n__path__ = extend_path(__path__, __name__)\n"


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
            yield inside + "c", _compiled(path, inside)


def _compiled(path: Path, name: str) -> bytes:
    """Bytecode for the sandbox's Python, which is the notebook's: a zip's sources are compiled at every import.

    Another interpreter's import system takes it for what it is and compiles the source.
    """
    source = path.read_bytes()
    code = compile(source, name, "exec", dont_inherit=True)
    # Format 2 has no references between objects: with them, the bytes tell what else the process has loaded.
    return MAGIC_NUMBER + _UNCHECKED + source_hash(source) + marshal.dumps(code, 2)
