"""Executes a notebook without a front end, showing what its cells print while they run."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbclient
import nbformat
from traitlets.config import Config

Echo = Callable[[str], None]


class _Client(nbclient.NotebookClient):
    """An nbclient that passes on each cell's output as it comes; nbclient itself keeps it to the end."""

    echo: Echo
    _moving: dict[
        str, tuple[str, str]
    ]  # of this cell's displays that are updated: as first echoed, and as now

    def process_message(self, msg: dict[str, Any], cell: nbformat.NotebookNode, cell_index: int) -> Any:
        """Take one message of the kernel, as nbclient does, and echo what a person would read."""
        content = msg["content"]
        match msg["msg_type"]:
            case "stream":
                self.echo(content["text"])
            case "display_data" | "execute_result" if "text/plain" in content["data"]:
                self._show(content["data"]["text/plain"], content.get("transient", {}).get("display_id"))
            case "update_display_data" if "text/plain" in content["data"]:
                text, key = content["data"]["text/plain"], content["transient"]["display_id"]
                first, _ = self._moving.get(key, (None, ""))
                if first is not None:  # else it belongs to an earlier cell, whose last state has been shown
                    self._moving[key] = first, text
        return super().process_message(msg, cell, cell_index)

    def begin_cell(self) -> None:
        """Forget the displays of the cell before."""
        self._moving = {}

    def end_cell(self) -> None:
        """Echo what displays have become, once: a console cannot go back to where they began."""
        for first, last in self._moving.values():
            if last != first:
                self.echo(last + "\n")
        self._moving = {}

    def _show(self, text: str, display_id: str | None) -> None:
        self.echo(text + "\n")
        if display_id is not None:
            self._moving[display_id] = text, text


def execute(notebook: nbformat.NotebookNode, *, directory: Path, echo: Echo) -> None:
    """Run every cell in a fresh kernel of this interpreter, in `directory`; the notebook gets the outputs.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed; the notebook holds what there was until then.
        nbclient.exceptions.CellControlSignal: the kernel died or did not answer.
        RuntimeError: the kernel did not start.
    """
    total = sum(cell.cell_type == "code" for cell in notebook.cells)
    done = 0
    began = time.monotonic()

    def announce(cell: nbformat.NotebookNode, cell_index: int) -> None:
        nonlocal done
        client.begin_cell()
        if cell.cell_type == "code":
            done += 1
            first = next(iter(cell.source.splitlines()), "")
            echo(f"── cell {done} of {total} · {time.monotonic() - began:.0f} s ── {first}\n")

    with tempfile.TemporaryDirectory(prefix="zenml-modal-nb-kernel-") as sockets:
        # Sockets in a private directory rather than open TCP ports; a relative path would mean another place
        # to the kernel, whose working directory is the notebook's.
        config = Config({"KernelManager": {"transport": "ipc", "ip": f"{sockets}/kernel"}})
        client: _Client = _Client(
            notebook,
            timeout=None,
            kernel_name="python3",
            resources={"metadata": {"path": str(directory)}},
            on_cell_start=announce,
            on_cell_executed=lambda **_: client.end_cell(),  # also of a cell that failed
            config=config,
        )
        client.echo = echo
        client.begin_cell()
        client.execute()
