"""Exceptions as plain records that any notebook can draw, whatever the exception's own methods do."""

from __future__ import annotations

import base64
import errno
import json
import os
import subprocess
import traceback
import types
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from cloudpickle import cloudpickle as reducers

from zenml_modal_nb.runner import pickling
from zenml_modal_nb.runner.functions import Namespace

_PICKLE_LIMIT = 4096  # bytes
# Where the code itself says it is: a zip's compiled modules do not say the zip's path.
_OURS = (
    os.path.dirname(pickling.dump.__code__.co_filename),
    os.path.dirname(reducers.subimport.__code__.co_filename),
)
_MISSING_LIMIT = 300  # characters of the name of what is missing
_START = os.getcwd()  # the sandbox's working directory, which stands for the notebook's


@dataclass(frozen=True, slots=True)
class _Measure:
    """How much of an exception is told."""

    frames: int
    text: int  # characters of a source line
    value: int  # characters of a message
    chain: int  # exceptions below the one raised


# The first that fits into the room there is.
_MEASURES = (
    _Measure(50, 200, 4000, 4),
    _Measure(50, 120, 2000, 2),
    _Measure(24, 100, 1000, 2),
    _Measure(12, 80, 500, 1),
    _Measure(6, 0, 200, 0),
    _Measure(1, 0, 100, 0),
)


def record(
    error: BaseException, filename: str, namespace: Namespace, room: int, modules: str
) -> dict[str, Any]:
    """Describe an exception in at most `room` bytes of JSON; see ARCHITECTURE.md, `error`.

    Frames begin at the cell's own file, `filename`, where the exception has been there. Files below the directory
    `modules`, where the notebook's local modules are, are named as they are beside the notebook.
    """
    below = os.path.join(modules, "")
    pickled = _pickled(error, namespace)
    fields: dict[str, Any] = {}
    for measure in _MEASURES:
        fields = {**_described(error, filename, below, measure), "pickled": pickled}
        if isinstance(error, BaseExceptionGroup):
            fields["group"] = _text(partial(_of_group, error, filename, below), measure.value)
        if len(json.dumps(fields)) <= room:
            return fields
    return {**fields, "pickled": None}


def _described(
    error: BaseException, filename: str, below: str, measure: _Measure, depth: int = 0
) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "ename": _text(lambda: type(error).__name__, measure.value),
        "evalue": _text(lambda: str(error), measure.value),
        "frames": _frames(error, filename, below, measure),
    }
    missing = _missing(error)
    if missing:
        fields["missing"] = missing
    notes = vars(error).get("__notes__")
    if isinstance(notes, list) and notes:
        fields["notes"] = [_text(partial(str, note), measure.value) for note in notes[:8]]
    if depth < measure.chain:
        if error.__cause__ is not None:
            fields["cause"] = [_described(error.__cause__, filename, below, measure, depth + 1)]
        elif error.__context__ is not None and not error.__suppress_context__:
            fields["context"] = [_described(error.__context__, filename, below, measure, depth + 1)]
    return fields


def _of_group(error: BaseException, filename: str, below: str) -> str:
    """What Python prints of a group of exceptions, from the cell's own lines on."""
    step = error.__traceback__
    while step is not None and step.tb_frame.f_code.co_filename != filename:
        step = step.tb_next
    printed = "".join(traceback.format_exception(type(error), error, step or error.__traceback__))
    return printed.replace(f'File "{below}', 'File "')


def _missing(error: BaseException) -> dict[str, str]:
    """Say which file or variable of the environment an error lacks; the notebook may have it."""
    if not isinstance(error, FileNotFoundError | KeyError):
        return {}
    innermost = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        innermost = frame.f_code
    if isinstance(error, KeyError):
        # Not just any mapping that lacks a key: os.environ["KEY"].
        looked_up = innermost is os._Environ.__getitem__.__code__
        name = error.args[0] if error.args else None
        return (
            {"variable": name} if looked_up and isinstance(name, str) and len(name) <= _MISSING_LIMIT else {}
        )
    path = error.filename
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    if error.errno != errno.ENOENT or not isinstance(path, str) or not path:
        return {}
    if innermost is not None and innermost.co_filename == subprocess.__file__ and "/" not in path:
        return {}  # a program that is not installed
    try:
        whole = os.path.abspath(path)
    except FileNotFoundError:  # the present directory is gone, and no path can be told
        return {}
    below = os.path.relpath(whole, _START)
    # A relative path names a place beside the notebook only where the cell is still in its first directory.
    elsewhere = os.path.isabs(path) or os.getcwd() != _START
    told = whole if below.split("/")[0] == ".." and elsewhere else below
    return {"file": told} if len(told) <= _MISSING_LIMIT else {}


def _frames(error: BaseException, filename: str, below: str, measure: _Measure) -> list[dict[str, Any]]:
    steps = list(traceback.walk_tb(error.__traceback__))
    files = [frame.f_code.co_filename for frame, _ in steps]
    if filename in files:
        begin = files.index(filename)
        # Not what is ours below it either, e.g. of a magic or of a function that refuses.
        steps = [
            step
            for step, file in zip(steps[begin:], files[begin:], strict=True)
            if not file.startswith(_OURS)
        ]
    elif isinstance(error, SyntaxError) and error.filename == filename:
        steps = []  # the cell was never entered
    else:
        steps = [step for step, file in zip(steps, files, strict=True) if not file.startswith(_OURS)]
    left_out = len(steps) - measure.frames
    if left_out <= 0:
        return [_frame(frame, line, below, measure) for frame, line in steps]
    # Of a deep recursion both ends tell something: how it began and where it broke.
    first = measure.frames // 3
    gap = {"file": "", "line": 0, "name": f"… {left_out} more frames …", "text": ""}
    shown = [_frame(frame, line, below, measure) for frame, line in steps[:first] + steps[first + left_out :]]
    return [*shown[:first], gap, *shown[first:]]


def _frame(frame: types.FrameType, line: int | None, below: str, measure: _Measure) -> dict[str, Any]:
    summary = traceback.FrameSummary(frame.f_code.co_filename, line or 0, frame.f_code.co_qualname)
    return {
        "file": summary.filename.removeprefix(below)[-300:],
        "line": summary.lineno or 0,
        "name": summary.name[:100],
        "text": (summary.line or "")[: measure.text],
    }


def _text(make: Callable[[], object], limit: int) -> str:
    try:
        text = make()
        if not isinstance(text, str):
            text = f"<{type(text).__name__}>"
    except Exception as error:  # noqa: BLE001  # an exception's own __str__ may raise anything at all
        text = f"<unprintable: {type(error).__name__}>"
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _pickled(error: BaseException, namespace: Namespace) -> str | None:
    """Return a values file in base64, None where the exception would not come back as it is."""
    try:
        values = pickling.dump(error, namespace)
        if values.size > _PICKLE_LIMIT:
            return None
        copy = pickling.load(bytes(values), namespace)
        if type(copy) is not type(error) or str(copy) != str(error):
            return None
    except Exception:  # noqa: BLE001  # whatever its methods raise, the record goes without the pickle
        return None
    return base64.b64encode(bytes(values)).decode()
