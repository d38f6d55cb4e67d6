"""Advice on what is here and was not sent, and only on that."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from zenml_modal_nb.events import File
from zenml_modal_nb.run.advice import advice


@pytest.fixture
def job(tmp_path: Path) -> Any:
    """The facts of a job that advice looks at."""
    here = tmp_path / "notebook"
    for name in ("data.csv", "folder/x", "sent/y", "odd'name", "--dashes", "bad\nname"):
        path = here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    (tmp_path / "beside.csv").write_text("")
    return SimpleNamespace(
        directory=here,
        sent=(File("sent/y", 0),),
        volumes=(("kept", "/data"),),
        environment={"PLAIN": "1"},
        ephemeral={"SECRET": "2"},
    )


def on(job: Any, **missing: str) -> str | None:
    environment = {"KEY": "", "PLAIN": "1", "SECRET": "2", "odd key": "3"}
    return advice({"ename": "E", "evalue": "", "frames": [], "missing": missing}, job, environment)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("data.csv", "`data.csv` exists here but was not sent: add --file data.csv"),
        ("folder", "`folder` exists here but was not sent: add --file folder"),
        ("folder/x", "`folder/x` exists here but was not sent: add --file folder/x"),
        (
            "folder/new",
            "folder `folder` exists here but was not sent: add --file folder, or create it in the cell",
        ),
        ("odd'name", "`odd'name` exists here but was not sent: add --file 'odd'\"'\"'name'"),
        ("--dashes", "`--dashes` exists here but was not sent: add --file=--dashes"),
        (
            "../beside.csv",
            "`../beside.csv` exists here but was not sent: add --file ../beside.csv, "
            "and call it 'beside.csv' in the cell",
        ),
    ],
)
def test_a_file_that_is_here_is_advised(job: Any, path: str, told: str) -> None:
    assert on(job, file=path) == told


@pytest.mark.parametrize(
    "path",
    [
        "nowhere.csv",
        "nowhere/x",
        "sent/y",
        "sent",
        "sent/new",
        "bad\nname",
        ".",
        "..",
        "../..",
        "../nowhere.csv",
        "../../nowhere.csv",
        "/",
        "/etc/hosts",
        "/data/x",
    ],
)
def test_what_is_not_here_or_was_sent_or_is_the_systems_is_not(job: Any, path: str) -> None:
    assert on(job, file=path) is None


def test_a_path_from_elsewhere_is_advised_with_its_name_there(job: Any) -> None:
    path = str(job.directory.parent / "beside.csv")
    assert on(job, file=path) == (
        f"`{path}` exists here but was not sent: add --file {path}, and call it 'beside.csv' in the cell"
    )


def test_a_variable_that_is_set_here_is_advised(job: Any) -> None:
    assert on(job, variable="KEY") == "`KEY` is set here but was not sent: add --env KEY"
    for name in ("PLAIN", "SECRET", "UNKNOWN", "odd key"):
        assert on(job, variable=name) is None


def test_an_error_raised_from_it_is_advised_too_one_that_came_while_it_was_handled_is_not(job: Any) -> None:
    missing = {"ename": "E", "evalue": "", "frames": [], "missing": {"file": "data.csv"}}
    outer = {"ename": "E", "evalue": "", "frames": []}
    assert advice({**outer, "cause": [missing]}, job) is not None
    assert advice({**outer, "context": [missing]}, job) is None
    assert advice(outer, job) is None
