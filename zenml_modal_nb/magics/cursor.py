"""Where the cursor stands on a magic's line: which option or value is being written, and what there is of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from zenml_modal_nb.magics.options import BY_FLAG, OF_DOCTOR

# A cell magic is one only on the cell's first line that is not blank; the line magics may stand anywhere.
_CELL_MAGIC = re.compile(r"%%(?:modal_step|modal_pick)\s")
_LINE_MAGIC = re.compile(r"\s*(?:[^%=]+=\s*)?%(?:modal_pick|modal_doctor)\s")  # e.g. picker = %modal_pick
_SPACES = " \t\r\n"  # shlex's


@dataclass(frozen=True, slots=True)
class Cursor:
    """What stands before the cursor; made from a cell's text, read by completion."""

    given: tuple[str, ...]  # the words before, without quotes
    flag: str | None  # the option whose value is being written; None: an option's name is
    fragment: str  # as typed: what a completion replaces
    word: str  # the same without quotes and backslashes
    quoted: bool  # inside quotes: what is inserted needs none of its own
    of_doctor: bool = False  # on the line of %modal_doctor, which has options of its own

    @property
    def flags(self) -> frozenset[str]:
        """The options before the cursor; a value that looks like one counts as well."""
        return frozenset(word.partition("=")[0] for word in self.given)

    def text_of(self, flag: str) -> str | None:
        """Return the last value that an option has before the cursor."""
        found = None
        for word, following in zip(self.given, (*self.given[1:], None), strict=True):
            name, equals, value = word.partition("=")
            if name == flag:
                found = value if equals else following
        return found


def locate(text: str, line: int, column: int) -> Cursor | None:
    """Return what stands before the cursor, None where no line of ours is; `line` and `column` count from 0."""
    lines = text.split("\n")
    if line >= len(lines):
        return None
    before = lines[line][:column]
    first = not any(each.strip() for each in lines[:line])
    magic = (_CELL_MAGIC.match(before) if first else None) or _LINE_MAGIC.match(before)
    return None if magic is None else _cursor(before[magic.end() :], "%modal_doctor" in magic[0])


def _cursor(before: str, of_doctor: bool) -> Cursor:
    takes_value = _takes_value_of_doctor if of_doctor else _takes_value
    given, raw, word, quote = _split(before)
    flag = given[-1] if given else ""
    name, equals, value = word.partition("=")
    if equals and takes_value(name):
        flag, raw, word = name, raw[raw.index("=") + 1 :], value
    elif not takes_value(flag) or word.startswith("--"):
        return Cursor(given, None, raw, word, quote is not None, of_doctor)
    if quote is not None and raw.startswith(quote):
        raw = raw[1:]
    return Cursor(given, flag, raw, word, quote is not None, of_doctor)


def _takes_value(flag: str) -> bool:
    option = BY_FLAG.get(flag)
    return option is not None and option.metavar is not None


def _takes_value_of_doctor(flag: str) -> bool:
    return flag in OF_DOCTOR and OF_DOCTOR[flag] is not None


def _split(before: str) -> tuple[tuple[str, ...], str, str, str | None]:
    """Return the whole words, the last one as typed and without quotes, and the quote that is still open.

    As a shell reads it; `shlex` would refuse a line that somebody is still writing.
    """
    words: list[str] = []
    word, quote, start, escaped = "", None, None, False
    for at, letter in enumerate(before):
        if start is None and letter not in _SPACES:
            start = at
        if escaped:
            # In double quotes a backslash escapes a quote and itself, and is one before anything else.
            kept = "\\" if quote is not None and letter not in '"\\' else ""
            word, escaped = f"{word}{kept}{letter}", False
        elif letter == "\\" and quote != "'":
            escaped = True
        elif quote is not None:
            if letter == quote:
                quote = None
            else:
                word += letter
        elif letter in "'\"":
            quote = letter
        elif letter not in _SPACES:
            word += letter
        elif start is not None:
            words.append(word)
            word, start = "", None
    return tuple(words), "" if start is None else before[start:], word, quote
