"""What the cell has defined, for programs that it starts, e.g. by torchrun: `from notebook_definitions import Model`.

Such a program is a process of its own whose `__main__` is its script. A real file on its path asks the process of the
cell for each name when it is imported, so that a cell which only runs `ls` pickles nothing.
"""

from __future__ import annotations

import os
import threading
import time
import types
import uuid
from pathlib import Path
from typing import Any

from zenml_modal_nb.runner import children, pickling
from zenml_modal_nb.runner.functions import Namespace

MODULE = "notebook_definitions"
_ASK = "ask"  # a named pipe; one line for each question: the answer's file name, the name asked for
_EVERY = 0.005  # seconds between two looks for an answer
_SOURCE = """# Functions, classes and values of the notebook's cell, which is still running.
import sys
sys.path.insert(0, {archive!r})
from zenml_modal_nb.runner.definitions import Definitions
sys.path.remove({archive!r})
__getattr__ = Definitions({directory!r}, globals()).get
"""


def offer(namespace: Namespace, directory: Path) -> None:
    """Make the module importable in processes that are started from now on."""
    place = directory / "definitions"
    place.mkdir()
    os.mkfifo(place / _ASK)
    source = _SOURCE.format(archive=str(Path(__file__).parents[2]), directory=str(place))
    (place / f"{MODULE}.py").write_text(source, encoding="utf-8")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(place), os.environ.get("PYTHONPATH")]))
    # Both ends, so that the pipe never ends. A forked process must not hold it: nobody answers there.
    questions = os.open(place / _ASK, os.O_RDWR | os.O_CLOEXEC)
    held = [questions]

    def release() -> None:
        while held:
            os.close(held.pop())

    os.register_at_fork(after_in_child=release)
    answering = threading.Thread(
        target=_answer_all, args=(questions, place, namespace), name="zenml_modal_nb definitions", daemon=True
    )
    answering.start()


def stand_in(namespace: Namespace) -> dict[str, types.ModuleType]:
    """Make the module for the process of the cell itself, where it is another name for `__main__`."""
    module = types.ModuleType(MODULE, __doc__)

    def get(name: str) -> Any:
        if name in namespace and not name.startswith("__"):
            return namespace[name]
        raise AttributeError(f"module {MODULE!r} has no attribute {name!r}")

    vars(module)["__getattr__"] = get
    return {MODULE: module}


class Definitions:
    """The other side: made by the module in a process that the cell has started."""

    def __init__(self, directory: str, namespace: Namespace) -> None:
        self._directory = Path(directory)
        self._namespace = namespace

    def get(self, name: str) -> Any:
        """Return what the cell calls by that name.

        Raises:
            AttributeError: the cell has no such name.
            ImportError: it cannot be sent to another process, or the cell has ended.
        """
        if name.startswith("__") and name != "__all__":
            raise AttributeError(f"module {MODULE!r} has no attribute {name!r}")
        answer = self._ask(name)
        if answer.suffix == ".error":
            kind, _, text = answer.read_text(encoding="utf-8").partition("\n")
            raise AttributeError(text) if kind == "missing" else ImportError(text)
        # A function that came as another one's global is here already: it stays the one that it is.
        return self._namespace.setdefault(name, pickling.load(str(answer), self._namespace)["value"])

    def _ask(self, name: str) -> Path:
        stem = self._directory / uuid.uuid4().hex
        question = f"{stem.name} {name}\n".encode()
        if len(question) > 512:  # what POSIX lets a pipe take in one piece
            raise AttributeError(f"module {MODULE!r} has no attribute {name[:40]!r}…")
        answers = [stem.with_suffix(suffix) for suffix in (".zmnb", ".error")]
        with self._pipe() as pipe:
            os.write(pipe.fileno(), question)
        while not any(answer.exists() for answer in answers):
            self._pipe().close()
            time.sleep(_EVERY)
        return next(answer for answer in answers if answer.exists())

    def _pipe(self) -> Any:
        try:
            return open(os.open(self._directory / _ASK, os.O_WRONLY | os.O_NONBLOCK), "wb", buffering=0)
        except OSError as error:  # nobody reads it
            raise ImportError(f"the cell that offered {MODULE} has ended") from error


def _answer_all(questions: int, place: Path, namespace: Namespace) -> None:
    with open(questions, "rb", buffering=0) as lines:
        rest = b""
        while True:
            *complete, rest = (rest + lines.read(4096)).split(b"\n")
            for line in complete:
                stem, _, name = line.decode("utf-8", "replace").partition(" ")
                _answer(place / stem, name, namespace)


def _answer(stem: Path, name: str, namespace: Namespace) -> None:
    draft = stem.with_suffix(".draft")
    target = stem.with_suffix(".error")
    if name != "__all__" and name not in namespace:
        draft.write_text(f"missing\nmodule {MODULE!r} has no attribute {name!r}", encoding="utf-8")
    else:
        try:
            value = public(namespace) if name == "__all__" else namespace[name]
            found = pickling.dump({"value": value}, namespace, definitions=True)
            with draft.open("wb") as file:
                found.write(file)
            target = stem.with_suffix(".zmnb")
        except Exception as error:  # noqa: BLE001  # pickling runs the objects' own code
            told = f"{name} cannot be sent to another process: {type(error).__name__}: {error}"
            draft.write_text(f"refused\n{told}", encoding="utf-8")
    draft.replace(target)


def public(namespace: Namespace) -> list[str]:
    """The names that `from notebook_definitions import *` binds: functions and classes of the notebook."""
    return [
        name
        for name, value in list(namespace.items())
        if not name.startswith("_") and children.is_definition(value)
    ]
