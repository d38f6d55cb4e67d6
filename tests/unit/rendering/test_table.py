"""A list of facts as text and as HTML: nothing in it becomes markup or a control sequence."""

from __future__ import annotations

from zenml_modal_nb.rendering.table import Item, Row, Table

HOSTILE = '<script>alert(1)</script>\x1b]0;title\x07\x1b[31m & "quoted"'

TABLE = Table(
    HOSTILE,
    HOSTILE,
    [Row.of("label", HOSTILE, HOSTILE), Row("a longer label", (Item("one"), Item("two", "2 bytes")))],
    [HOSTILE],
)


def test_nothing_in_a_table_becomes_markup() -> None:
    page = TABLE.html()
    assert "<script" not in page
    assert (
        page.count("&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;quoted&quot;") == 6
    )  # the title twice
    assert "\x1b" not in page
    assert "<td>one, <code>two</code> (2 bytes)</td>" in page


def test_the_text_has_aligned_rows_without_control_sequences() -> None:
    first, second, closing = TABLE.text().splitlines()
    assert first.startswith("label           <script>")
    assert second == "a longer label  one, two (2 bytes)"
    assert closing == '<script>alert(1)</script> & "quoted"'
    assert "\x1b" not in TABLE.text()
