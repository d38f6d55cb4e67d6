"""The log of a run on the disk, in a folder that several kernels write and prune."""

from __future__ import annotations

import os
from pathlib import Path

from zenml_modal_nb.run.log_file import KEPT, LogFile


def write(folder: Path, run: str) -> LogFile:
    log = LogFile(run, folder)
    log.write("all of it\n")
    log.close()
    return log


def test_the_newest_logs_are_kept(tmp_path: Path) -> None:
    for number in range(KEPT + 1):
        path = write(tmp_path, f"run{number}").path
        assert path is not None
        os.utime(path, (number, number))
    write(tmp_path, "last")
    kept = {path.stem for path in tmp_path.iterdir()}
    assert kept == {"last", *(f"run{number}" for number in range(2, KEPT + 1))}


def test_a_log_that_another_kernel_has_just_removed_costs_the_new_one_nothing(tmp_path: Path) -> None:
    (tmp_path / "removed.log").symlink_to("gone")  # listed, and not there when it is looked at
    log = write(tmp_path, "new")
    assert log.path is not None
    assert log.path.read_text() == "all of it\n"
