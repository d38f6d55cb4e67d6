"""A stream as it may really arrive: with parts missing, lines joined, read twice, and text that looks like a frame."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zenml_modal_nb.runner import frames
from zenml_modal_nb.runner.stream import Stream
from zenml_modal_nb.sandboxes.channel import INCOMPLETE, Channel, Gap, Text

NONCE = "0123456789abcdef"
RESULT = {"ok": True, "seconds": 1.0, "names": [], "lost": {}, "last": False, "stderr": 0, "inline": ""}


class Writer:
    """What the runner writes to one stream; made of the runner's own code."""

    def __init__(self) -> None:
        self.data = b""
        self._stream = Stream(self._append, NONCE)
        self._now = 0.0
        self.frame("begin", cloudpickle="3.1.2")

    def _append(self, data: bytes) -> None:
        self.data += data

    def print(self, text: str | bytes) -> Writer:
        self._stream.feed(text.encode() if isinstance(text, str) else text, self._now)
        return self

    def pause(self) -> Writer:
        self._now += 1.0
        self._stream.tick(self._now)
        return self

    def frame(self, kind: str, **fields: object) -> Writer:
        self._stream.frame(kind, fields, self._now, last=kind == "result")
        return self

    def end(self) -> bytes:
        return self.frame("result", **RESULT).data


def lines(data: bytes) -> list[str]:
    return re.findall(r"[^\n]*\n|[^\n]+", data.decode())


def told(data: bytes) -> list[object]:
    """What a reader of the whole stream must be told: text, joined between frames, and the frames."""
    channel, items = Channel(NONCE), []
    for line in lines(data):
        frame = frames.decode(line, NONCE)
        items.append(Text(line) if frame is None else frame)
    assert channel.verified == 0
    return joined(items)


def joined(items: list[object]) -> list[object]:
    """Join neighbouring texts; those that were taken back, with all that came since the last frame, are left out."""
    result: list[object] = []
    for item in items:
        if isinstance(item, Text) and item.text == INCOMPLETE:
            while result and isinstance(result[-1], Text):
                result.pop()
        elif isinstance(item, Text) and result and isinstance(result[-1], Text):
            assert item.text
            result[-1] = Text(result[-1].text + item.text)
        else:
            result.append(item)
    return result


@dataclass
class Reader:
    """Reads a stream as `reading` does, its gaps from the runner's own copy."""

    data: bytes
    channel: Channel = field(default_factory=lambda: Channel(NONCE))
    items: list[object] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)

    def read(self, data: bytes, *, pauses: frozenset[int] = frozenset(), until: int | None = None) -> Reader:
        for number, line in enumerate(lines(data)[:until]):
            self.take(self.channel.feed(line))
            if number in pauses:
                self.pause()
        return self

    def pause(self) -> Reader:
        self.take(self.channel.release())
        return self

    def take(self, items: list[object]) -> None:
        for item in items:
            if isinstance(item, Gap):
                self.gaps.append(item)
                self.items += self.channel.recover(item, self.data[item.start : item.end])
            else:
                self.items.append(item)

    @property
    def told(self) -> list[object]:
        return joined(self.items)

    @property
    def text(self) -> str:
        return "".join(item.text for item in self.told if isinstance(item, Text))


def test_a_stream_without_loss_is_told_in_order_and_nothing_is_read_twice() -> None:
    data = Writer().print("one\ntwo\n").frame("partial", text="x").print("three\n").end()
    reader = Reader(data).read(data)
    assert reader.told == told(data)
    assert reader.gaps == []


def test_text_waits_for_the_frame_that_verifies_it() -> None:
    data = Writer().print("one\n").end()
    begin, text, result = lines(data)
    channel = Channel(NONCE)
    channel.feed(begin)
    assert channel.feed(text) == []
    assert channel.holding
    given = channel.feed(result)
    assert [type(item).__name__ for item in given] == ["Text", "Frame"]
    assert not channel.holding


def test_text_that_waits_too_long_is_given_out_once() -> None:
    data = Writer().print("one\n").pause().print("two\n").end()
    reader = Reader(data).read(data, pauses=frozenset({1, 2}))
    assert [item.text for item in reader.items if isinstance(item, Text)] == ["one\n", "two\n"]


def test_lost_lines_are_read_from_the_copy() -> None:
    data = Writer().print("one\n").frame("partial", text="two").print("\nthree\nfour\n").end()
    start, end = data.index(b"one"), data.index(b"three")
    reader = Reader(data).read(data[:start] + data[end:])
    assert reader.told == told(data)
    assert len(reader.gaps) == 1


def test_what_was_shown_of_a_gap_is_not_repeated_where_the_copy_agrees() -> None:
    data = Writer().print("one\n").pause().print("two\nthree\n").end()
    start, end = data.index(b"two"), data.index(b"three")
    reader = Reader(data).read(data[:start] + data[end:], pauses=frozenset({1}))
    assert [item.text for item in reader.items if isinstance(item, Text)] == ["one\n", "two\nthree\n"]


