"""What stands before the cursor is read as the line is read when the cell runs."""

from __future__ import annotations

import shlex

from hypothesis import example, given
from hypothesis import strategies as st

from zenml_modal_nb.magics.cursor import locate

MAGIC = "%%modal_step "


@given(st.text("ab\"'\\ \t\u00a0="))
@example('"a\\b"')
@example("'a\\b'")
@example('"a\\"b\\\\c" d')
def test_whole_words_before_the_cursor_are_those_that_the_magic_gets(text: str) -> None:
    try:
        words = shlex.split(text)
    except ValueError:
        return  # a quote or a backslash waits for what follows
    line = f"{MAGIC}{text} "
    cursor = locate(line, 0, len(line))
    assert cursor is not None
    assert cursor.given == tuple(words)


def test_a_backslash_in_double_quotes_stays_where_it_escapes_nothing() -> None:
    line = MAGIC + '--file "a\\b'
    cursor = locate(line, 0, len(line))
    assert cursor is not None
    assert (cursor.flag, cursor.word, cursor.quoted) == ("--file", "a\\b", True)
