"""A front end without a browser: a user's home, the local Modal API in it, and a real kernel with its messages."""

from __future__ import annotations

import ast
import json
import os
import queue
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager
from jupyter_client.session import new_id

Message = dict[str, Any]

# A cell that notes the name of every message that leaves for Modal from then on, in `sent`.
LISTEN = """
import grpclib.client
import builtins
if not hasattr(builtins, "sent"):
    builtins.sent, _send = [], grpclib.client.Stream.send_message
    async def _noted(self, message, **options):
        builtins.sent.append(message)
        return await _send(self, message, **options)
    grpclib.client.Stream.send_message = _noted
builtins.sent.clear()
"""
CREATIONS = ("AppGetOrCreate", "ImageGetOrCreate", "SandboxCreate", "VolumeGetOrCreate", "SecretGetOrCreate")

PATIENCE = 60.0  # seconds without any message after which a test gives up
# Pieces that are no multiple of anything, late, and old output dropped: what a network and Modal do.
STRICT = ("--log-retention", "65536", "--read-delay", "0.004", "--read-size", "16381")


@dataclass(frozen=True)
class Home:
    """A user's home directory, with its own ZenML and its own local Modal API; nothing of the developer's."""

    path: Path

    @property
    def environment(self) -> dict[str, str]:
        """What a process of this user is started with.

        Nothing that chooses how numbers are computed: a sandbox has nothing of it, and the last digits would differ.
        """
        foreign = (
            "ZENML",
            "MODAL",
            "XDG_",
            "IPYTHON",
            "JUPYTER",
            "JPY_",
            "PYTEST",
            "OPENBLAS",
            "OMP_",
            "MKL_",
        )
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        return kept | {
            "HOME": str(self.path),
            "ZENML_CONFIG_PATH": str(self.path / "zenml"),
            "ZENML_ANALYTICS_OPT_IN": "false",
            "ZENML_MODAL_NB_STATE_DIR": str(self.path / "emulator"),
            "MODAL_CONFIG_PATH": str(self.path / "modal.toml"),  # there is none
            "IPYTHONDIR": str(self.path / "ipython"),
            "JUPYTER_PREFER_ENV_PATH": "1",
        }

    def python(self, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run this environment's Python as the user would."""
        return subprocess.run(
            [sys.executable, *arguments],
            env=self.environment,
            cwd=self.path,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    @contextmanager
    def local_modal(self, *options: str) -> Iterator[None]:
        """Run the local Modal API that `--on local` of this user finds."""
        started = self.python("-m", "zenml_modal_nb.emulator", "start", *options)
        assert started.returncode == 0, started.stderr
        try:
            yield
        finally:
            stopped = self.python("-m", "zenml_modal_nb.emulator", "stop")
            assert stopped.returncode == 0, stopped.stderr

    @contextmanager
    def fault(self, *options: str) -> Iterator[None]:
        """Let something go wrong at the user's local Modal API, for one block."""
        added = self.python("-m", "zenml_modal_nb.emulator", "fault", "add", *options)
        assert added.returncode == 0, added.stderr
        try:
            yield
        finally:
            self.python("-m", "zenml_modal_nb.emulator", "fault", "clear")


@dataclass(frozen=True)
class Reply:
    """What one cell has sent until it was idle."""

    content: Message  # of the execute_reply
    messages: list[Message] = field(repr=False)  # of this cell, in order, without status and input

    @property
    def ok(self) -> bool:
        return bool(self.content["status"] == "ok")

    @property
    def stdout(self) -> str:
        return self._streamed("stdout")

    @property
    def stderr(self) -> str:
        return self._streamed("stderr")

    @property
    def results(self) -> list[str]:
        """The text of each `Out[n]`."""
        return [each["content"]["data"]["text/plain"] for each in self._of("execute_result")]

    @property
    def help(self) -> str:
        """What the pager shows after `name?`."""
        return "".join(page["data"]["text/plain"] for page in self.content["payload"])

    @property
    def displays(self) -> list[Message]:
        """Contents of the displays that nothing updates: plots and the like."""
        return [each["content"] for each in self._of("display_data") if not _display_id(each)]

    @property
    def panels(self) -> list[Message]:
        """Contents of the run's own display, first and updates."""
        return [
            each["content"] for each in self._of("display_data", "update_display_data") if _display_id(each)
        ]

    @property
    def panel(self) -> str:
        """The last state of the run's display, as text."""
        return str(self.panels[-1]["data"]["text/plain"])

    @property
    def ename(self) -> str:
        return str(self._error()["ename"])

    @property
    def evalue(self) -> str:
        return str(self._error()["evalue"])

    @property
    def traceback(self) -> str:
        """The traceback without colours."""
        import re

        return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(self._error()["traceback"]))

    def _error(self) -> Message:
        (error,) = self._of("error")
        return dict(error["content"])

    def _of(self, *kinds: str) -> list[Message]:
        return [each for each in self.messages if each["msg_type"] in kinds]

    def _streamed(self, name: str) -> str:
        return "".join(
            each["content"]["text"] for each in self._of("stream") if each["content"]["name"] == name
        )


def _display_id(message: Message) -> str | None:
    transient = message["content"].get("transient", {})
    return transient.get("display_id")


class Kernel:
    """A running kernel as a front end sees it; made by `Home`'s fixtures, closed by them."""

    def __init__(self, home: Home, name: str) -> None:
        (home.path / "work").mkdir(exist_ok=True)
        self._manager = KernelManager(
            kernel_name="python3", connection_file=str(home.path / f"kernel-{name}.json")
        )
        with (home.path / f"kernel-{name}.log").open("w") as log:
            self._manager.start_kernel(
                env=home.environment, cwd=str(home.path / "work"), stdout=log, stderr=log
            )
        self._client: BlockingKernelClient = self._manager.blocking_client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=PATIENCE)
        self.seen: list[Message] = []  # every message but status and input, in order of arrival
        self._idle: set[str] = set()
        self.draws_widgets = True  # and says so to who asks

    def close(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)
        self._manager.cleanup_resources()

    def interrupt(self) -> None:
        self._manager.interrupt_kernel()

    def kill(self) -> None:
        self._manager.shutdown_kernel(now=True)

    def send(self, cell: str, **options: Any) -> str:
        """Ask for a cell to be run, and return its ID.

        No failure stops it: ipykernel 6 takes what comes within milliseconds after one for what had waited behind it.
        """
        return str(self._client.execute(cell, **{"stop_on_error": False, **options}))

    def send_from_notebook(self, cell: str) -> str:
        """Ask as a notebook does that somebody looks at: it names the cell, and shows widgets."""
        content = {"code": cell, "silent": False, "store_history": True, "user_expressions": {}}
        content |= {"allow_stdin": False, "stop_on_error": True}
        message = self._client.session.msg("execute_request", content, metadata={"cellId": "of-a-notebook"})
        self._client.shell_channel.send(message)
        return str(message["header"]["msg_id"])

    def create_subshell(self) -> str:
        """Make a subshell, whose messages are heard while a cell runs."""
        request = self._client.session.msg("create_subshell_request", {})
        self._client.control_channel.send(request)
        reply = self._client.get_control_msg(timeout=PATIENCE)
        return str(reply["content"]["subshell_id"])

    def tell_widget(self, comm_id: str, content: Message, subshell: str | None = None) -> None:
        """Send what the script of a widget sends by `model.send`."""
        data = {"method": "custom", "content": content}
        message = self._client.session.msg("comm_msg", {"comm_id": comm_id, "data": data})
        if subshell is not None:
            message["header"]["subshell_id"] = subshell
        self._client.shell_channel.send(message)

    def close_widget(self, comm_id: str) -> None:
        """Refuse a widget, as a page that knows none."""
        self._client.shell_channel.send(
            self._client.session.msg("comm_close", {"comm_id": comm_id, "data": {}})
        )

    def begin_session(self) -> None:
        """Be another page of the same notebook from now on."""
        self._client.session.session = new_id()

    def wait_for_answer(self, comm_id: str, kind: str) -> Message:
        """Receive until a widget has been sent a message of its own, by `Widget.send`."""

        def found() -> list[Message]:
            sent = [each for each in self.seen if each["content"].get("comm_id") == comm_id]
            return [each for each in sent if each["content"]["data"].get("content", {}).get("kind") == kind]

        self._receive_until(lambda: bool(found()))
        return found()[0]

    def finish(self, cell: str) -> Reply:
        """Receive until a cell is idle."""
        self._receive_until(lambda: cell in self._idle)
        content = self._reply(cell)
        return Reply(content, [each for each in self.seen if parent(each) == cell])

    def attempt(self, cell: str) -> Reply:
        """Run a cell to its end, whichever."""
        return self.finish(self.send(cell))

    def run(self, cell: str) -> Reply:
        """Run a cell that must succeed."""
        reply = self.attempt(cell)
        assert reply.ok, "\n".join([*reply.content.get("traceback", []), reply.stdout, reply.stderr])
        return reply

    def reply_to_input(self, text: str) -> str:
        """Answer what a cell asks by `input()`, and return its question."""
        question = self._client.get_stdin_msg(timeout=PATIENCE)
        self._client.input(text)
        return str(question["content"]["prompt"])

    def wait_for(self, cell: str, wanted: Callable[[Message], bool]) -> Message:
        """Receive until a cell has sent such a message; fails if it ends without one."""

        def found() -> list[Message]:
            return [each for each in self.seen if parent(each) == cell and wanted(each)]

        self._receive_until(lambda: bool(found()) or cell in self._idle)
        assert found(), f"the cell ended without it: {[each['content'] for each in self.seen]}"
        return found()[0]

    def wait_for_text(self, cell: str, text: str) -> Message:
        """Receive until a cell has written `text` in one message."""
        return self.wait_for(
            cell, lambda each: each["msg_type"] == "stream" and text in each["content"]["text"]
        )

    def wait_for_state(self, cell: str, state: str) -> Message:
        """Receive until a cell's panel says `state`."""
        return self.wait_for(
            cell, lambda each: state in each["content"].get("data", {}).get("text/plain", "")
        )

    def complete(self, cell: str) -> list[str]:
        """What a Tab offers at the `|` in a cell, each as it would replace what is typed there."""
        at = cell.index("|")
        request = str(self._client.complete(cell.replace("|", "", 1), at))
        content = self._reply(request)
        assert content["status"] == "ok", content
        return list(content["matches"])

    def tell(self, comm: str, data: Message) -> Reply:
        """Send a comm message, as a widget's page does, and return all that it brings about."""
        message = self._client.session.msg("comm_msg", {"comm_id": comm, "data": data})
        self._client.shell_channel.send(message)
        told = str(message["header"]["msg_id"])
        self._receive_until(lambda: told in self._idle)
        return Reply({}, [each for each in self.seen if parent(each) == told])

    def ask(self, expression: str, given: str = "") -> Any:
        """The value of an expression, which JSON can hold, beside the notebook's history."""
        return self.answer(self.question(expression, given))

    def created(self) -> list[str]:
        """Names of the messages sent to Modal since `LISTEN` was run that create something there."""
        sent = self.ask("[type(each).__name__ for each in sent]")
        return [name for name in sent if name.startswith(CREATIONS)]

    def question(self, expression: str, given: str = "", **options: Any) -> str:
        """Ask for an expression's value without waiting for it."""
        wanted = f"__import__('json').dumps({expression})"
        return self.send(given, silent=True, user_expressions={"answer": wanted}, **options)

    def answer(self, question: str) -> Any:
        """Wait for what a question asked for."""
        reply = self.finish(question)
        assert reply.ok, reply.content
        answer = reply.content["user_expressions"]["answer"]
        assert answer["status"] == "ok", answer
        return json.loads(ast.literal_eval(answer["data"]["text/plain"]))

    def is_idle(self, cell: str) -> bool:
        return cell in self._idle

    def _receive_until(self, done: Callable[[], bool]) -> None:
        while not done():
            try:
                message = self._client.get_iopub_msg(timeout=PATIENCE)
            except queue.Empty:
                raise AssertionError(f"nothing came for {PATIENCE} s; last: {self.seen[-5:]}") from None
            if message["msg_type"] == "status":
                if message["content"]["execution_state"] == "idle":
                    self._idle.add(parent(message))
            elif message["msg_type"] != "execute_input":
                self.seen.append(message)
                if self.draws_widgets and _is_question(message):
                    self.tell_widget(message["content"]["comm_id"], {"kind": "hello"})

    def _reply(self, cell: str) -> Message:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            message = self._client.get_shell_msg(timeout=PATIENCE)
            if parent(message) == cell:
                return dict(message["content"])
        raise AssertionError(f"no reply to {cell}")


