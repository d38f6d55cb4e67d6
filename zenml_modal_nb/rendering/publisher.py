"""The way to the front end: display messages and stream text, always for the cell that started the run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from jupyter_client.session import extract_header

from zenml_modal_nb.events import Stream

if TYPE_CHECKING:
    from ipykernel.zmqshell import ZMQInteractiveShell


class Publisher(Protocol):
    """Where a renderer sends what it draws; one per run."""

    def display(
        self, data: Mapping[str, Any], metadata: Mapping[str, Any], display_id: str | None, update: bool
    ) -> None:
        """Show a MIME bundle, or replace the one shown under the same `display_id`."""

    def stream(self, name: Stream, text: str) -> None:
        """Append text to the cell's standard output or standard error."""


class LivePublisher(Publisher, Protocol):
    """A publisher to a page, which can be cleared; it can also wake its renderer."""

    def clear(self) -> None:
        """Take away all that stands under the cell as soon as something else is shown, which must follow."""

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call back once, on the thread that sends: `call` must not wait for who may be publishing."""


class KernelPublisher:
    """Publishes to the cell that is running when it is made, from whatever thread and however late.

    The parent header is taken once, here, and given with every message: in ipykernel 6 the current parent is
    a global that the next cell changes, in 7 it is a context variable that another thread does not have.
    """

    def __init__(self, shell: ZMQInteractiveShell) -> None:
        # The user's own prints come first: their stream is buffered, ours is not.
        sys.stdout.flush()
        sys.stderr.flush()
        self._session = shell.kernel.session
        self._socket = shell.kernel.iopub_socket
        self._thread = shell.kernel.iopub_thread
        self._parent = extract_header(shell.get_parent())  # type: ignore[no-untyped-call] # ipykernel's

    def display(
        self, data: Mapping[str, Any], metadata: Mapping[str, Any], display_id: str | None, update: bool
    ) -> None:
        """Send `display_data`, or `update_display_data` for a display that this run has shown."""
        transient = {} if display_id is None else {"display_id": display_id}
        content = {"data": dict(data), "metadata": dict(metadata), "transient": transient}
        self._send("update_display_data" if update else "display_data", content)

    def stream(self, name: Stream, text: str) -> None:
        """Send a `stream` message at once, past the kernel's own buffer of 200 ms."""
        self._send("stream", {"name": name, "text": text})

    def clear(self) -> None:
        """Send `clear_output`, for the moment at which there is something to show instead: nothing flickers."""
        self._send("clear_output", {"wait": True})

    def comm(self, kind: str, comm_id: str, data: Mapping[str, Any], **more: Any) -> None:
        """Send "comm_open", "comm_msg" or "comm_close"; `more` are an opened one's target and metadata."""
        metadata = more.pop("metadata", None)
        content = {"comm_id": comm_id, "data": dict(data), **more}
        self._send(kind, content, metadata=metadata)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call back from the kernel's output thread, as the kernel's own streams do."""
        self._thread.schedule(lambda: self._thread.io_loop.call_later(seconds, call))

    def _send(self, kind: str, content: dict[str, Any], metadata: dict[str, Any] | None = None) -> None:
        self._session.send(
            self._socket, kind, content, parent=self._parent, ident=kind.encode(), metadata=metadata
        )


class TextPublisher:
    """Writes to text streams: a terminal, a log file, a notebook's captured output."""

    def __init__(self, stdout: TextIO, stderr: TextIO) -> None:
        self._streams: dict[Stream, TextIO] = {"stdout": stdout, "stderr": stderr}

    def display(
        self, data: Mapping[str, Any], metadata: Mapping[str, Any], display_id: str | None, update: bool
    ) -> None:
        """Write the bundle's plain text, if it has one."""
        text = data.get("text/plain")
        if text:
            self.stream("stdout", f"{text}\n")

    def stream(self, name: Stream, text: str) -> None:
        """Write and flush, since nobody waits for a buffer to fill while a run is billed."""
        target = self._streams[name]
        target.write(text)
        target.flush()
