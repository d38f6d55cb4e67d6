"""Commands of an image's build with their paths led into the image's own directory.

There is no root file system, and a command must not harm the machine: `rm -rf /var/lib/apt/lists/*` must not remove
the user's. This reads a line as a shell does, as far as quotes, operators and the beginnings of words go, also the
text that a line hands to another shell; what a program computes itself it cannot see. So this gives an image its
paths; what keeps the machine from harm is the `wall`, and where there is none, `unproven`.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from zenml_modal_nb.emulator.places import HOME, Place

_MODULE_PIP = re.compile(r"\bpython3?(?:\.\d+)? -m pip3?\b")
_ABSOLUTE = re.compile(r"/[\w./@%+~*?-]*")
_VARIABLE = re.compile(r"(?P<quote>\"?)\$(?:\{(?P<braced>\w+)\}|(?P<plain>\w+))(?P=quote)(?=/)")
_USER = re.compile(r"~(?P<name>[A-Za-z_][\w-]*)(?=/|$|[\s;&|)])")

# A path begins a word, or follows one of these, e.g. --prefix=/x, -C/x, open('/x'), ${X:-/x}; of a URL only file://
_BEGINS = re.compile(r"(?:^|[\s;&|(<>={`,!\[@'\"]|(?:^|[\s;&|('\"])-[A-Za-z]|\$\{\w+:?[-+?]|\bfile://)$")
_BEGINS_ESCAPED = re.compile(r"(?:^|[\s;&|(<>=])\\$")
_GOES_ON = re.compile(r"[\[{\\\"']|\$[\w({]|`")
_WORD_BEGINS = re.compile(r"(?:^|[\s;&|()<>=`]|(?:^|\s)-[CDoOpPtTwWrR]|\$\{\w+:?[-+?])$")
_WORD_ENDS = re.compile(r"$|[\s;&|()<>`}]")

# What is in quotes after one of these is a line of a shell's again.
_NESTED = re.compile(
    r"(?:\b(?:ba|da|a|k|z)?sh(?:\s+-\S+)*?\s+-[a-zA-Z]*c|\bsu\b[^;&|'\"]*\s-c|\benv\s+-S|\beval(?:\s+--)?)\s+$"
)

# Programs that make commands, or a path, of text that they are given.
_INTERPRETER = r"(?:(?:ba|da|a|fi|k|z|c|tc)?sh|python|perl|ruby|node|php|lua|su|env)[\d.]*"
_READERS = re.compile(
    rf"(?:^|[\s;&|(`/])(?P<name>{_INTERPRETER}(?=\s[^;&|]*-[a-zA-Z]*[ceES])|(?:eval|xargs|parallel|source)(?=\s)"
    rf"|-exec(?:dir)?(?=\s)|-ok(?:dir)?(?=\s))|\|\s*(?:[\w/]*/)?(?P<piped>{_INTERPRETER})(?=$|[\s;&|)])"
)

# Programs are the machine's, where one is called; as an argument such a path is the image's, which has none.
_PROGRAMS = re.compile(r"/(?:usr/)?s?bin/[^/]+")
_CALLED = re.compile(
    r"(?:^|[;&|(`\n{!]|\b(?:then|do|else|elif|if|while|until|exec|env|sudo|time|nohup|xargs|command|eval)"
    r"|-(?:c|exec|execdir|ok))\s*(?:\w+=\S*\s+)*$"
)

# What can be read, or written to, without harm.
_DEVICES = re.compile(r"/dev/(?:null|zero|full|u?random|std(?:in|out|err)|tty|fd/\d+)")
_PROCESS = re.compile(
    r"/proc/(?:cpuinfo|meminfo|version|uptime|loadavg|stat|filesystems|mounts"
    r"|self/(?:status|stat|maps|mounts|cgroup|limits|cmdline|environ|fd/\d+))"
)

# Where a lone / is a separator rather than a directory, e.g. cut -d / -f 1
_TEXT_TOOLS = frozenset({
    "awk", "basename", "cut", "dirname", "echo", "expr", "grep", "gawk", "paste", "perl", "printf", "sed", "seq",
    "sort", "tr", "test", "[",
})  # fmt: skip

_SCRIPTED = frozenset({"awk", "egrep", "gawk", "grep", "sed"})
_SCRIPT_HERE = re.compile(
    r"-[A-Za-z]*e|--(?:expression|regexp)="
)  # a script in the same word, e.g. -e's/a/b/'
_SCRIPT_NEXT = re.compile(r"-[A-Za-z]*e|--(?:expression|regexp)")
_SCRIPT_GIVEN = re.compile(r"-[A-Za-z]*[ef]|--(?:expression|regexp|file)(?:=|$)")
_WINDOW = 500  # characters looked back at: enough for what a word follows

_PLAIN, _SINGLE, _DOUBLE = "", "'", '"'


def relocated(command: str, place: Place, venv: Path) -> str:
    """`command` with its absolute paths, `~user` and unset variables before a `/` below the image's directory."""
    line = _Line.read(_MODULE_PIP.sub("pip", command))
    return line.replaced(lambda start: _led(line, start, place, venv))


