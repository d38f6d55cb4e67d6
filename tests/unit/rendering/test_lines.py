"""What a page keeps of a log, and how its colours become markup."""

from __future__ import annotations

import pytest

from zenml_modal_nb.rendering.colours import Look, markup
from zenml_modal_nb.rendering.lines import HEAD, LONGEST, TAIL, Lines


def written(*pieces: tuple[str, str]) -> Lines:
    lines = Lines()
    for stream, text in pieces:
        lines.write("stderr" if stream == "err" else "stdout", text)
    return lines


def test_a_progress_bar_is_one_line_in_its_place_whatever_is_printed_meanwhile() -> None:
    lines = written(
        ("err", "\r10%"), ("out", "a\nb\n"), ("err", "\r50%    "), ("err", "\r100%\n"), ("out", "c\n")
    )
    assert lines.text() == "100%\na\nb\nc"


def test_pieces_of_a_line_are_joined_and_the_streams_stay_apart() -> None:
    assert written(("out", "on"), ("err", "oh\n"), ("out", "e\n")).text() == "one\noh"
    assert written(("out", "windows\r\n"), ("out", "next\n")).text() == "windows\nnext"


def test_a_long_log_is_its_first_and_last_lines_and_says_how_many_lie_between() -> None:
    lines = Lines()
    for start in range(0, 100_000, 5000):
        lines.write("stdout", "".join(f"{n}\n" for n in range(start, start + 5000)))
    *head, gap = lines.text().split("\n")[: HEAD + 1]
    tail = lines.text().split("\n")[HEAD + 1 :]
    assert head == [str(n) for n in range(HEAD)]
    assert gap == f"[… {100_000 - HEAD - TAIL:,} lines are not shown here; the whole log is in ZenML …]"
    assert tail == [str(n) for n in range(100_000 - TAIL, 100_000)]


def test_one_flood_in_one_piece_ends_as_many_small_ones_do() -> None:
    text = "".join(f"{n}\n" for n in range(20_000))
    at_once, by_line = Lines(), Lines()
    at_once.write("stdout", text)
    for line in text.splitlines(keepends=True):
        by_line.write("stdout", line)
    assert at_once.text() == by_line.text()


def test_long_lines_do_not_fill_the_page() -> None:
    lines = written(*[("out", "x" * 50_000 + "\n")] * 2000)
    assert len(lines.text()) < HEAD * LONGEST + 200_000


@pytest.mark.parametrize("cut", range(12))
def test_a_long_line_is_not_cut_in_a_colour_sequence(cut: int) -> None:
    sequence = "\x1b[38;5;208m"
    text = "a" * 50 + sequence + "b" * (LONGEST - cut)
    shown = written(("out", text)).text()
    assert set(shown) <= {"a", "b"}
    assert shown.endswith("b" * (LONGEST - cut))


def test_one_line_that_is_not_shown_is_told_as_one() -> None:
    lines = written(("out", "".join(f"{n}\n" for n in range(HEAD + TAIL + 1))))
    assert "[… 1 line is not shown here; the whole log is in ZenML …]" in lines.html()


def test_what_is_printed_is_text_and_colours_are_classes() -> None:
    lines = written(("out", "\x1b[1;31m<b>red</b>\x1b[0m & \x1b[38;5;208morange\x1b[48;2;1;2;3mdeep\x1b[m\n"))
    assert lines.html() == (
        '<span class="zmnb-bold zmnb-f1">&lt;b&gt;red&lt;/b&gt;</span> &amp; '
        '<span style="color:#ff8700">orange</span>'
        '<span style="color:#ff8700;background-color:#010203">deep</span>'
    )
    assert lines.text() == "<b>red</b> & orangedeep"


def test_a_colour_lasts_until_its_end_on_its_own_stream() -> None:
    html = written(("out", "\x1b[32mon\n"), ("err", "plain\n"), ("out", "still\x1b[39m off\n")).html()
    assert html == (
        '<span class="zmnb-f2">on</span>\n<span class="zmnb-err">plain</span>\n'
        '<span class="zmnb-f2">still</span> off'
    )


@pytest.mark.parametrize(
    "codes", ["", "38", "38;5", "38;2;1", "999", ":::", "9" * 5000, "38;5;" + "9" * 4000]
)
def test_no_sequence_breaks_the_page(codes: str) -> None:
    shown, _ = markup(f"\x1b[{codes}mtext", Look())
    assert "text" in shown
    assert "\x1b" not in shown
