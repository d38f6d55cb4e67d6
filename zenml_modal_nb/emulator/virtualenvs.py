"""Virtual environments of images, made with uv, and the thin ones of sandboxes on top of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from zenml_modal_nb.emulator.state.builds import BuildError

_THIN = "_image.pth"  # makes a sandbox see its image's packages, .pth files among them included


def find_uv() -> str | None:
    """The executable of uv, from PATH or from the package of that name; None if there is none."""
    found = shutil.which("uv")
    beside = Path(sys.executable).with_name("uv")
    return found or (str(beside) if beside.is_file() else None)


def create(uv: str, python: str, target: Path, variables: Mapping[str, str]) -> None:
    """Make an empty environment of `python`, a version or an executable; raises BuildError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # Relocatable: its scripts find their Python beside them, also in a layer or a sandbox they are copied to.
    command = [uv, "venv", "--quiet", "--relocatable", "--no-project", "--python", python, str(target)]
    done = subprocess.run(command, env=dict(variables), capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"Python {python} is not to be had: {done.stderr.strip()}")


def clone(source: Path, target: Path) -> None:
    """Copy an environment for the next layer; packages are hard links, as in uv's own cache."""
    shutil.copytree(source, target, symlinks=True, copy_function=os.link)
    for script in (target / "bin").iterdir():
        _adopt(script, script, source, target)


def overlay(image: Path, target: Path) -> Path:
    """Make a sandbox's own environment in `target`, which sees the image's packages; returns its `bin`.

    What the sandbox installs stays its own, as in a container.
    """
    packages = next((image / "lib").glob("python*/site-packages"))
    own = target / packages.relative_to(image)
    own.mkdir(parents=True, exist_ok=True)
    (own / _THIN).write_text(f"import site; site.addsitedir({str(packages)!r})\n", encoding="utf-8")
    shutil.copyfile(image / "pyvenv.cfg", target / "pyvenv.cfg")
    (target / "bin").mkdir(exist_ok=True)
    for script in (image / "bin").iterdir():
        _adopt(script, target / "bin" / script.name, image, target)
    for entry in image.iterdir():
        # e.g. share and etc, which some packages look for below sys.prefix
        if not os.path.lexists(target / entry.name) and entry.name != "lib64":
            (target / entry.name).symlink_to(entry)
    return target / "bin"


def _adopt(script: Path, copy: Path, source: Path, target: Path) -> None:
    """Bring a program from one environment's `bin` to another's, where it finds the other's Python."""
    if script.is_symlink():
        if copy != script:
            copy.unlink(missing_ok=True)
            copy.symlink_to(os.readlink(script))
        return
    with script.open("rb") as file:
        is_text = file.read(2) == b"#!"
        content = file.read() if is_text else b""
    if is_text:
        replaced = b"#!" + content.replace(os.fsencode(source), os.fsencode(target))
        mode = script.stat().st_mode
        copy.unlink(missing_ok=True)  # it may be the other layer's file under another name
        copy.write_bytes(replaced)
        copy.chmod(mode)
    elif copy != script:
        copy.unlink(missing_ok=True)
        copy.symlink_to(script)
