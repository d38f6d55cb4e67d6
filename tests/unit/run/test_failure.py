"""The exception that a failing cell shows."""

from __future__ import annotations

import dataclasses
import linecache
from typing import Any

import pytest

from zenml_modal_nb.run.failure import Tracebacks
from zenml_modal_nb.run.preparation import Cell

BODY = "x = 1\n1 / 0\n"
LINES = ("%%modal_step", *BODY.splitlines())


def tracebacks() -> Tracebacks:
    cell = Cell(BODY, "Cell In[5]", "<cell 5>", "notebook")
    names = {"<cell 5>": "Cell In[5]", "<cell 2>": "Cell In[2]"}
    return Tracebacks(cell, LINES, names.get)


def frame(file: str, line: int, text: str = "", name: str = "<module>") -> dict[str, Any]:
    return {"file": file, "line": line, "name": name, "text": text}


def report(**more: Any) -> dict[str, Any]:
    frames = [frame("<cell 5>", 3, "1 / 0")]
    return {
        "ename": "ZeroDivisionError",
        "evalue": "division by zero",
        "frames": frames,
        "pickled": None,
        **more,
    }


def shown(error: BaseException) -> str:
    return "\n".join(error._render_traceback_())  # type: ignore[attr-defined]  # what IPython asks for


def test_the_exception_is_kept_and_shows_the_cells_own_line() -> None:
    error = ZeroDivisionError("division by zero")
    assert tracebacks().of_cell(error, report()) is error
    text = shown(error)
    assert "Cell In[5]" in text
    assert "1 / 0" in text
    assert "ZeroDivisionError" in text


def test_lines_of_other_cells_are_read_here() -> None:
    source = "def helper():\n    return nothing\n"
    linecache.cache["<cell 2>"] = (len(source), None, source.splitlines(keepends=True), "<cell 2>")
    frames = [frame("<cell 5>", 3, "helper()"), frame("<cell 2>", 2, name="helper")]
    text = shown(tracebacks().of_cell(NameError("x"), report(frames=frames)))
    assert "Cell In[2]" in text
    assert "return nothing" in text


def test_advice_is_the_last_line_and_cannot_hide_anything() -> None:
    advice = "`a\x1b[2J` exists here but was not sent"
    text = shown(tracebacks().of_cell(ZeroDivisionError(), report(), advice))
    assert text.splitlines()[-2:] == ["", "`a` exists here but was not sent"]


@pytest.mark.parametrize("link", ["cause", "context"])
def test_an_earlier_error_is_shown_too(link: str) -> None:
    earlier = {"ename": "KeyError", "evalue": "'k'", "frames": [frame("<cell 5>", 2, "x = 1")]}
    text = shown(tracebacks().of_cell(ZeroDivisionError(), report(**{link: [earlier]})))
    assert text.index("KeyError") < text.index("ZeroDivisionError")


@dataclasses.dataclass(frozen=True)
class FrozenError(Exception):
    code: int


class OwnRenderingError(Exception):
    def _render_traceback_(self) -> list[str]:
        return ["its own words, which would hide the cell's line"]


class SlottedError(Exception):
    __slots__ = ("code",)


@pytest.mark.parametrize("error", [FrozenError(3), OwnRenderingError(), SlottedError(), StopIteration(1)])
def test_any_exception_can_be_given_the_remote_traceback(error: Exception) -> None:
    assert "1 / 0" in shown(tracebacks().of_cell(error, report()))


def test_a_stopped_cell_says_so_in_one_line() -> None:
    assert shown(tracebacks().stopped()) == (
        "KeyboardInterrupt: the run was stopped and its sandbox is terminated"
    )


def test_a_stop_that_is_not_confirmed_says_which_sandbox_is_left_and_what_to_do() -> None:
    text = shown(tracebacks().stopped(False, "sb-1234"))
    assert text.startswith("KeyboardInterrupt: the run was stopped, but it is not confirmed")
    assert "sandbox sb-1234 has ended; it ends at its timeout at the latest" in text
    assert "Modal's dashboard" in text


def test_a_stop_before_a_sandboxs_id_was_known_does_not_claim_one() -> None:
    text = shown(tracebacks().stopped(False, None))
    assert "if one was created" in text
    assert "None" not in text
