"""Whether the page in front of a kernel draws widgets: a widget without a view asks it, and its script answers.

A kernel cannot know what is installed where Jupyter itself runs: without anywidget there a widget's place shows errors.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ipykernel.zmqshell import ZMQInteractiveShell

PATIENCE = 1.0  # seconds without a cell to run after which an answer that is not there does not come
ADVICE = (
    "This page has not answered as one that draws widgets, so panel and picker are plain here: "
    "`pip install anywidget` where Jupyter itself runs, then start it again.\n"
)

_SCRIPT = 'export default { initialize({ model }) { model.send({ kind: "hello" }); } };'


@dataclass(slots=True)
class _Question:
    asked: float  # how long the kernel had been idle by then
    answer: bool | None = None
    told: bool = False


class WidgetSupport:
    """What the pages have answered, by their session; made by `of`, read by `choice`.

    `clock` returns seconds that only grow. Only idle time counts: an answer waits behind the cells that are to run.
    """

    def __init__(self, shell: ZMQInteractiveShell, clock: Callable[[], float] = time.monotonic) -> None:
        self._shell = shell
        self._clock = clock
        self._questions: dict[str, _Question] = {}
        self._idle = 0.0
        self._idle_since: float | None = None
        shell.events.register("pre_run_cell", self._begins)
        shell.events.register("post_run_cell", self._ends)

    def ask(self) -> None:
        """Ask the page whose cell runs now, once; one that names no cell is none that somebody looks at."""
        if not names_a_cell(self._shell) or (session := self._session()) in self._questions:
            return
        from comm import create_comm

        question = self._questions[session] = _Question(self._idle)
        comm: Any = create_comm(
            target_name="jupyter.widget",
            data={"state": _state(), "buffer_paths": []},
            metadata={"version": "2.1.0"},
        )
        # As for the panel's comm (see `live`): the answer may come by a subshell, while a cell runs.
        comm.__dict__.pop("_reply_subshell_id", None)

        def answered(_: object) -> None:
            question.answer = True
            comm.close()

        def refused(_: object) -> None:  # a page that knows no widgets at all closes what it is sent
            question.answer = question.answer or False

        comm.on_msg(answered)
        comm.on_close(refused)

    def is_missing(self) -> bool:
        """Tell whether the page whose cell runs now draws no widgets; one not asked yet is like the one before it."""
        question = self._questions.get(self._session())
        if question is None and self._questions:
            question = next(reversed(self._questions.values()))
        if question is None or question.answer is not None:
            return question is not None and not question.answer
        return self._idle - question.asked >= PATIENCE

    def advice(self) -> str:
        """Return what to do about it, for each page once; empty after that."""
        question = self._questions[self._session()]
        told, question.told = question.told, True
        return "" if told else ADVICE

    def _session(self) -> str:
        return str(_request(self._shell)["header"].get("session", ""))

    def _begins(self, _: object) -> None:
        if self._idle_since is not None:
            self._idle += self._clock() - self._idle_since
        self._idle_since = None

    def _ends(self, _: object) -> None:
        self._idle_since = self._clock()


@cache
def of(shell: ZMQInteractiveShell) -> WidgetSupport:
    """Return what is known in this kernel, from the first call on."""
    return WidgetSupport(shell)


def names_a_cell(shell: ZMQInteractiveShell) -> bool:
    """Tell whether the request that runs now names its cell: a notebook that somebody looks at."""
    return bool(_request(shell).get("metadata", {}).get("cellId"))


def _request(shell: ZMQInteractiveShell) -> Mapping[str, Any]:
    request: Mapping[str, Any] = shell.get_parent()  # type: ignore[no-untyped-call] # ipykernel's
    return request


def _state() -> dict[str, Any]:
    # What anywidget itself would send, without its import: that takes longer than loading the extension may.
    major, minor = version("anywidget").split(".")[:2]
    module = {f"_{kind}_module": "anywidget" for kind in ("model", "view")}
    versions = {f"_{kind}_module_version": f"~{major}.{minor}.*" for kind in ("model", "view")}
    return {
        **module,
        **versions,
        "_model_name": "AnyModel",
        "_view_name": None,
        "_esm": _SCRIPT,
        "_anywidget_id": __name__,
    }
