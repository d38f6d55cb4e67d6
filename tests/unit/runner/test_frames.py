"""Frames: what the runner writes is read back; everything else is text."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zenml_modal_nb.runner import frames

NONCE = "c0ffee"
DIGEST = "0" * 64
ERROR = {"ename": "E", "evalue": "v", "frames": [{"file": "f", "line": 1, "name": "n", "text": "t"}]}
RESULT = {"ok": True, "seconds": 0.5, "names": ["x"], "lost": {"y": "why"}, "last": False, "stderr": 9}
FILES = {"directory": "/root", "unlisted": False, "written": [{"path": "a", "size": 3}], "more": 0}
VALID = [
    ("hello", {"python": "3.11.7", "directory": "/tmp/zmnb", "pid": 1}),
    ("begin", {"gpu": None, "cloudpickle": "3.1.2"}),
    ("begin", {"cloudpickle": "3.1.2"}),
    ("gpu", {"name": "NVIDIA A100"}),
    ("resources", {"cpu": 1.5, "memory": 1 << 33}),
    ("resources", {"cpu": 0, "memory": 0, "gpu": [[97, 40536], [0, 3]]}),
    ("mark", {}),
    ("partial", {"text": "é\x1b\x07\u2028\n"}),
    ("progress", {"text": "50%"}),
    ("display", {"data": {"text/plain": "1"}, "metadata": {}}),
    ("display", {"file": "out/display-000001.json", "size": 7000, "sha256": DIGEST}),
    ("clear", {"wait": True}),
    ("files", FILES),
    ("files", {**FILES, "file": "out/files.json", "size": 1, "sha256": DIGEST}),
    ("error", {**ERROR, "pickled": None}),
    ("error", {**ERROR, "pickled": None, "missing": {"file": "data.csv"}}),
    ("error", {**ERROR, "pickled": "AA==", "notes": ["n"], "cause": [{**ERROR, "context": [ERROR]}]}),
    ("result", {**RESULT, "inline": "AA=="}),
    ("stored", {"volume": "0a-0.zmnb", "size": 1, "sha256": DIGEST, "whole": 2}),
    ("result", {**RESULT, "parts": 2, "size": 1, "sha256": DIGEST}),
    ("result", {**RESULT, "file": "out/result.zmnb", "size": 1, "sha256": DIGEST}),
    ("end", {}),
    ("abandoned", {}),
]


def edited(kind, fields, **changes):
    """A frame's line with some of its members replaced, or, by `...`, removed."""
    payload = {"v": 1, "n": NONCE, "s": 0, "at": 0, "k": kind, **fields, **changes}
    text = json.dumps({name: value for name, value in payload.items() if value is not ...})
    return frames.seal(frames.PREFIX + text[:-1], payload["at"] if type(payload["at"]) is int else 0).decode()


@pytest.mark.parametrize(("kind", "fields"), VALID)
def test_what_is_encoded_is_decoded(kind, fields):
    line = frames.encode(NONCE, kind, 3, 12345, fields)
    assert line.endswith(b"\x07\n")
    assert line.count(b"\n") == 1
    assert len(line.decode("ascii").splitlines()) == 1
    for form in (line, line.decode(), line.removesuffix(b"\n")):
        assert frames.decode(form, NONCE) == frames.Frame(kind, 3, 12345, fields)


def test_every_kind_is_tried_here():
    assert {kind for kind, _ in VALID} == set(frames.KINDS)


@pytest.mark.parametrize(("kind", "fields"), VALID)
def test_a_frame_with_a_member_too_few_or_too_many_is_text(kind, fields):
    optional = {"gpu", "missing", "notes", "cause"} if kind in ("begin", "error", "resources") else set()
    assert frames.decode(edited(kind, fields), NONCE) is not None
    assert frames.decode(edited(kind, fields, surplus=1), NONCE) is None
    for name in {"v", "n", "s", "at", "k", *fields} - optional:
        assert frames.decode(edited(kind, fields, **{name: ...}), NONCE) is None
        assert frames.decode(edited(kind, fields, **{name: [{"wrong": "type"}]}), NONCE) is None


