"""The build context of an image: what its COPY instructions find, and where they put it."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

from zenml_modal_nb.emulator.places import Place
from zenml_modal_nb.emulator.state.builds import Build, BuildError, Layer
from zenml_modal_nb.emulator.state.mounts import Mounts
from zenml_modal_nb.emulator.state.recipes import instructions


def own_root(build: Build) -> Place:
    """The layer's own files, begun with those of its base."""
    root = build.directory / "root"
    if not root.is_dir():
        if build.base.root is None:
            root.mkdir(parents=True)
        else:
            # A command may write to a file in place, which must not change the layer below.
            runs = any(name == "RUN" for name, _ in instructions(build.layer.commands))
            copy_root(build.base.root, root, shutil.copy2 if runs else os.link)
    return Place(root)


def copy_root(source: Path, target: Path, copy: Callable[[str, str], object] = shutil.copy2) -> None:
    """Copy an image's files, each by `copy(source, target)`; links into `source` then lead into `target`."""
    shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True, copy_function=copy)
    for folder, directories, files in os.walk(target):
        for path in (Path(folder, name) for name in (*directories, *files)):
            if path.is_symlink() and (led := Path(os.readlink(path))).is_relative_to(source):
                path.unlink()
                path.symlink_to(target / led.relative_to(source))


def copied(build: Build, rest: str, mounts: Mounts) -> str | None:
    """Carry out `COPY rest`; returns a word for the log where the files come from elsewhere and stay there.

    Raises BuildError when the context has no such file.
    """
    words = _words(rest)
    flags = [word for word in words if word.startswith("--")]
    *sources, target = [word for word in words if not word.startswith("--")] or [""]
    if any(flag.startswith("--from=") for flag in flags) or sources == ["/python/."]:
        return "Not copied: it is this machine's own."
    context = build.directory / "context"
    if not context.is_dir():
        _lay_out(build.layer, mounts, Place(context))
    place = own_root(build)
    directory = build.after.workdir if not target.startswith("/") else ""
    destination = f"{directory}/{target}"
    existing = place.within(destination).is_dir()
    for source in sources:
        found = _found(Place(context), source)
        if not found:
            raise BuildError(f"COPY {rest}: the build context has no {source!r}.")
        into = target.endswith(("/", ".")) or existing or len(sources) + len(found) > 2
        for path in found:
            _bring(path, place, f"{destination}/{path.name}" if into and path.is_file() else destination)
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


def _bring(source: Path, place: Place, destination: str) -> None:
    """Copy a file, or what is in a directory, to a path of the image, whose links cannot lead out of it."""
    if source.is_file():
        shutil.copy2(source, place.vacant(destination))
        return
    place.within(destination).mkdir(parents=True, exist_ok=True)
    for path in sorted(source.iterdir()):
        _bring(path, place, f"{destination}/{path.name}")


def _words(rest: str) -> list[str]:
    """The words of a COPY instruction, in either form; raises BuildError."""
    try:
        listed = json.loads(rest) if rest.startswith("[") else None
        return [str(word) for word in listed] if isinstance(listed, list) else shlex.split(rest)
    except ValueError as error:
        raise BuildError(f"COPY or ADD {rest}: {error}") from error
