"""`%load_ext zenml_modal_nb` is quick, quiet and leaves the user's session as it was."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from frontend import Home, Kernel

# Notes, before anything else looks for a module, which thread looks for it.
WATCH_IMPORTS = """
import sys, threading, types
class Watch:
    seen = []
    def find_spec(self, name, path=None, target=None):
        self.seen.append((name.partition(".")[0], threading.current_thread().name))
sys.meta_path.insert(0, Watch())
def importers(package):
    return sorted({thread for name, thread in Watch.seen if name == package})
"""
# Of the session, what zenml's import is known to change.
SESSION = """
import logging, os, sys
def session():
    shell = get_ipython()
    return [
        repr(getattr(shell.showtraceback, "__func__", shell.showtraceback)), repr(sys.excepthook),
        repr(shell.custom_exceptions), repr(shell.CustomTB), logging.getLogger().level,
        os.environ.get("ZENML_ENABLE_RICH_TRACEBACK"), sys.displayhook is shell.displayhook,
    ]
"""


def test_zenml_and_modal_are_imported_in_the_background_only(new_kernel: Kernel) -> None:
    new_kernel.run(WATCH_IMPORTS)
    reply = new_kernel.run("%load_ext zenml_modal_nb")
    assert reply.messages == []
    new_kernel.run("from zenml_modal_nb.pipelines import warmup; warmup.wait()")
    assert new_kernel.ask("importers('zenml')") == ["zenml-modal-nb-warmup"]
    assert "MainThread" not in new_kernel.ask("importers('modal')")


def test_zenml_can_be_imported_in_the_very_next_cell(new_kernel: Kernel) -> None:
    """Two threads that import one package at once would see it half made."""
    new_kernel.send("%load_ext zenml_modal_nb")
    reply = new_kernel.run(
        "from zenml.client import Client\nfrom zenml import step, pipeline\nClient().active_stack.name"
    )
    assert reply.results == ["'default'"]


def test_zenml_can_be_imported_in_the_cell_that_loads_the_extension(new_kernel: Kernel) -> None:
    reply = new_kernel.run(
        "%load_ext zenml_modal_nb\nfrom zenml.client import Client\nClient().active_stack.name"
    )
    assert reply.results == ["'default'"]
    assert new_kernel.ask("__import__.__class__.__name__") == "builtin_function_or_method"
    assert new_kernel.run("%%modal_step\n6 * 7").results == ["42"]


def test_an_import_that_fails_meanwhile_shows_the_users_own_frames(new_kernel: Kernel) -> None:
    new_kernel.run(
        "from pathlib import Path\n"
        "text = 'import warnings\\nwarnings.warn(\"old\", FutureWarning, stacklevel=2)\\n1 / 0\\n'\n"
        "_ = Path('failing_meanwhile.py').write_text(text)"
    )
    reply = new_kernel.attempt("%load_ext zenml_modal_nb\nimport failing_meanwhile")
    assert reply.ename == "ZeroDivisionError"
    assert "import failing_meanwhile" in reply.traceback
    assert "failing_meanwhile.py:3" in reply.traceback
    assert "FutureWarning: old" in reply.stderr
    assert "import failing_meanwhile" in reply.stderr  # the line that the warning is about
    assert "import_gate" not in reply.traceback + reply.stderr


@pytest.mark.slow
def test_tracebacks_and_the_root_logger_stay_as_they_were(new_kernel: Kernel) -> None:
    new_kernel.run(SESSION)
    before = new_kernel.ask("session()")
    new_kernel.run("%load_ext zenml_modal_nb")
    new_kernel.run("%%modal_step\nprint('once')")
    assert new_kernel.ask("session()") == before
    reply = new_kernel.attempt("1 / 0")
    assert reply.messages[-1]["msg_type"] == "error"
    assert "Cell In[" in reply.traceback


@pytest.mark.slow
def test_the_extension_can_be_reloaded_and_unloaded(new_kernel: Kernel) -> None:
    new_kernel.run("%load_ext zenml_modal_nb")
    new_kernel.run("%config ModalStep.timeout = '7m'")
    new_kernel.run("%reload_ext zenml_modal_nb")
    reply = new_kernel.run("%%modal_step\nreloaded = 1")
    assert "timeout 7 min · ends 7 min after the notebook is gone" in reply.panel
    new_kernel.run("%unload_ext zenml_modal_nb")
    gone = new_kernel.attempt("%%modal_step\nprint('x')")
    assert "modal_step" in gone.stderr
    new_kernel.run("import zenml")  # what watched for imports is gone too
    new_kernel.run("%load_ext zenml_modal_nb")
    assert new_kernel.run("%%modal_step\nreloaded += 1\nreloaded").results == ["2"]


@dataclass(frozen=True)
class HomeOfATeam(Home):
    """A user whose ZenML client is connected to a server; `asked` is what that has been asked for."""

    server: str = ""
    asked: list[str] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | {"ZENML_STORE_URL": self.server, "ZENML_STORE_API_KEY": "ZENKEY_x"}


@pytest.fixture
def team(tmp_path: Path) -> Iterator[HomeOfATeam]:
    asked: list[str] = []

    class Notes(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.requestline)
            self.send_error(503)

        do_POST = do_PUT = do_GET  # noqa: N815 - the base class's names

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Notes) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield HomeOfATeam(tmp_path, f"http://127.0.0.1:{server.server_port}", asked)
        server.shutdown()


@pytest.mark.slow
def test_loading_asks_a_teams_server_for_nothing_and_writes_nothing_there(team: HomeOfATeam) -> None:
    kernel = Kernel(team, "team")
    try:
        kernel.run("%load_ext zenml_modal_nb")
        kernel.run("from zenml_modal_nb.pipelines import warmup; warmup.wait()")
    finally:
        kernel.close()
    assert team.asked == []