def test_lines_that_were_shown_joined_are_repeated_and_said_to_be() -> None:
    data = Writer().print("alpha\nbeta\ngamma\n").end()
    start, end = data.index(b"pha"), data.index(b"mma")
    reader = Reader(data).read(data[:start] + data[end:], pauses=frozenset({1}))
    texts = [item.text for item in reader.items if isinstance(item, Text)]
    assert texts == ["almma\n", INCOMPLETE, "alpha\nbeta\ngamma\n"]


def test_frames_inside_a_gap_come_in_their_place() -> None:
    data = (
        Writer()
        .print("a\n")
        .frame("partial", text="b")
        .print("c\n")
        .frame("gpu", name="T4")
        .print("d\n")
        .end()
    )
    reader = Reader(data).read(data[: data.index(b"a\n")] + data[data.rindex(b"d\n") :])
    assert reader.told == told(data)


def test_the_first_frame_may_be_lost_too() -> None:
    data = Writer().print("a\n" * 5000).end()
    reader = Reader(data).read(data[len(data) // 2 :])
    assert reader.told == told(data)
    assert reader.gaps[0].start == 0


def test_a_frame_joined_from_two_is_none() -> None:
    writer = Writer()
    for number in range(4):
        writer.frame("partial", text=f"{number}" * 1000)
    data = writer.print("\n").end()
    start, end = data.index(b"0" * 1000) + 500, data.index(b"2" * 1000) + 500
    reader = Reader(data).read(data[:start] + data[end:])
    assert reader.told == told(data)


def test_a_frame_that_lost_its_middle_is_none() -> None:
    data = Writer().frame("partial", text="0" * 1000).print("\n").end()
    middle = data.index(b"0" * 1000) + 500
    reader = Reader(data).read(data[:middle] + data[middle + 7 :])
    assert reader.told == told(data)


@pytest.mark.parametrize("kept", [0, 40, 80])
def test_two_marks_joined_are_none(kept: int) -> None:
    data = Writer().print("x" * 99 + "\n").print(("y" * 99 + "\n") * 400).end()
    first = data.index(b'"k":"mark"') - 40
    start = data.rindex(b"\n", 0, first) + 1 + kept
    later = data.index(b'"k":"mark"', len(data) // 2) - 40
    end = data.rindex(b"\n", 0, later) + 1 + kept
    reader = Reader(data).read(data[:start] + data[end:])
    assert reader.told == told(data)


def test_what_an_image_prints_before_the_first_frame_is_shown_and_not_counted() -> None:
    data = Writer().print("one\n").end()
    reader = Reader(data).read(b"image says\n" + data, pauses=frozenset({0}))
    assert reader.text == "image says\none\n"
    assert reader.gaps == []


def test_a_stream_read_again_from_its_start_tells_nothing_twice() -> None:
    data = Writer().print("one\n").frame("partial", text="two").print("\nthree\n").print("four\n").end()
    reader = Reader(data).read(data, pauses=frozenset({1}), until=5)
    reader.channel.reconnect()
    reader.read(data, pauses=frozenset(range(20)))
    assert reader.items.count(Text(INCOMPLETE)) == 0
    assert reader.told == told(data)


def test_a_stream_read_again_by_a_slow_reader_shows_no_replayed_text() -> None:
    data = Writer().print("one\n").frame("partial", text="two").end()
    reader = Reader(data).read(data, until=3)
    reader.channel.reconnect()
    before = len(reader.items)
    reader.read(data, pauses=frozenset({0, 1}), until=2)
    assert reader.items[before:] == []


def test_shown_text_whose_frame_had_not_come_is_not_shown_again_after_a_reconnection() -> None:
    data = Writer().print("one\ntwo\n").end()
    reader = Reader(data).read(data, pauses=frozenset({1}), until=2)
    reader.channel.reconnect()
    reader.read(data, pauses=frozenset(range(9)))
    assert [item.text for item in reader.items if isinstance(item, Text)] == ["one\n", "two\n"]


def test_a_stream_whose_beginning_is_gone_when_it_is_read_again_has_one_gap() -> None:
    writer = Writer().print("one\n").frame("partial", text="two")
    seen = len(writer.data)
    data = writer.print("\n" + "three\n" * 3000).end()
    reader = Reader(data).read(data[:seen])
    reader.channel.reconnect()
    reader.read(data[-6000:])
    assert reader.told == told(data)
    assert len(reader.gaps) == 1


def test_skipping_to_a_position_reads_everything_up_to_it_from_the_copy() -> None:
    data = Writer().print("one\n").frame("partial", text="two").end()
    reader = Reader(data).read(data, until=1)
    reader.take([reader.channel.skip_to(len(data))])
    assert reader.told == told(data)
    assert reader.channel.verified == len(data)


def test_the_frames_that_a_stream_still_delivers_after_a_skip_are_not_told_again() -> None:
    data = Writer().print("one\n").frame("partial", text="two").end()
    reader = Reader(data).read(data, until=1)
    reader.take([reader.channel.skip_to(len(data))])
    for line in lines(data)[1:]:
        reader.take(reader.channel.feed(line))
        reader.pause()
    assert reader.told == told(data)


def test_what_the_copy_lacks_is_said_to_be_lost() -> None:
    data = Writer().print("one\ntwo\nthree\n").end()
    reader = Reader(data[: data.index(b"two") + 2]).read(data[: data.index(b"one")])
    reader.take([reader.channel.skip_to(data.index(b"three"))])
    assert [item for item in reader.told if isinstance(item, Text)] == [
        Text("one\n\n[4 bytes of the output are lost]\n")
    ]


def test_text_that_looks_like_a_frame_is_text() -> None:
    looks = [
        frames.PREFIX + "{}" + frames.SUFFIX,
        frames.PREFIX + "[" * 6000 + frames.SUFFIX,
        frames.encode("another nonce", "result", 0, 0, RESULT).decode().rstrip("\n"),
        frames.encode(NONCE, "result", 1, 0, RESULT).decode().rstrip("\n"),
    ]
    data = Writer().print("".join(f"{look}\n" for look in looks)).end()
    reader = Reader(data).read(data)
    assert [item.kind for item in reader.items if isinstance(item, frames.Frame)][-1] == "result"
    assert sum(isinstance(item, frames.Frame) and item.kind == "result" for item in reader.items) == 1
    assert reader.text.replace("\u241b", "\x1b") == "".join(f"{look}\n" for look in looks)


@pytest.mark.parametrize("separator", ["\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028"])
def test_only_line_feeds_end_a_line_of_the_copy(separator: str) -> None:
    text = f"a{separator}{frames.encode(NONCE, 'partial', 0, 0, {'text': 'x'}).decode()}"
    data = text.encode()
    assert Channel(NONCE).recover(Gap(0, len(data), ""), data) == [Text(text)]


texts = st.text(
    st.sampled_from("ab \r\x1b\x07éß€𝄞\u2028\x0b") | st.characters(codec="utf-8", exclude_characters="\n"),
    max_size=20,
)
pieces = st.one_of(
    st.builds(lambda text: ("print", f"{text}\n"), texts),
    st.builds(lambda text: ("print", text), texts),
    st.builds(lambda text, times: ("print", f"{text}\n" * times), texts, st.integers(1, 300)),
    st.builds(lambda letter, size: ("print", letter * size), st.sampled_from("x€\r"), st.integers(1, 20000)),
    st.just(("print", frames.encode(NONCE, "mark", 3, 100, {}).decode())),
    st.just(("pause", "")),
    st.builds(lambda text: ("frame", text), texts),
)


def written(script: list[tuple[str, str]]) -> bytes:
    writer = Writer()
    for what, text in script:
        if what == "print":
            writer.print(text)
        elif what == "pause":
            writer.pause()
        else:
            writer.frame("gpu", name=text)
    return writer.end()


def at_a_character(data: bytes, position: int) -> int:
    while position < len(data) and data[position] & 0xC0 == 0x80:
        position += 1
    return position


@st.composite
def cut(draw: st.DrawFn, data: bytes) -> bytes:
    """Leave parts out, as a server does that keeps the most recent output only: never the last two lines."""
    last = data.rindex(b"\n", 0, data.rindex(b"\n", 0, -1)) if data.count(b"\n") > 2 else 0
    limits = sorted(draw(st.lists(st.integers(0, last), max_size=6)))
    kept, position = b"", 0
    for start, end in zip(limits[::2], limits[1::2], strict=False):
        kept += data[position : at_a_character(data, start)]
        position = at_a_character(data, end)
    return kept + data[position:]


@settings(max_examples=300)
@given(st.data())
def test_whatever_is_lost_and_however_often_the_stream_breaks_everything_is_told_once(
    source: st.DataObject,
) -> None:
    data = written(source.draw(st.lists(pieces, max_size=12)))
    reader = Reader(data)
    numbers = st.frozensets(st.integers(0, 60), max_size=20)
    for _ in range(source.draw(st.integers(0, 2))):
        delivered = source.draw(cut(data))
        until = source.draw(st.integers(0, len(lines(delivered))))
        reader.read(delivered, pauses=source.draw(numbers), until=until)
        reader.channel.reconnect()
    reader.read(source.draw(cut(data)), pauses=source.draw(numbers))
    assert reader.told == told(data)


@settings(max_examples=200)
@given(st.data())
def test_lines_that_come_at_once_are_told_as_if_they_had_come_one_by_one(source: st.DataObject) -> None:
    data = written(source.draw(st.lists(pieces, max_size=12)))
    delivered = lines(source.draw(cut(data)))
    reader, start = Reader(data), 0
    while start < len(delivered):
        count = source.draw(st.integers(1, 100))
        reader.take(reader.channel.feed("".join(delivered[start : start + count])))
        if source.draw(st.booleans()):
            reader.pause()
        start += count
    assert reader.told == told(data)


def test_a_flood_is_searched_for_frames_not_line_by_line() -> None:
    data = Writer().print("line\n" * 100_000).end()
    channel = Channel(NONCE)
    items = channel.feed(data.decode())
    texts = [item for item in items if isinstance(item, Text)]
    assert "".join(item.text for item in texts) == "line\n" * 100_000
    assert len(texts) <= 1 + len(data) // 4096
