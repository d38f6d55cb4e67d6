"""Warming up zenml changes nothing that the user can notice."""

from __future__ import annotations

from pathlib import Path

import pytest
from fresh import run_fresh

BEFORE = """
import logging, sys, warnings
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
"""
AFTER = """
hook, show, custom = sys.excepthook, shell.showtraceback, vars(shell).get("_showtraceback")
root = logging.getLogger()
showwarning = warnings.showwarning
level = root.level
environment = dict(__import__("os").environ)
from zenml_modal_nb.pipelines import warmup
warmup.begin()
warmup.wait()
assert "zenml" in sys.modules
assert sys.excepthook is hook, "excepthook"
assert shell.showtraceback == show and vars(shell).get("_showtraceback") is custom
assert warnings.showwarning is showwarning
assert root.level == level, root.level
now = dict(__import__("os").environ)
assert now == environment, set(now.items()) ^ set(environment.items())
print(">begin")
sys.stdout.flush()
other = logging.getLogger("another.library")
other.debug("debug of another")
other.info("info of another")
other.warning("warning of another")
logging.getLogger("zenml.something").info("info of zenml")
warmup.hush()
logging.getLogger("zenml.something").warning("silenced warning of zenml")
logging.shutdown()
"""


def seen(setting: str, home: Path) -> list[str]:
    """What the user sees, of the log on both streams, after the warm-up; the warm-up itself prints nothing."""
    done = run_fresh(BEFORE + setting + AFTER, home)
    printed, _, text = done.stdout.partition(">begin")
    assert printed == ""
    return [
        line.strip()
        for line in (text + done.stderr).splitlines()
        if "of another" in line or "of zenml" in line
    ]


def test_a_library_warns_once_and_says_no_more_than_before(tmp_path: Path) -> None:
    lines = seen("", tmp_path)
    assert [line for line in lines if "another" in line and "warning" in line] != []
    assert len([line for line in lines if "warning of another" in line]) == 1
    assert not any("info of another" in line or "debug of another" in line for line in lines)
    assert len([line for line in lines if "info of zenml" in line]) == 1
    assert not any("silenced" in line for line in lines)


@pytest.mark.parametrize("level", ["INFO", pytest.param("DEBUG", marks=pytest.mark.slow)])
def test_a_users_own_logging_stays_as_it_was(tmp_path: Path, level: str) -> None:
    lines = seen(f"logging.basicConfig(level=logging.{level}, format='USER %(message)s')", tmp_path)
    assert lines.count("USER warning of another") == 1
    assert lines.count("USER info of another") == 1
    assert lines.count("USER debug of another") == (level == "DEBUG")
    assert len([line for line in lines if "of another" in line]) == (3 if level == "DEBUG" else 2)


def test_a_failing_warm_up_is_raised_where_it_is_waited_for_and_tried_again(tmp_path: Path) -> None:
    program = """
import sys
sys.modules["zenml"] = None  # an import fails, as in a broken installation
from zenml_modal_nb.pipelines import warmup
warmup.begin()
for _ in range(2):
    try:
        warmup.wait()
    except ImportError as error:
        print("raised", error.name)
del sys.modules["zenml"]
warmup.wait()
print("warm")
"""
    assert run_fresh(program, tmp_path).stdout.split() == ["raised", "zenml", "raised", "zenml", "warm"]
