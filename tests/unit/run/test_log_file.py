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


def test_what_was_written_is_read_back_as_it_was_and_nothing_is_taken_after_the_end(tmp_path: Path) -> None:
    log = LogFile("run", tmp_path)
    assert log.write("a\r\nb\rc\u2028\n")
    log.close()
    assert not log.write("late")
    assert log.read() == "a\r\nb\rc\u2028\n"


def test_a_log_without_a_file_takes_nothing_and_has_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    log = LogFile("run", tmp_path / "file")
    assert log.path is None
    assert not log.write("text")
    assert log.read() == ""
