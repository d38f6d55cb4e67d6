"""No text from a sandbox can act on a terminal."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zenml_modal_nb.rendering.ansi import Sieve, clean, plain

FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f]|\x1b(?!\[[0-9;:]*m)")
PIECES = st.lists(
    st.sampled_from(
        ["\x1b", "[", "]", "0;", "31", "m", "J", "P", "\\", "\x07", "\x9b", "\n", "a", "\x00", "?"]
    )
)


@given(PIECES.map("".join))
def test_only_colours_line_ends_and_tabs_are_left(text: str) -> None:
    assert not FORBIDDEN.search(clean(text))
    assert "\x1b" not in plain(text)


@given(st.lists(PIECES.map("".join)))
def test_cutting_the_text_anywhere_opens_no_door(pieces: list[str]) -> None:
    sieve = Sieve()
    assert not FORBIDDEN.search("".join(sieve.feed(piece) for piece in pieces))


@given(st.text(st.characters(exclude_categories=("Cc",)) | st.sampled_from("\n\t\r")))
def test_ordinary_text_is_left_as_it_is(text: str) -> None:
    assert clean(text) == text
    assert Sieve().feed(text) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("\x1b]0;owned\x07ok", "ok"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]52;c;Y21k\x07", ""),
        ("\x1b]777;never ended\nnext", "777;never ended\nnext"),  # what looks like a frame is shown as text
        ("\x1b[1;31mred\x1b[0m", "\x1b[1;31mred\x1b[0m"),
        ("\x1b[38:2::1:2:3mtrue colour", "\x1b[38:2::1:2:3mtrue colour"),
        ("a\x1b[2K\x1b[1A\x1b[?25lb", "ab"),
        ("\x1bc\x1b(0reset", "reset"),
        ("50%\r100%\n", "50%\r100%\n"),
    ],
)
def test_known_sequences(text: str, left: str) -> None:
    assert clean(text) == left
