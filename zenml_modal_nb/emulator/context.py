"""The build context of an image: what its COPY instructions find, and where they put it."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

from zenml_modal_nb.emulator.places import Place
from zenml_modal_nb.emulator.state.builds import Build, BuildError, Layer
from zenml_modal_nb.emulator.state.mounts import Mounts


def own_root(build: Build, copy: Callable[[str, str], object]) -> Place:
    """The layer's own files, begun with those of its base, each brought by `copy(source, target)`."""
    root = build.directory / "root"
    if not root.is_dir():
        if build.base.root is None:
            root.mkdir(parents=True)
        else:
            shutil.copytree(build.base.root, root, symlinks=True, copy_function=copy)
    return Place(root)


def copied(build: Build, rest: str, mounts: Mounts) -> str | None:
    """Carry out `COPY rest`; returns a word for the log where the files come from elsewhere and stay there.

    Raises BuildError when the context has no such file.
    """
    words = shlex.split(rest)
    flags = [word for word in words if word.startswith("--")]
    *sources, target = [word for word in words if not word.startswith("--")] or [""]
    if any(flag.startswith("--from=") for flag in flags) or sources == ["/python/."]:
        return "Not copied: it is this machine's own."
    context = build.directory / "context"
    if not context.is_dir():
        _lay_out(build.layer, mounts, Place(context))
    place = own_root(build, os.link)
    directory = build.after.workdir if not target.startswith("/") else ""
    destination = place.inside(f"{directory}/{target}")
    for source in sources:
        found = _found(Place(context), source)
        if not found:
            raise BuildError(f"COPY {rest}: the build context has no {source!r}.")
        into = target.endswith(("/", ".")) or destination.is_dir() or len(sources) + len(found) > 2
        for path in found:
            _bring(path, destination, into)
    return None


def finish(build: Build) -> None:
    """Remove what only the build needs."""
    shutil.rmtree(build.directory / "context", ignore_errors=True)


def _lay_out(layer: Layer, mounts: Mounts, context: Place) -> None:
    context.root.mkdir(parents=True)
    if layer.mount:
        mounts.place([layer.mount], context)
    for name, data in layer.files.items():
        path = context.inside(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _found(context: Place, source: str) -> list[Path]:
    plain = context.inside(source)
    if plain.exists():
        return [plain]
    return sorted(path for path in context.root.glob(source.lstrip("/")) if ".." not in path.parts)


def _bring(source: Path, destination: Path, into: bool) -> None:
    if source.is_dir():
        shutil.copytree(source, destination, dirs_exist_ok=True, copy_function=_replace)
        return
    target = destination / source.name if into else destination
    target.parent.mkdir(parents=True, exist_ok=True)
    _replace(source, target)


def _replace(source: str | Path, target: str | Path) -> None:
    # Never written in place: a file of the base layer may be the same file under another name.
    Path(target).unlink(missing_ok=True)
    shutil.copy2(source, target)
