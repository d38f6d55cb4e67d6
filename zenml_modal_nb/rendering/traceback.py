"""An error of a sandbox drawn as IPython draws its own: the cell's lines in full, library code folded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from zenml_modal_nb.rendering.ansi import clean, plain

AROUND = 2  # lines of the cell shown before and after the one that failed
UNFOLDED = 6  # library frames in a row that are still shown one by one
MOST_FRAMES = 100  # per error; a RecursionError has a thousand that say the same
DEEPEST = 5  # errors in one chain of causes
LONGEST_LINE = 500  # characters
LONGEST_VALUE = 10_000

# IPython's "Context" traceback with its "Linux" style (IPython 9, `IPython.core.ultratb`).
_RED, _CYAN, _GREEN, _BLUE, _BRIGHT, _END = (f"\x1b[{code}m" for code in (31, 36, 32, 34, "30;43", 0))
_RULE = "-" * 75
_MOST_NOTES = 10
_OTHER_CELL = "Cell In["  # what the frames of the notebook's other cells have for a file, in IPython's words
_CAUSE = "The above exception was the direct cause of the following exception:"
_CONTEXT = "During handling of the above exception, another exception occurred:"


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """One frame as the runner reports it; `text` is its source line, empty if unknown."""

    file: str
    line: int
    name: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class ErrorRecord:
    """An error as the runner reports it; made by `read`, drawn by `draw`. Frames are innermost last."""

    ename: str
    evalue: str
    frames: tuple[FrameRecord, ...] = ()
    cause: ErrorRecord | None = None
    context: ErrorRecord | None = None
    notes: tuple[str, ...] = ()  # of `add_note`, and ours


def read(report: Mapping[str, object], *, depth: int = 0) -> ErrorRecord:
    """Make a record of an `error` frame's JSON; what is missing or of a wrong type is left out.

    The report comes from a sandbox and is bounded here: frames, chained errors and the length of every text.
    """
    listed = report.get("frames")
    frames = (
        [_frame(frame) for frame in listed if isinstance(frame, Mapping)] if isinstance(listed, list) else []
    )
    if len(frames) > MOST_FRAMES:
        frames = frames[: MOST_FRAMES // 2] + frames[-MOST_FRAMES // 2 :]

    notes = report.get("notes")

    def chained(key: str) -> ErrorRecord | None:
        other = report.get(key)
        return read(other, depth=depth + 1) if isinstance(other, Mapping) and depth < DEEPEST else None

    return ErrorRecord(
        ename=_text(report.get("ename"), LONGEST_LINE) or "Exception",
        evalue=_text(report.get("evalue"), LONGEST_VALUE),
        frames=tuple(frames),
        cause=chained("cause"),
        context=chained("context"),
        notes=tuple(_text(each, LONGEST_VALUE) for each in notes[-_MOST_NOTES:])
        if isinstance(notes, list)
        else (),
    )


def draw(
    error: ErrorRecord,
    *,
    cell_file: str,
    cell_lines: Sequence[str],
    cell_label: str,
) -> list[str]:
    """Return the traceback's lines, with colours, for IPython's `_render_traceback_`.

    `cell_file` is the file name that frames of the cell carry, `cell_lines` the cell as the user wrote it and
    `cell_label` e.g. "Cell In[5]".
    """
    lines: list[str] = []
    for place, (link, link_text) in enumerate(_chain(error)):
        if place:
            lines += ["", link_text, ""]
        lines += _one(link, cell_file, cell_lines, cell_label)
    return lines


def _chain(error: ErrorRecord) -> list[tuple[ErrorRecord, str]]:
    """Return the errors, first one first, each with what links it to the one before."""
    chain: list[tuple[ErrorRecord, str]] = []
    current: ErrorRecord | None = error
    while current is not None and len(chain) <= DEEPEST:
        chain.append((current, _CAUSE if current.cause is not None else _CONTEXT))
        current = current.cause or current.context
    return chain[::-1]


def _one(error: ErrorRecord, cell_file: str, cell_lines: Sequence[str], cell_label: str) -> Iterator[str]:
    ename = plain(error.ename)[:LONGEST_LINE]
    yield f"{_RED}{_RULE}{_END}"
    yield f"{_RED}{ename}{_END}{'Traceback (most recent call last)':>{max(34, len(_RULE) - len(ename))}}"
    for in_library, group in groupby(error.frames, key=lambda frame: _in_library(frame, cell_file)):
        if in_library:
            yield from _library_frames(list(group))
            continue
        for frame in group:
            here = frame.file == cell_file
            yield from _cell_frame(frame, cell_lines if here else (), cell_label if here else frame.file)
    yield (
        f"{_RED}{ename}{_END}: {clean(error.evalue)[:LONGEST_VALUE]}"
        if error.evalue
        else f"{_RED}{ename}{_END}"
    )
    yield from (clean(note) for note in error.notes)


def _in_library(frame: FrameRecord, cell_file: str) -> bool:
    return frame.file != cell_file and not frame.file.startswith(_OTHER_CELL)


def _cell_frame(frame: FrameRecord, cell_lines: Sequence[str], cell_label: str) -> Iterator[str]:
    inside = "" if frame.name in ("", "<module>") else f", in {_CYAN}{_line(frame.name)}{_END}"
    yield f"{_CYAN}{_line(cell_label)}{_END}, {_GREEN}line {frame.line}{_END}{inside}"
    if 1 <= frame.line <= len(cell_lines):
        first = max(1, frame.line - AROUND)
        last = min(len(cell_lines), frame.line + AROUND)
        yield from (_numbered(at, cell_lines[at - 1], at == frame.line) for at in range(first, last + 1))
    elif frame.text:
        yield _numbered(frame.line, frame.text, True)
    yield ""


def _library_frames(frames: Sequence[FrameRecord]) -> Iterator[str]:
    # The call from the cell and the place that raised say most; what lies between is the library's business.
    folded = len(frames) - UNFOLDED if len(frames) > UNFOLDED else 0
    shown = [*frames[:1], None, *frames[1 + folded :]] if folded else list(frames)
    for frame in shown:
        if frame is None:
            yield f"    … {folded} more frames of libraries …"
        else:
            place = f"{_GREEN}{_line(frame.file)}:{frame.line}{_END}"
            yield f"{_CYAN}File{_END} {place}, in {_CYAN}{_line(frame.name)}{_END}"
            if frame.text:
                yield _numbered(frame.line, frame.text.strip(), True)
        yield ""


def _numbered(number: int, text: str, failed: bool) -> str:
    """Return a source line with its number in IPython's seven columns, e.g. "----> 3 1 / 0"."""
    source = _line(text)
    if not failed:
        return f"{_GREEN}{number:>7}{_END} {source}".rstrip()
    arrow = "-" * max(1, 5 - len(str(number))) + "> "
    indent = source[: len(source) - len(source.lstrip())]
    return f"{_GREEN}{arrow}{number}{_END} {indent}{_BRIGHT}{source.strip()}{_END}"


def _line(text: str) -> str:
    """Return one harmless line that keeps its indentation."""
    line = clean(text[:LONGEST_LINE]).replace("\x1b", "").replace("\r", "")
    return line.split("\n", 1)[0].rstrip()


def _frame(frame: Mapping[object, object]) -> FrameRecord:
    line = frame.get("line")
    return FrameRecord(
        file=_text(frame.get("file"), LONGEST_LINE) or "<unknown>",
        line=line if isinstance(line, int) and 0 <= line < 10_000_000 else 0,
        name=_text(frame.get("name"), LONGEST_LINE),
        text=_text(frame.get("text"), LONGEST_LINE),
    )


def _text(value: object, most: int) -> str:
    return value[:most] if isinstance(value, str) else ""