@pytest.mark.parametrize(
    "change",
    [{"v": 2}, {"v": True}, {"v": 1.0}, {"n": "other"}, {"s": -1}, {"s": True}, {"s": 1.5}, {"at": "0"}, {"at": 2**63},
     {"k": "unknown"}, {"k": None}, {"text": None}, {"text": "\ud800"}],
)  # fmt: skip
def test_a_frame_with_a_wrong_member_is_text(change):
    assert frames.decode(edited("partial", {"text": "x"}, **change), NONCE) is None


@pytest.mark.parametrize("file", ["/etc/passwd", "../x", "out/../../x", ""])
def test_a_frame_cannot_name_a_file_elsewhere(file):
    fields = {"size": 1, "sha256": DIGEST}
    assert frames.decode(edited("display", fields, file="out/x"), NONCE) is not None
    assert frames.decode(edited("display", fields, file=file), NONCE) is None


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{}",
        "[]",
        "null",
        "1",
        '{"v":1',
        "[" * 7000,
        '{"a":' * 3000,
        "NaN",
        '{"v":1,"n":"c0ffee","s":NaN}',
        "9" * 6000,
    ],
)
def test_malformed_bodies_are_text(body):
    assert frames.decode(f"{frames.PREFIX}{body}{frames.SUFFIX}\n", NONCE) is None
    assert frames.decode(f"{frames.PREFIX}{body}{NONCE}{frames.SUFFIX}\n", NONCE) is None


def test_a_nonce_spelled_otherwise_is_not_the_runners():
    line = edited("mark", {}, n="c0ffee").replace('"c0ffee"', '"\\u0063\\u0030ffee"')
    sealed = frames.seal(line[: line.index(',"e":')], 0)
    assert json.loads(sealed[len(frames.PREFIX) : -2])["n"] == NONCE
    assert frames.decode(sealed, NONCE) is None


def test_a_frame_that_does_not_end_where_it_says_is_text():
    line = frames.encode(NONCE, "partial", 0, 0, {"text": "some text"})
    assert frames.decode(line.replace(b"some ", b""), NONCE) is None
    assert frames.decode(line.replace(b'"at":0', b'"at":1'), NONCE) is None


def test_a_frame_must_be_its_line():
    line = frames.encode(NONCE, "mark", 0, 0, {}).decode()
    assert frames.decode(line, NONCE) is not None
    for other in (
        "x" + line,
        line.removesuffix("\n") + "x\n",
        line[1:],
        line + "\n",
        line.replace("\x07", ""),
        line * 2,
    ):
        assert frames.decode(other, NONCE) is None


def test_a_long_line_is_text_and_cannot_be_made():
    text = "x" * frames.LINE_LIMIT
    assert frames.decode(edited("partial", {"text": text}), NONCE) is None
    with pytest.raises(frames.FrameTooLongError, match="partial"):
        frames.encode(NONCE, "partial", 0, 0, {"text": text})


@given(st.one_of(st.text(), st.binary()))
def test_any_text_is_decoded_without_an_error(text):
    frames.decode(text, NONCE)
    empty = text[:0]
    parts = [
        part if isinstance(text, str) else part.encode() for part in (frames.PREFIX, NONCE, frames.SUFFIX)
    ]
    assert frames.decode(empty.join([parts[0], text, parts[1], parts[2]]), NONCE) is None


@given(st.text())
def test_any_text_travels_in_a_frame(text):
    decoded = frames.decode(frames.encode(NONCE, "partial", 0, 0, {"text": text}), NONCE)
    assert decoded is not None
    assert decoded.fields["text"] == text


def test_half_a_character_becomes_a_question_mark():
    decoded = frames.decode(frames.encode(NONCE, "partial", 0, 0, {"text": "a\udcffb\\ud800"}), NONCE)
    assert decoded is not None
    assert decoded.fields["text"] == "a?b\\ud800"


@given(st.text(max_size=5000))
def test_what_fits_can_be_encoded(text):
    if frames.fits(text):
        frames.encode("n" * 64, "progress", 10**12, 10**15, {"text": text})
