"""The same journeys with every SDK of Modal's that may be pointed here: old, present, and JavaScript.

The environments of other SDKs are made once with uv or npm and kept in the user's cache directory.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import journeys
import platformdirs
import pytest
from filelock import FileLock
from journeys import JOURNEYS, Journey, Session, open_session
from local_api import TOKEN, Local

PROGRAM = Path(journeys.__file__)
OLD_SDKS = (
    "1.4.0",
    "1.5.4",
)  # the oldest that ZenML allows, and the last before V2 sandboxes were the default
# Of the npm package `modal`, whose higher numbers (1.x) are an older, unrelated package of the same name.
JAVASCRIPT_SDK = "0.11.1"
REQUIRED = "ZENML_MODAL_NB_TESTS_REQUIRED"  # set where a test that cannot run is a failure
CACHE = platformdirs.user_cache_path("zenml-modal-nb-tests", appauthor=False)


@pytest.fixture(scope="module")
def session(local: Local) -> Session:
    return open_session(local.server.url, local.client)


@pytest.mark.parametrize("journey", JOURNEYS, ids=lambda journey: journey.__name__)
def test_the_newest_sdk_makes_the_journey(session: Session, journey: Journey) -> None:
    journey(session)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("version", OLD_SDKS)
def test_an_older_sdk_makes_every_journey(local: Local, version: str) -> None:
    python = _environment(f"modal-{version}-py{sys.version_info.minor}", _with_python_sdk(version))
    command = [str(python / "bin" / "python"), str(PROGRAM), local.server.url, *TOKEN]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert _made(done) == {journey.__name__: "" for journey in JOURNEYS}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_modals_javascript_sdk_makes_every_journey(local: Local) -> None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        absent = "Modal's JavaScript SDK needs node and npm, which are not installed"
        if os.environ.get(REQUIRED):
            pytest.fail(f"{absent}: {REQUIRED} says that nothing may be left out")
        pytest.skip(absent)
    directory = _environment(f"modal-js-{JAVASCRIPT_SDK}", _with_javascript_sdk(npm))
    shutil.copy(PROGRAM.with_suffix(".mjs"), directory / "journeys.mjs")
    variables = {
        "MODAL_SERVER_URL": local.server.url,
        "MODAL_TOKEN_ID": TOKEN[0],
        "MODAL_TOKEN_SECRET": TOKEN[1],
        "MODAL_ENVIRONMENT": "local",
        "JOURNEYS_IMAGE": f"python:3.{sys.version_info.minor}-slim",
    }
    done = subprocess.run(
        [node, "journeys.mjs"],
        cwd=directory,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    made = _made(done)
    assert len(made) == 13
    assert made == dict.fromkeys(made, "")


def _made(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """What failed on each journey; the SDK's own remarks, which go to either stream, are left out."""
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {item["journey"]: item["failure"] for item in told}


def _environment(name: str, install: Callable[[Path], None]) -> Path:
    """The directory of this name, filled by `install` if it is not there yet."""
    CACHE.mkdir(parents=True, exist_ok=True)
    target = CACHE / name
    with FileLock(f"{target}.lock"):
        if not (target / "complete").exists():
            shutil.rmtree(target, ignore_errors=True)
            install(target)
            (target / "complete").touch()
    return target


def _with_python_sdk(version: str) -> Callable[[Path], None]:
    def install(target: Path) -> None:
        uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(target)], check=True)
        python = str(target / "bin" / "python")
        subprocess.run([uv, "pip", "install", "--quiet", "--python", python, f"modal=={version}"], check=True)

    return install


def _with_javascript_sdk(npm: str) -> Callable[[Path], None]:
    def install(target: Path) -> None:
        target.mkdir()
        (target / "package.json").write_text('{"private": true, "type": "module"}', encoding="utf-8")
        package = f"modal@{JAVASCRIPT_SDK}"
        subprocess.run([npm, "install", "--silent", "--ignore-scripts", package], cwd=target, check=True)
        facts = json.loads((target / "node_modules" / "modal" / "package.json").read_text(encoding="utf-8"))
        assert "modal-labs" in facts["repository"]["url"], "this is another package of that name"

    return install
