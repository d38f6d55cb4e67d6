"""Frames: structured facts as single lines within a stream of plain text; read and made at both ends."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

VERSION = 1
PREFIX = "\x1b]777;zmnb;"
SUFFIX = "\x07"
LINE_LIMIT = 16 * 1024  # bytes of a frame's line, the newline included
TEXT_LIMIT = 8 * 1024  # bytes of text that a plain line or one piece of a line may have

_TAIL_SIZE = len(',"e":"000000000000000"}') + len(SUFFIX) + 1
_SURROGATE = "\\ud"  # how half a character starts in JSON
_RESERVED = frozenset({"v", "n", "s", "at", "k", "e"})


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame; made by `decode` on the user's machine, read by what follows the run."""

    kind: str
    sequence: int  # number within its stream, from 0
    at: int  # bytes of its stream before the frame's line
    fields: Mapping[str, Any]


class FrameTooLongError(ValueError):
    """The fields do not fit into one line; nothing was written."""


def encode(nonce: str, kind: str, sequence: int, at: int, fields: Mapping[str, Any]) -> bytes:
    """Encode one frame as a line of ASCII with its newline; raises `FrameTooLongError`."""
    payload = {"v": VERSION, "n": nonce, "s": sequence, "at": at, "k": kind, **fields}
    # ASCII only: escapes keep every control character, and every line separator, out of the line.
    text = json.dumps(payload, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    if _SURROGATE in text.lower() and _has_surrogates(payload):
        whole = json.dumps(payload, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
        text = json.dumps(json.loads(whole), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    line = seal(PREFIX + text[:-1], at)
    if len(line) > LINE_LIMIT:
        raise FrameTooLongError(f"a {kind} frame of {len(line)} bytes is over the limit of {LINE_LIMIT}")
    return line


def seal(head: str, at: int) -> bytes:
    """Complete the line of a frame at byte `at`, `head` without the closing brace: it ends with where it ends.

    A server that drops old output may leave the head of a frame and the tail of the same or another one on one line.
    """
    return f'{head},"e":"{at + len(head) + _TAIL_SIZE:015d}"}}{SUFFIX}\n'.encode("ascii")


def fits(text: str) -> bool:
    """Say whether a text fits into one frame, however its characters are escaped."""
    # A character of the basic plane takes up to 6 bytes escaped, any other 12; 400 are for all the rest.
    return len(text) * 12 <= LINE_LIMIT - 400 or len(json.dumps(text)) <= LINE_LIMIT - 400


def decode(line: str | bytes, nonce: str) -> Frame | None:
    """Decode a line of a stream; None for anything that is not a well-formed frame of this run.

    Never raises: the line may be any text that a program in the sandbox has printed.
    """
    text = _ascii(line)
    if text is None or not text.startswith(PREFIX) or not text.endswith(SUFFIX):
        return None
    if (
        nonce not in text
    ):  # an escaped spelling of the nonce is not the runner's, which masks what spells it out
        return None
    try:
        payload = json.loads(text[len(PREFIX) : -len(SUFFIX)], parse_constant=_refuse_constant)
    except (ValueError, RecursionError):  # e.g. hostile text of 8,000 brackets
        return None
    if not isinstance(payload, dict) or not _is_count(payload.get("v")) or payload["v"] != VERSION:
        return None
    if payload.get("n") != nonce or (_SURROGATE in text.lower() and _has_surrogates(payload)):
        return None
    kind, sequence, at = payload.get("k"), payload.get("s"), payload.get("at")
    if not isinstance(kind, str) or sequence is None or at is None:
        return None
    if not _is_count(sequence) or not _is_count(at):
        return None
    if payload.get("e") != f"{at + len(text) + 1:015d}":
        return None
    check = KINDS.get(kind)
    fields = {key: value for key, value in payload.items() if key not in _RESERVED}
    if check is None or not check(fields):
        return None
    return Frame(kind, sequence, at, fields)


def _ascii(line: str | bytes) -> str | None:
    if len(line) > LINE_LIMIT:
        return None
    try:
        text = line.decode("ascii") if isinstance(line, bytes) else line
    except UnicodeDecodeError:
        return None
    if not text.isascii():
        return None
    return text.removesuffix("\n")


def _has_surrogates(payload: dict[str, Any]) -> bool:
    """Say whether some text cannot be written as UTF-8, e.g. that of a file name with invalid bytes."""
    try:
        json.dumps(payload, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**63  # bool is an int, but no count


def _is_seconds(value: object) -> bool:
    return type(value) in (int, float) and value >= 0  # type: ignore[operator]  # checked just before


def _is_uses(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(use, list) and len(use) == 2 and all(map(_is_count, use)) for use in value
    )


def _is_optional_text(value: object) -> bool:
    return value is None or isinstance(value, str)


def _is_mapping(value: object) -> bool:
    return isinstance(value, dict)


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_reasons(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and not set(value) - set("0123456789abcdef")


def _is_file_name(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[0-9A-Za-z_-]{1,100}\.zmnb", value) is not None


def _is_inside(value: object) -> bool:
    """A path below the run's directory, e.g. out/result.zmnb: never absolute, never upwards."""
    return (
        isinstance(value, str) and bool(value) and not value.startswith("/") and ".." not in value.split("/")
    )


def _is_error_frame(value: object) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == {"file", "line", "name", "text"}
        and _is_text(value["file"])
        and _is_count(value["line"])
        and _is_text(value["name"])
        and _is_text(value["text"])
    )


def _is_error_frames(value: object) -> bool:
    return isinstance(value, list) and all(_is_error_frame(item) for item in value)


def _is_errors(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) and _error_record(item) for item in value)


def _is_missing(value: object) -> bool:
    """What an error lacks, by kind, e.g. {"file": "data.csv"}."""
    return (
        isinstance(value, dict) and set(value) <= {"file", "variable"} and all(map(_is_text, value.values()))
    )


def _is_files(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, dict)
        and set(item) == {"path", "size"}
        and _is_text(item["path"])
        and _is_count(item["size"])
        for item in value
    )


Check = Callable[[object], bool]


def _shape(
    required: Mapping[str, Check], optional: Mapping[str, Check] | None = None
) -> Callable[[Mapping[str, Any]], bool]:
    checks = {**required, **(optional or {})}

    def check(fields: Mapping[str, Any]) -> bool:
        return set(required) <= set(fields) and all(
            name in checks and checks[name](value) for name, value in fields.items()
        )

    return check


_error_record = _shape(
    {"ename": _is_text, "evalue": _is_text, "frames": _is_error_frames},
    {
        "missing": _is_missing,
        "notes": _is_texts,
        "cause": _is_errors,
        "context": _is_errors,
        "pickled": _is_optional_text,
        "group": _is_text,
    },
)
_file = {"file": _is_inside, "size": _is_count, "sha256": _is_digest}
_of_display = {"id": _is_text, "update": _is_flag}
_inline_display = _shape({"data": _is_mapping, "metadata": _is_mapping}, _of_display)
_filed_display = _shape(_file, _of_display)
_files = {"directory": _is_text, "unlisted": _is_flag, "written": _is_files, "more": _is_count}
_listed_files = _shape(_files)
_fetched_files = _shape({**_files, **_file})
_result = {
    "ok": _is_flag,
    "seconds": _is_seconds,
    "names": _is_texts,
    "lost": _is_reasons,
    "last": _is_flag,
    "stderr": _is_count,
}
_stored_result = _shape({**_result, "parts": _is_count, "size": _is_count, "sha256": _is_digest})
_inline_result = _shape({**_result, "inline": _is_text})
_filed_result = _shape({**_result, **_file})

KINDS: Mapping[str, Callable[[Mapping[str, Any]], bool]] = {
    "hello": _shape({"python": _is_text, "directory": _is_text, "pid": _is_count}),
    "begin": _shape({"cloudpickle": _is_text}, {"gpu": _is_optional_text}),
    "gpu": _shape({"name": _is_text}),
    "resources": _shape({"cpu": _is_seconds, "memory": _is_count}, {"gpu": _is_uses}),
    "mark": _shape({}),
    "partial": _shape({"text": _is_text}),
    "progress": _shape({"text": _is_text}),
    "display": lambda fields: _inline_display(fields) or _filed_display(fields),
    "clear": _shape({"wait": _is_flag}),
    "files": lambda fields: _listed_files(fields) or _fetched_files(fields),
    "stored": _shape({"volume": _is_file_name, "size": _is_count, "sha256": _is_digest, "whole": _is_count}),
    "error": lambda fields: "pickled" in fields and _error_record(fields),
    "result": lambda fields: any(shape(fields) for shape in (_inline_result, _filed_result, _stored_result)),
    "end": _shape({}),
    "abandoned": _shape({}),
}