def unproven(command: str) -> str | None:
    """The program in `command` that is given text with a path which `relocated` leaves as it is, if any.

    E.g. xargs of `echo / | xargs rm -rf`: to one it is a separator, to the other the machine's files.
    """
    reader = _READERS.search(command)
    if not reader:
        return None  # most commands, without reading them letter by letter
    left = []
    line, place = _Line.read(command), Place(Path("/image"))

    def look(start: int) -> tuple[int, str] | None:
        led = _led(line, start, place, place.root)
        if led is None and line.text[start] == "/" and (_begins(line, start) or line.is_escaped(start)):
            left.append(start)
        return led

    line.replaced(look)
    return (reader["name"] or reader["piped"]) if left else None


@dataclass(frozen=True)
class _Line:
    """A command line; `quotes` has, for each character, the quote it is in. Made by `read`."""

    text: str
    quotes: tuple[str, ...]

    @classmethod
    def read(cls, text: str) -> _Line:
        quotes, now, escaped = [], _PLAIN, False
        for letter in text:
            quotes.append(now)
            if escaped:
                escaped = False
            elif letter == "\\" and now != _SINGLE:
                escaped = True
            elif letter in (_SINGLE, _DOUBLE) and now in (_PLAIN, letter):
                now = _PLAIN if now else letter
        return cls(text, tuple(quotes))

    def replaced(self, lead: Callable[[int], tuple[int, str] | None]) -> str:
        """The text with what `lead` says for a position: (end, replacement), or None to go on."""
        parts, position = [], 0
        while position < len(self.text):
            found = lead(position) if self.text[position] in '/~$"' else None
            end, part = found or (position + 1, self.text[position])
            parts.append(part)
            position = end
        return "".join(parts)

    def opens(self, position: int) -> bool:
        """Whether the character before is the shell's own quote that opens what this position is in."""
        return bool(position and self.quotes[position] and not self.quotes[position - 1])

    def is_escaped(self, position: int) -> bool:
        """Whether a word begins here with a backslash that means nothing, e.g. before /etc."""
        return self.quotes[position] == _PLAIN and bool(_BEGINS_ESCAPED.search(self.before(position)))

    def nested(self, position: int) -> int | None:
        """Where the text of another shell begins that this position is in, e.g. of sh -c "cd /x"."""
        start, quote = position, self.quotes[position]
        while quote and start and self.quotes[start - 1] == quote:
            start -= 1
        return start if quote and _NESTED.search(self.before(start - 1)) else None

    def quoted(self, path: str, position: int, quote: str) -> str:
        """The path as it is written here in these quotes, e.g. with its spaces escaped where none hold them."""
        nested = self.nested(position)
        if nested is not None:
            other = _SINGLE if quote == _DOUBLE else _DOUBLE
            if self.text[nested:position].count(other) % 2 == 0:
                path = _quoted(path, _PLAIN)  # for the shell that reads the text
        return _quoted(path, quote)

    def before(self, position: int) -> str:
        """What comes before, as far back as it matters."""
        return self.text[max(0, position - _WINDOW) : position]

    def in_arithmetic(self, position: int) -> bool:
        """Whether this is within $((…)), where a / divides."""
        before = self.before(position)
        return before.rfind("$((") > before.rfind("))")

    def is_word(self, start: int, end: int) -> bool:
        """Whether this begins a word of the shell's, in quotes or not, or its value, e.g. of=/, and ends with it.

        What is alone in its quotes counts too: '/' in '/'etc.
        """
        if (nested := self.nested(start)) is not None:
            closed = self.text[end : end + 1] == self.quotes[start]
            begins = bool(_WORD_BEGINS.search(self.text[nested:start]))
            return begins and (closed or bool(_WORD_ENDS.match(self.text, end)))
        if self.opens(start):
            closed = self.text[end : end + 1] == self.quotes[start]
            return closed and bool(_WORD_BEGINS.search(self.before(start - 1)))
        if self.quotes[start]:
            return False
        return bool(_WORD_BEGINS.search(self.before(start)) and _WORD_ENDS.match(self.text, end))

    def called(self, position: int) -> bool:
        """Whether the word that begins here is a program to be run."""
        start = position - 1 if self.opens(position) else position
        before = self.before(start)
        # Within a program's text, e.g. of sh -c, a bracket is not the shell's.
        bracket = self.quotes[start] and before.rstrip(" ").endswith(("(", "{", "!", "\n"))
        return bool(_CALLED.search(before)) and not bracket

    def words(self, position: int) -> list[str]:
        """The words of the command that this position is in, and what there is of its own word before it.

        Variables that are set for the command are left out.
        """
        nested = self.nested(position)
        begin = max(0, position - _WINDOW) if nested is None else nested
        ends = (
            n
            for n in range(position - 1, begin - 1, -1)
            if (nested is not None or not self.quotes[n]) and self.text[n] in ";&|(\n`"
        )
        text = self.text[next(ends, begin - 1) + 1 : position]
        words = text.split()
        if not words or text[-1].isspace():
            words.append("")
        while len(words) > 1 and re.match(r"\w+=.", words[0]):
            del words[0]
        return words

    def is_text(self, position: int) -> bool:
        """Whether a / here is a separator, or begins a pattern, e.g. cut -d / or sed '/x/d'."""
        *words, own = self.words(position)
        program, *words = words or [""]
        if posixpath.basename(program.strip("'\"")) not in _SCRIPTED:
            return False
        if _SCRIPT_HERE.match(own) or (words and _SCRIPT_NEXT.fullmatch(words[-1])):
            return True
        given = any(_SCRIPT_GIVEN.match(word) for word in words)
        return not given and not own.startswith("-") and all(word.startswith("-") for word in words)


