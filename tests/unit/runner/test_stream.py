"""One stream: bytes in at chosen times, lines and frames out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zenml_modal_nb.runner import frames
from zenml_modal_nb.runner.stream import Stream

NONCE = "c0ffee"


class Shown:
    """A stream and what a reader makes of it."""

    def __init__(self):
        self.raw = b""
        self.stream = Stream(self._write, NONCE)

    def _write(self, data):
        self.raw += data

    def frames(self):
        at, found = 0, []
        for line in self.raw.split(b"\n")[:-1]:
            frame = frames.decode(line, NONCE)
            if frame is not None:
                assert (frame.at, frame.sequence) == (at, len(found))
                found.append(frame)
            at += len(line) + 1
        assert at == len(self.raw)
        return found

    def text(self):
        shown = ""
        for line in self.raw.split(b"\n")[:-1]:
            frame = frames.decode(line, NONCE)
            if frame is None:
                shown += line.decode() + "\n"
            elif frame.kind == "partial":
                shown += frame.fields["text"]
            elif frame.kind == "progress":
                shown = shown[: shown.rfind("\n") + 1]
        return shown

    def states(self):
        return [frame.fields["text"] for frame in self.frames() if frame.kind == "progress"]


@pytest.fixture
def shown():
    return Shown()


def test_whole_lines_go_through_at_once_and_the_rest_waits(shown):
    shown.stream.feed(b"one\ntw", 0.0)
    assert shown.raw == b"one\n"
    assert shown.stream.due() == pytest.approx(0.1)
    shown.stream.tick(0.05)
    assert shown.raw == b"one\n"
    shown.stream.feed(b"o\n", 0.06)
    assert shown.raw == b"one\ntwo\n"
    assert shown.stream.due() is None


def test_an_unfinished_line_is_sent_in_pieces_when_it_waits(shown):
    shown.stream.feed(b"a", 0.0)
    shown.stream.feed(b"b", 0.09)
    shown.stream.tick(0.1)
    shown.stream.feed(b"c", 0.2)
    shown.stream.tick(0.31)
    shown.stream.feed(b"d\n", 0.32)
    assert [frame.fields["text"] for frame in shown.frames()] == ["ab", "c"]
    assert shown.text() == "abcd\n"


def test_a_character_cut_in_two_waits_for_its_other_half(shown):
    euro = "€".encode()
    shown.stream.feed(b"x" + euro[:2], 0.0)
    shown.stream.tick(0.1)
    assert shown.text() == "x"
    shown.stream.feed(euro[2:] + b"\n", 0.2)
    assert shown.text() == "x€\n"


def test_a_character_that_stays_cut_is_replaced_at_the_end(shown):
    shown.stream.feed(b"x\xe2\x82", 0.0)
    shown.stream.frame("end", {}, 0.0, last=True)
    assert shown.text() == "x\ufffd"
    shown.stream.feed(b"later\n", 0.1)
    shown.stream.frame("mark", {}, 0.2)
    assert shown.frames()[-1].kind == "end"


def test_a_rewritten_line_is_sent_ten_times_a_second(shown):
    for step in range(1000):
        now = step / 1000
        shown.stream.feed(b"\r%d" % step, now)
        due = shown.stream.due()
        if due is not None and due <= now:
            shown.stream.tick(now)
    states = shown.states()
    assert 9 <= len(states) <= 11
    assert states[0] == "0"
    shown.stream.feed(b"\nnext\n", 1.0)
    assert shown.text() == "999\nnext\n"


def test_the_latest_state_is_sent_when_the_writer_pauses(shown):
    shown.stream.feed(b"\r1", 0.0)
    shown.stream.feed(b"\r2", 0.01)
    assert shown.states() == ["1"]
    assert shown.stream.due() == pytest.approx(0.1)
    shown.stream.tick(0.1)
    assert shown.states() == ["1", "2"]
    assert shown.stream.due() is None


def test_a_line_that_is_rewritten_after_a_piece_of_it_was_sent_is_replaced(shown):
    shown.stream.feed(b"50%", 0.0)
    shown.stream.tick(0.1)
    shown.stream.feed(b"\r60%\n", 0.2)
    assert shown.states() == ["60%"]
    assert shown.text() == "60%\n"


@pytest.mark.parametrize(
    ("written", "state"),
    [
        (b"abc\rX", "Xbc"),
        (b"abc\r", "abc"),
        (b"10%\r9%", "9%%"),
        (b"abc\r   \r", ""),
        (b"\r\r\ra", "a"),
        (b"\x1b[31mlong text\x1b[0m\rshort", "short"),
        ("äöü\rÄ".encode(), "Äöü"),
    ],
)
def test_a_line_looks_as_in_a_terminal(shown, written, state):
    shown.stream.feed(written + b"\n", 0.0)
    assert shown.text() == state + "\n"


@pytest.mark.parametrize("cut", range(11))
def test_a_line_looks_the_same_however_it_arrives(shown, cut):
    written = b"hello\rbye\r\n"
    shown.stream.feed(written[:cut], 0.0)
    shown.stream.tick(0.5)
    shown.stream.feed(written[cut:], 1.0)
    assert shown.text() == "byelo\n"


def test_windows_line_ends_are_line_ends(shown):
    shown.stream.feed(b"a\r\nb\r\n", 0.0)
    assert shown.raw == b"a\nb\n"


def test_a_long_line_comes_in_pieces_however_it_is_escaped(shown):
    line = "\x1b\U0001f600" * 9000
    shown.stream.feed(line.encode() + b"\nx\n", 0.0)
    assert shown.text() == line + "\nx\n"
    assert max(map(len, shown.raw.split(b"\n"))) < frames.LINE_LIMIT


def test_a_rewritten_line_without_end_does_not_grow_without_bound(shown):
    for number in range(100):
        shown.stream.feed(b"\r" + b"%d" % (number % 10) * 5000, number)
    assert shown.stream.due() is None or shown.text() == ""
    for _ in range(100):
        shown.stream.feed(b"x" * 5000, 200.0)
    assert len(shown.stream._pending) < 3 * frames.TEXT_LIMIT
    assert "x" * 5000 in shown.text()


def test_marks_come_at_least_every_4096_bytes_of_text(shown):
    shown.stream.feed(b"0123456789\n" * 5000, 0.0)
    offsets = [frame.at for frame in shown.frames()]
    gaps = [later - earlier for earlier, later in zip([0, *offsets], offsets, strict=False)]
    assert max(gaps) <= 4096 + 100
    assert len(shown.raw) - offsets[-1] <= 4096 + 100


def test_a_frame_comes_after_the_text_before_it(shown):
    shown.stream.feed(b"open", 0.0)
    shown.stream.frame("gpu", {"name": "T4"}, 0.0)
    shown.stream.feed(b" end\n", 0.0)
    assert [frame.kind for frame in shown.frames()] == ["partial", "gpu"]
    assert shown.text() == "open end\n"


PIECES = st.lists(
    st.tuples(
        st.one_of(
            st.binary(max_size=30),
            st.text(max_size=20).map(str.encode),
            st.sampled_from([b"\n", b"\r", b"\xe2", b"\x82\xac", b"y" * 9000, b"\n" * 300, b"\xff" * 9000]),
            st.just(frames.encode(NONCE, "end", 0, 0, {})),
        ),
        st.sampled_from([0.0, 0.01, 0.2]),
    ),
    max_size=30,
)


@given(PIECES)
def test_any_bytes_at_any_times_give_valid_lines_and_right_offsets(pieces):
    shown, now = Shown(), 0.0
    for data, pause in pieces:
        shown.stream.feed(data, now)
        now += pause
        shown.stream.tick(now)
    shown.stream.frame("end", {}, now, last=True)
    shown.raw.decode()
    kinds = [frame.kind for frame in shown.frames()]
    assert kinds[-1] == "end"
    assert set(kinds) <= {"mark", "partial", "progress", "end"}
    assert kinds.count("end") == 1
    assert all(len(line) <= max(frames.TEXT_LIMIT, frames.LINE_LIMIT) for line in shown.raw.split(b"\n"))
    written = b"".join(data for data, _ in pieces)
    if b"\r" not in written:
        assert shown.text().replace("␛", "\x1b") == written.decode("utf-8", "replace").replace("␛", "\x1b")
