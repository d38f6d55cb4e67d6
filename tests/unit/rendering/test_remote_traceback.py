"""An error of the sandbox reads like an error of the notebook."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from zenml_modal_nb.rendering.ansi import uncoloured
from zenml_modal_nb.rendering.traceback import draw, read

CELL = [
    "%%modal_step --gpu T4",
    "import json",
    "def load(text):",
    "    return json.loads(text)",
    "",
    "load('{')",
]


def text(report: dict[str, Any], **options: Any) -> str:
    lines = draw(read(report), cell_file="<cell>", cell_lines=CELL, cell_label="Cell In[5]", **options)
    return uncoloured("\n".join(lines))


def frame(file: str, line: int, name: str = "<module>", source: str = "") -> dict[str, Any]:
    return {"file": file, "line": line, "name": name, "text": source}


FAILED = {
    "ename": "JSONDecodeError",
    "evalue": "Expecting property name",
    "frames": [
        frame("<cell>", 6, source="load('{')"),
        frame("<cell>", 4, "load", "return json.loads(text)"),
        frame("/usr/lib/python3.11/json/decoder.py", 353, "raw_decode", "obj, end = self.scan_once(s, idx)"),
    ],
}


def test_the_cells_own_lines_are_shown_with_an_arrow_and_their_neighbours() -> None:
    assert text(FAILED) == "\n".join(
        [
            "-" * 75,
            "JSONDecodeError                           Traceback (most recent call last)",
            "Cell In[5], line 6",
            "      4     return json.loads(text)",
            "      5",
            "----> 6 load('{')",
            "",
            "Cell In[5], line 4, in load",
            "      2 import json",
            "      3 def load(text):",
            "----> 4     return json.loads(text)",
            "      5",
            "      6 load('{')",
            "",
            "File /usr/lib/python3.11/json/decoder.py:353, in raw_decode",
            "--> 353 obj, end = self.scan_once(s, idx)",
            "",
            "JSONDecodeError: Expecting property name",
        ]
    )


def test_a_long_way_through_libraries_is_folded_between_its_ends() -> None:
    deep = [frame(f"/lib/{number}.py", number, f"f{number}") for number in range(30)]
    drawn = text({"ename": "E", "evalue": "x", "frames": [frame("<cell>", 6), *deep]})
    assert drawn.count("File /lib/") == 6
    assert "File /lib/0.py:0" in drawn
    assert "File /lib/29.py:29" in drawn
    assert "… 24 more frames of libraries …" in drawn


def test_six_library_frames_are_all_shown() -> None:
    deep = [frame(f"/lib/{number}.py", number, "f") for number in range(6)]
    drawn = text({"ename": "E", "evalue": "x", "frames": deep})
    assert drawn.count("File /lib/") == 6
    assert "more frames" not in drawn


def test_what_led_to_the_error_comes_first_and_is_told_apart() -> None:
    first = {"ename": "KeyError", "evalue": "'a'", "frames": [frame("<cell>", 4)]}
    caused = text({"ename": "ValueError", "evalue": "bad", "frames": [frame("<cell>", 6)], "cause": first})
    assert caused.index("KeyError: 'a'") < caused.index("direct cause") < caused.index("ValueError: bad")
    during = text({"ename": "ValueError", "evalue": "bad", "frames": [], "context": first})
    assert during.index("KeyError: 'a'") < during.index("During handling") < during.index("ValueError: bad")


def test_a_line_number_outside_the_cell_falls_back_to_the_line_that_was_reported() -> None:
    drawn = text({"ename": "E", "evalue": "", "frames": [frame("<cell>", 99, source="reported()")]})
    assert "reported()" in drawn
    assert drawn.endswith("\nE")


def test_an_error_from_a_sandbox_cannot_reach_the_terminal() -> None:
    nasty = "\x1b]0;x\x07\x1b[2Jtext\r"
    lines = draw(
        read(
            {
                "ename": nasty,
                "evalue": nasty,
                "notes": [nasty],
                "frames": [frame(nasty, 1, nasty, nasty), frame("<cell>", 99, nasty, nasty)],
            }
        ),
        cell_file="<cell>",
        cell_lines=[],
        cell_label="Cell In[1]",
    )
    assert "\x1b]" not in "".join(lines)
    assert "\x1b[2J" not in "".join(lines)


def test_notes_stand_below_the_message() -> None:
    drawn = text({"ename": "E", "evalue": "what", "frames": [], "notes": ["and why", "and how"]})
    assert drawn.endswith("\nE: what\nand why\nand how")


def test_a_thousand_frames_and_a_megabyte_of_message_stay_readable() -> None:
    frames = [frame("<cell>", 4, "load") for _ in range(5000)]
    drawn = text({"ename": "RecursionError", "evalue": "x" * 1_000_000, "frames": frames})
    assert len(drawn) < 100_000
    assert drawn.rstrip("x").endswith("RecursionError: ")


def test_an_endless_chain_of_causes_is_cut() -> None:
    chain: dict[str, Any] = {"ename": "E", "evalue": "0"}
    for depth in range(100):
        chain = {"ename": "E", "evalue": str(depth), "cause": chain}
    assert text(chain).count("direct cause") <= 5


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["ename", "evalue", "notes", "frames", "file", "line", "name", "text", "cause", "context"]
            ),
            inner,
        )
    ),
    max_leaves=30,
)


@given(st.dictionaries(st.sampled_from(["ename", "evalue", "notes", "frames", "cause", "context"]), ANYTHING))
def test_a_report_of_any_shape_is_drawn(report: dict[str, Any]) -> None:
    assert text(report)