def _led(line: _Line, start: int, place: Place, venv: Path) -> tuple[int, str] | None:
    quote, begins, nested = line.quotes[start], _begins(line, start), line.nested(start) is not None
    named = _VARIABLE.match(line.text, start)
    if named and begins and (quote != _SINGLE or nested):
        name = named["braced"] or named["plain"]
        root = line.quoted(str(place.root), start, _DOUBLE if named["quote"] else quote)
        return named.end(), f"{named['quote']}${{{name}:-{root}}}{named['quote']}"
    user = _USER.match(line.text, start)
    if user and begins and (quote == _PLAIN or nested):
        home = HOME if user["name"] == "root" else f"/home/{user['name']}"
        return user.end(), line.quoted(str(place.inside(home)), start, quote)
    found = _ABSOLUTE.match(line.text, start)
    if not found or not (begins or line.is_escaped(start)) or line.is_text(start):
        return None
    end = found.end()
    path = "/" + posixpath.normpath(found.group()).lstrip("/")  # of // and .. nothing is left
    if path == "/":
        return _top(line, start, end, place)
    if path.startswith("/.uv/") and path.endswith("/uv"):
        return end, "uv"
    if _DEVICES.fullmatch(path) or _PROCESS.fullmatch(path):
        return end, path
    called = line.before(start).endswith("#!") or line.called(start)
    if called and _PROGRAMS.fullmatch(path) and os.path.exists(path):
        return end, path
    slash = "/" if found.group().endswith("/") else ""
    if path.startswith("/usr/local/bin/"):
        return end, line.quoted(str(venv / path.removeprefix("/usr/local/")) + slash, start, quote)
    return end, line.quoted(str(place.inside(path)) + slash, start, quote)


def _top(line: _Line, start: int, end: int, place: Place) -> tuple[int, str] | None:
    """What a / with no name after it is led to: only where it is a directory for certain."""
    quote, nested = line.quotes[start], line.nested(start) is not None
    words = line.words(start)
    if (words and posixpath.basename(words[0]) in _TEXT_TOOLS) or words[:1] == ["IFS="]:
        return None
    goes_on = _GOES_ON.match(line.text, end)
    if goes_on and (quote == _PLAIN or nested or (quote == _DOUBLE and goes_on.group()[0] in "$`")):
        return end, line.quoted(str(place.root), start, quote) + "/"  # e.g. /$X, /[e]tc
    if line.is_word(start, end) and not line.in_arithmetic(start):
        more = quote and not nested and not _WORD_ENDS.match(line.text, end + 1)
        return end, line.quoted(str(place.root), start, quote) + ("/" if more else "")
    return None


def _begins(line: _Line, start: int) -> bool:
    """Whether a path can begin here: not in the middle of a word, e.g. a/b, or of a URL."""
    before = line.before(start)
    if before.endswith((_SINGLE, _DOUBLE)) and not line.quotes[start] and line.quotes[start - 1]:
        # After a word's quoted part, e.g. "$HOME"/x; an empty one is nothing, e.g. ""/x
        return before[-2:-1] == before[-1]
    return bool(_BEGINS.search(before))


def _quoted(path: str, quote: str) -> str:
    """The path as it is written there, e.g. with its spaces escaped where no quote keeps them together."""
    if quote == _PLAIN:
        return re.sub(r"([^\w./@%+~*?:-])", r"\\\1", path)
    return path if quote == _SINGLE else re.sub(r'([\\"$`])', r"\\\1", path)
