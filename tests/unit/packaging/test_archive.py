"""The runner's zip: the same for the same sources, and importable where nothing is installed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from zenml_modal_nb.errors import PackagingError
from zenml_modal_nb.packaging.archive import runner_archive
from zenml_modal_nb.packaging.local_modules import modules_archive


def python(*arguments: str, **environment: str) -> str:
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **environment}, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_zip_is_the_same_in_every_process() -> None:
    program = (
        "import hashlib; from zenml_modal_nb.packaging.archive import runner_archive; "
        "print(hashlib.sha256(runner_archive()).hexdigest())"
    )
    expected = hashlib.sha256(runner_archive()).hexdigest()
    assert {python("-c", program, PYTHONHASHSEED=seed) for seed in "12"} == {expected}


def test_the_zip_is_imported_where_nothing_is_installed(tmp_path: Path) -> None:
    path = tmp_path / "runner.zip"
    path.write_bytes(runner_archive())
    program = f"""
import sys
sys.path.insert(0, {str(path)!r})
from zenml_modal_nb.runner import program
import cloudpickle
print(program.__file__, cloudpickle.__file__)
for name in list(sys.modules):
    assert not name.startswith(("zenml.", "modal", "IPython", "numpy")), name
"""
    assert python("-I", "-S", "-c", program).split() == [
        f"{path}/zenml_modal_nb/runner/program.pyc",
        f"{path}/cloudpickle/__init__.pyc",
    ]


def test_an_interpreter_of_another_version_reads_the_sources(tmp_path: Path) -> None:
    path = tmp_path / "runner.zip"
    with zipfile.ZipFile(BytesIO(runner_archive())) as given, zipfile.ZipFile(path, "w") as other:
        for name in given.namelist():
            content = given.read(name)
            other.writestr(name, b"\0\0\0\0" + content[4:] if name.endswith(".pyc") else content)
    program = (
        f"import sys; sys.path.insert(0, {str(path)!r}); "
        "from zenml_modal_nb.runner import program; print(program.__file__)"
    )
    assert python("-I", "-S", "-c", program) == f"{path}/zenml_modal_nb/runner/program.py"


def test_an_installed_package_of_ours_keeps_its_other_rooms(tmp_path: Path) -> None:
    path = tmp_path / "runner.zip"
    path.write_bytes(runner_archive())
    program = (
        f"import sys; sys.path.insert(0, {str(path)!r}); import zenml_modal_nb.request as r, "
        "zenml_modal_nb.runner.frames as f; print(r.__file__.endswith('.zip'), '.zip' in f.__file__)"
    )
    assert python("-c", program) == "False True"


def test_a_local_module_travels_as_its_file_and_a_package_with_its_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lone_module_zmnb.py").write_text("A = 1")
    package = tmp_path / "package_zmnb"
    (package / "__pycache__").mkdir(parents=True)
    for name in ("__init__.py", "part.py", "table.csv", "__pycache__/part.pyc"):
        (package / name).write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    data = modules_archive(["package_zmnb", "lone_module_zmnb"])
    assert data is not None
    assert zipfile.ZipFile(BytesIO(data)).namelist() == [
        "lone_module_zmnb.py",
        "package_zmnb/__init__.py",
        "package_zmnb/part.py",
        "package_zmnb/table.csv",
    ]
    assert modules_archive(["lone_module_zmnb", "package_zmnb"]) == data


def test_without_local_modules_there_is_no_archive() -> None:
    assert modules_archive([]) is None


def test_a_module_that_is_nowhere_is_named() -> None:
    with pytest.raises(PackagingError, match=r"'no_such_module_zmnb'.*--pip"):
        modules_archive(["no_such_module_zmnb"])
