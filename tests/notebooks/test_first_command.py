"""The README's first command, as a newcomer has it: a fresh clone, an empty home, no environment of ours."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
# What an environment of ours, or one that runs tests, may have set.
OURS = ("ZENML", "MODAL", "XDG_", "IPYTHON", "JUPYTER", "JPY_", "PYTEST", "PYTHON", "VIRTUAL_ENV", "UV_CACHE")


def first_command() -> str:
    """The command below "Try it"."""
    readme = (CHECKOUT / "README.md").read_text("utf-8")
    found = re.search(r"^## Try it$.*?^```sh\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def test_the_first_command_is_one_line_that_ends_with_the_demo() -> None:
    (line,) = first_command().splitlines()
    assert line.endswith("zenml-modal-nb demo")


@pytest.mark.slow  # it installs everything; the demo's own parts are proved fast in test_demo
def test_the_first_command_runs_in_a_fresh_clone_with_an_empty_home(tmp_path: Path) -> None:
    clone, home, programs = tmp_path / "clone", tmp_path / "home", tmp_path / "bin"
    subprocess.run(["git", "clone", "-q", str(CHECKOUT), str(clone)], check=True)
    home.mkdir()
    programs.mkdir()
    (programs / "python3").symlink_to(Path(sys.base_prefix) / "bin" / "python3")
    ours = str(Path(sys.prefix) / "bin")
    path = [str(programs), *(each for each in os.environ["PATH"].split(os.pathsep) if each != ours)]
    theirs = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    environment = {**theirs, "HOME": str(home), "PATH": os.pathsep.join(path)}
    try:
        done = subprocess.run(
            ["sh", "-c", first_command()],
            cwd=clone,
            env=environment,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
    finally:
        command = clone / ".venv" / "bin" / "zenml-modal-nb"
        if command.exists():
            subprocess.run([command, "emulator", "stop"], cwd=clone, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    written = clone / "zenml-modal-nb-demo"
    assert (written / "quickstart.ipynb").stat().st_size
    assert "done in" in (written / "quickstart.html").read_text("utf-8")
