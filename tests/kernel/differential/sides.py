"""The two ways to run a case: all of it in one kernel, or its cell in a sandbox; and what can be seen of each."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections import deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from itertools import cycle
from pathlib import Path
from textwrap import dedent
from typing import Any

from corpus.case import Case
from frontend import Kernel, Message, Reply

# What differs between any two runs of one cell.
_NOISE = (
    (re.compile(r"0x[0-9a-f]{4,}"), "0x…"),
    (re.compile(r"\r+\n"), "\n"),  # a terminal's, which IPython gives to `!cmd`
    (re.compile(r"\b\d[\d.e+-]* ?(?:s|ms|[µμu]s|ns)\b"), "<time>"),
    (re.compile(r"The slowest run took [^\n]*\n"), ""),  # `%timeit` on a busy machine
    (re.compile(r"sk-container-id-\d+"), "sk-container-id"),
    (re.compile(r"^.+:(\d+): (?=\w*Warning)", re.M), r"<cell>:\1: "),
    # Of a group Python prints all frames, also the one in which IPython runs the cell.
    (re.compile(r'^ +\| +File "[^"\n]*/IPython/.*\n +\| +exec\(.*\n', re.M), ""),
    (re.compile(r'"[^"\n]*ipykernel_\d+/\d+\.py"|"<Cell In\[\d+\]>"'), '"<cell>"'),
    # IPython's advice after an exit, which Python shows once in a process.
    (re.compile(r"^.*UserWarning: To exit: use.*\n.*\n", re.M), ""),
    (re.compile(r"[^\n]*\r(?!\n)"), ""),  # a line that was rewritten: its last state counts
)
NAMESPACE = "__import__('structure').of(get_ipython().user_ns)"
# As in a new process: cases run by turns in several kernels, and none is to see what another has left.
_FILTERS = "__import__('warnings').filters.__setitem__(slice(None), __import__('structure').FILTERS)"
AHEAD = 2  # cases
_GO_ON = {"stop_on_error": False}  # what is queued behind a failing cell still runs
_LINE = re.compile(r"Cell In\[\d+\], line (\d+)")
_NEXT_ERROR = re.compile(r"The above exception was|During handling of the above")


@dataclass(frozen=True)
class Shown:
    """What one cell has shown, comparable."""

    output: list[object]  # standard output, displays and results, in order
    stderr: str
    error: tuple[str, str] | None
    lines: list[str]  # of the notebook's cells, in the traceback


@dataclass(frozen=True)
class Outcome:
    """What a user has after a case's cell."""

    shown: list[Shown]  # of the cell and of those after it
    before: dict[str, Any]  # the namespace, as `structure` describes it
    after: dict[str, Any]
    started: bool  # a run exists

    def differences(self, here: Outcome) -> list[str]:
        """Where this outcome is not what the same cells do here."""
        shown = differences(
            [asdict(each) for each in self.shown], [asdict(each) for each in here.shown], "shown"
        )
        return shown + differences(self.after, here.after, "after")

    def without_names(self, names: Iterable[str]) -> Outcome:
        """The same without variables that cannot come back."""
        kept = {name: each for name, each in self.after["names"].items() if name not in names}
        return replace(self, after={**self.after, "names": kept})

    def without_lines(self, lines: list[str]) -> Outcome:
        """The same without what the cell's standard error tells of them."""
        first, *rest = self.shown
        kept = [each for each in first.stderr.splitlines(keepends=True) if each not in lines]
        return replace(self, shown=[replace(first, stderr="".join(kept)), *rest])


def differences(there: object, here: object, place: str = "") -> list[str]:
    """Where two descriptions differ, each with what is there and what is here."""
    match there, here:
        case dict(), dict():
            pairs = [
                (f"{place}.{key}", there.get(key, "nothing"), here.get(key, "nothing"))
                for key in {**there, **here}
            ]
        case list(), list() if len(there) == len(here):
            pairs = [
                (f"{place}[{number}]", one, other)
                for number, (one, other) in enumerate(zip(there, here, strict=True))
            ]
        case _:
            return [] if there == here else [f"{place}: there {there!r}, here {here!r}"]
    return [found for name, one, other in pairs for found in differences(one, other, name)]


@dataclass(frozen=True)
class Sent:
    """What a kernel was asked for on behalf of one case."""

    reset: str
    setup: list[str]
    before: str
    cell: str
    after: str
    started: str
    then: list[str]


