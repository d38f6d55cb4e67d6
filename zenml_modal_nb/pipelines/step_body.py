"""What a connected step does inside its sandbox, in the process of ZenML's entrypoint: `connected` sends it there.

A process of its own runs the cell, as in a detached run; here what it writes is handed on, byte by byte, to whoever
follows the sandbox and, as text, to ZenML's log of the step, and what the cell has bound is returned to ZenML.
"""

from __future__ import annotations

import atexit
import builtins
import logging
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

from zenml_modal_nb.pipelines import artifacts
from zenml_modal_nb.runner import frames, recording
from zenml_modal_nb.runner.bootstrap import BOOTSTRAP

_SILENCE = 120.0  # seconds without a sign of life after which nobody is waited for who reads the results


def run_cell(cell: bytes, outputs: tuple[str, ...]) -> list[Any]:
    """Run a cell, packed by `connected`, and return what it has bound; raises what it has raised."""
    first, _, content = cell.partition(b"\n")
    nonce = first.decode()
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", BOOTSTRAP, nonce],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        cwd=os.path.expanduser("~"),  # ZenML's entrypoint has gone to a directory of its own
    )  # fmt: skip
    found: dict[str, frames.Frame] = {}  # the latest of each kind
    delivered = threading.Event()  # or there will be nothing
    for stream, number, level in ((process.stdout, 1, logging.INFO), (process.stderr, 2, logging.ERROR)):
        arguments = (stream, number, _log(level), nonce, found, delivered)
        threading.Thread(target=_hand_on, args=arguments, daemon=True).start()
    assert process.stdin is not None
    try:
        process.stdin.write(content)
        process.stdin.close()
    except BrokenPipeError:
        pass  # it has ended, and says why
    delivered.wait()
    if "result" not in found:
        code = process.wait()
        raise RuntimeError(f"The cell's process ended with exit code {code} before it delivered a result.")
    directory = found["hello"].fields["directory"]
    atexit.register(_linger, process, directory)
    return _recorded(directory, found, outputs)


def _hand_on(
    stream: Any, number: int, log: Any, nonce: str, found: dict[str, frames.Frame], delivered: threading.Event
) -> None:
    rest = b""
    while piece := os.read(stream.fileno(), 1 << 16):
        view = memoryview(piece)
        while view:
            view = view[os.write(number, view) :]
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            frame = frames.decode(line, nonce)
            if frame is None:
                log(line.decode("utf-8", "replace"))
                continue
            if frame.kind == "partial":
                log(frame.fields["text"])
            found[frame.kind] = frame
        if number == 1 and "result" in found:
            delivered.set()
    if number == 1:
        delivered.set()


def _log(level: int) -> Any:
    """Return what writes a line to ZenML's log of the step."""
    from zenml.utils.logging_utils import LoggingContext

    context = LoggingContext.get()
    if context is None:
        return lambda line: None
    return lambda line: context.emit(logging.LogRecord("cell", level, "", 0, line or " ", (), None))


def _recorded(directory: str, found: dict[str, frames.Frame], outputs: tuple[str, ...]) -> list[Any]:
    with open(os.path.join(directory, recording.FILE), "rb") as file:
        record = pickle.load(file)
    for name, pickled in record["others"].items():
        if isinstance(pickled, bytes):
            artifacts.save(pickle.loads(pickled), name)
    if "error" in found:
        raise _exception(found["error"].fields)
    values = [record["outputs"][name] for name in outputs]
    # A step returns all that it has declared: of what cannot be recorded the reason.
    return [artifacts.carried(pickle.loads(each)) if isinstance(each, bytes) else each for each in values]


def _exception(fields: Mapping[str, Any]) -> Exception:
    known = getattr(builtins, fields["ename"], None)
    error: Exception | None = None
    if isinstance(known, type) and issubclass(known, Exception):
        try:
            error = known(fields["evalue"])
        except TypeError:  # e.g. UnicodeDecodeError, which takes five arguments
            error = None
    error = error or type(fields["ename"], (Exception,), {})(fields["evalue"])
    for each in fields["frames"]:
        error.add_note(f'  File "{each["file"]}", line {each["line"]}, in {each["name"]}\n    {each["text"]}')
    return error


def _linger(process: Any, directory: str) -> None:
    """Keep the results until whoever follows the sandbox has them; not for one who is gone."""
    alive = os.path.join(directory, "alive")
    last = time.time()
    while process.poll() is None and time.time() - last < _SILENCE:
        time.sleep(0.05)
        if os.path.exists(alive):
            last = max(last, os.stat(alive).st_mtime)