def _is_question(message: Message) -> bool:
    """Whether this is the widget that only asks for widgets: it has a script and no view."""
    state = message["content"].get("data", {}).get("state", {})
    return message["msg_type"] == "comm_open" and "_esm" in state and state["_view_name"] is None


def parent(message: Message) -> str:
    return str(message["parent_header"].get("msg_id", ""))


@dataclass(frozen=True)
class Gate:
    """Something a cell in a sandbox waits for and the test opens; a named pipe, so that nobody polls."""

    path: Path

    @property
    def wait(self) -> str:
        """An expression that returns None when the gate is opened, and has been left by who opened it.

        Else a second wait that follows at once would go through the same opening.
        """
        return f"list(__import__('pathlib').Path({str(self.path)!r}).read_bytes()).clear()"

    def open(self) -> None:
        self.path.open("w").close()


@dataclass(frozen=True)
class LocalModal:
    """The user's local Modal API from outside: what runs there, by the real SDK, and its process."""

    home: Home

    @property
    def server(self) -> psutil.Process:
        return psutil.Process(self._record()["pid"])

    def sandboxes(self) -> list[str]:
        """IDs of the sandboxes of this user's cells that are alive."""
        import modal
        from modal_proto import api_pb2

        record = self._record()
        token = (record["token_id"], record["token_secret"])
        with modal.Client(record["url"], api_pb2.CLIENT_TYPE_CLIENT, token) as client:
            app = modal.App.lookup(
                "zenml-modal-nb-notebook", create_if_missing=True, client=client, environment_name="local"
            )
            return [each.object_id for each in modal.Sandbox.list(app_id=app.app_id, client=client)]

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let no call come through meanwhile: the server's process stands still."""
        server = self.server
        server.suspend()
        try:
            yield
        finally:
            server.resume()

    def _record(self) -> Message:
        path = Path(self.home.environment["ZENML_MODAL_NB_STATE_DIR"]) / "server.json"
        return dict(json.loads(path.read_text("utf-8")))