class Side:
    """One kernel; made by a fixture, with or without the extension."""

    def __init__(self, kernel: Kernel, directory: str, magic: str = "", *, apart: bool = False) -> None:
        self._kernel = kernel
        self._magic = magic
        self._apart = (
            apart  # each case in a notebook of its own name, whose images hold nothing of other cases
        )
        self._known: dict[str, Outcome] = {}
        kernel.run(
            "import os, sys\n"
            f"os.makedirs({directory!r})\nos.chdir({directory!r})\n"
            f"sys.path.insert(0, {str(Path(__file__).parent)!r})\nimport structure\nsys.path.pop(0)"
        )

    def run(self, case: Case) -> Outcome:
        """Run a case in a notebook that has run nothing yet; once, however often it is asked for."""
        if case.name not in self._known:
            self._known[case.name] = self.finish(self.send(case))
        return self._known[case.name]

    def send(self, case: Case) -> Sent:
        """Ask for all of a case to be run."""
        kernel = self._kernel
        steps = ["get_ipython().reset()", "get_ipython().compile.reset_compiler_flags()", _FILTERS]
        if self._apart:
            name = "-".join(re.findall(r"\w+", case.name))
            steps.append(f"get_ipython().user_ns.update(__vsc_ipynb_file__={name!r})")
        return Sent(
            kernel.question(f"[{', '.join(steps)}]", **_GO_ON),
            [kernel.send(text_of(cell), **_GO_ON) for cell in case.setup],
            kernel.question(NAMESPACE, **_GO_ON),
            kernel.send(self._cell(case), **_GO_ON),
            kernel.question(NAMESPACE, **_GO_ON),
            kernel.question("'_modal_run' in globals()", **_GO_ON),
            [kernel.send(text_of(cell), **_GO_ON) for cell in case.then],
        )

    def finish(self, sent: Sent) -> Outcome:
        """Wait for a case's end."""
        kernel = self._kernel
        kernel.answer(sent.reset)
        for cell in sent.setup:
            reply = kernel.finish(cell)
            assert reply.ok, reply.content
        before = kernel.answer(sent.before)
        seen = [shown(kernel.finish(sent.cell))]
        after, started = kernel.answer(sent.after), kernel.answer(sent.started)
        seen += [shown(kernel.finish(cell)) for cell in sent.then]
        kernel.seen.clear()  # what comes from here on is the next case's
        return Outcome(seen, before, after, started)

    def _cell(self, case: Case) -> str:
        body = text_of(case.cell)
        if self._magic:
            return f"{self._magic} {case.options}\n{body}"
        if case.here is not None:
            body = text_of(case.here)
        # As many lines down as below a magic line, so that every line has the same number.
        return body if body.startswith("%%") else f"#\n{body}"


class Ahead:
    """Cases sent to several kernels by turns, some of them before they are asked for."""

    def __init__(self, cases: list[Case], kernels: list[Side]) -> None:
        self._waiting = deque(cases)
        self._kernels = cycle(kernels)
        self._sent: dict[str, tuple[Side, Sent]] = {}

    def outcome(self, case: Case) -> Outcome:
        """Wait for a case to end."""
        while self._waiting and (case.name not in self._sent or len(self._sent) <= AHEAD):
            self._send(self._waiting.popleft())
        kernel, sent = self._sent.pop(case.name)
        return kernel.finish(sent)

    def _send(self, case: Case) -> None:
        kernel = next(self._kernels)
        self._sent[case.name] = kernel, kernel.send(case)


def text_of(cell: str) -> str:
    """A cell as the user has it; in the corpus, those of several lines are indented below their quotes."""
    return dedent(cell).strip("\n") if cell.startswith("\n") else cell


def shown(reply: Reply) -> Shown:
    output: list[object] = []
    error = None
    lines: list[str] = []
    panel = {_display_id(each) for each in reply.messages if _is_panel(each)} - {None}
    for message in reply.messages:
        content = message["content"]
        match message["msg_type"]:
            case "stream" if content["name"] == "stdout":
                if output and isinstance(output[-1], str):
                    output[-1] += content["text"]
                else:
                    output.append(content["text"])
            case "execute_result":
                output.append({"result": _quiet(content["data"]), "metadata": content["metadata"]})
            case "clear_output":
                output.clear()
            case "display_data" | "update_display_data" if _display_id(message) not in panel:
                output.append({"display": _quiet(content["data"]), "metadata": content["metadata"]})
            case "error":
                error = content["ename"], _quiet(content["evalue"])
                # IPython gives an earlier error of the same frame the line of the later one.
                lines = _LINE.findall(_NEXT_ERROR.split(reply.traceback)[-1])
    return Shown([_quiet(each) for each in output], str(_quiet(reply.stderr)), error, lines)


def _is_panel(message: Message) -> bool:
    return "Modal step" in str(message["content"].get("data", {}).get("text/html", ""))


def _display_id(message: Message) -> str | None:
    found: str | None = message["content"].get("transient", {}).get("display_id")
    return found


def _quiet(thing: object) -> object:
    if isinstance(thing, str):
        for noise, word in _NOISE:
            thing = noise.sub(word, thing)
        return thing
    if isinstance(thing, dict):
        return {kind: _shown(kind, data) for kind, data in thing.items()}
    return thing


def _shown(kind: str, data: object) -> object:
    # Metadata has a part of that name too, e.g. how wide it is shown.
    return _pixels(data) if kind == "image/png" and isinstance(data, str) else _quiet(data)


def _pixels(png: str) -> str:
    """Describe the picture itself: its file may hold when it was written and by what."""
    from matplotlib.image import imread

    if png.startswith("<png "):  # described before
        return png
    picture = imread(io.BytesIO(base64.b64decode(png)), format="png")
    return f"<png {picture.shape} {hashlib.sha256(picture.tobytes()).hexdigest()}>"
