"""What the cell's processes use of processors, memory and GPUs, said every few seconds while the run lasts.

From /proc, which is the same on Modal and on the user's own machine; where there is none (macOS), nothing is said.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from zenml_modal_nb.runner.output import Output

_PAUSES = (1.0, 2.0)  # seconds before the first samples
_PAUSE = 5.0  # before each of the others: a day of them are 3 MB of frames
_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")  # per second of a processor
_PAGE = os.sysconf("SC_PAGE_SIZE")  # bytes
# Places behind the program's name, which may hold spaces: proc_pid_stat(5) counts from 1, and the name is 2.
_PARENT, _TIMES, _RESIDENT = 1, slice(11, 15), 21


def report(output: Output) -> None:
    """Sample until the process ends, in a thread of its own."""
    if (_PROC / "self" / "stat").exists():
        threading.Thread(target=_sample, args=(output,), name="zenml_modal_nb resources", daemon=True).start()


def of_tree(root: int) -> tuple[float, int]:
    """Return seconds of processors and resident bytes of a process and of all below it, those it has waited for too."""
    stats: dict[int, list[str]] = {}
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text("ascii", "replace").rpartition(")")[2].split()
                children.setdefault(int(fields[_PARENT]), []).append(int(entry.name))
                stats[int(entry.name)] = fields
            except (OSError, IndexError, ValueError):  # it has ended meanwhile
                continue
    seconds, memory, todo = 0.0, 0, [root]
    while todo:
        process = todo.pop()
        todo += children.get(process, [])
        if process in stats:
            seconds += sum(map(int, stats[process][_TIMES])) / _TICKS
            memory += int(stats[process][_RESIDENT]) * _PAGE
    return seconds, memory


def _sample(output: Output) -> None:
    never, root = threading.Event(), os.getpid()
    program = shutil.which("nvidia-smi")
    pauses = list(_PAUSES)
    before, at = of_tree(root)[0], time.monotonic()
    while not never.wait(pauses.pop(0) if pauses else _PAUSE):
        seconds, memory = of_tree(root)
        now = time.monotonic()
        # A process that left the tree has taken its seconds along.
        fields: dict[str, Any] = {"cpu": round(max(0.0, seconds - before) / (now - at), 3), "memory": memory}
        before, at = seconds, now
        gpus = [] if program is None else _gpus(program)
        if gpus:
            fields["gpu"] = gpus
        output.emit_beside("resources", fields)


def _gpus(program: str) -> list[list[int]]:
    """Return percent and MiB in use of each GPU; empty where no driver answers."""
    command = [program, "--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=5, check=True, stdin=subprocess.DEVNULL
        )
        return [[int(value) for value in line.split(",")] for line in answer.stdout.splitlines()][:16]
    except (
        OSError,
        subprocess.SubprocessError,
        ValueError,
    ):  # ValueError: "[N/A]" of a GPU that is shared out
        return []
