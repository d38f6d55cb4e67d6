"""An interrupt at any moment ends the sandbox and the bill, and ZenML says stopped."""

from __future__ import annotations

import psutil
import pytest
from frontend import Gate, Home, Kernel, LocalModal, Reply

RECORD = """
from zenml.client import Client
run = Client().get_pipeline_run(_modal_run.id)
"""

# The import of zenml stands at a gate: in its loader, for while a finder works nothing else can be imported.
SLOW_IMPORT = """
import importlib.util, sys
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name != "zenml":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module
        def wait_and_load(module):
            GATE
            load(module)
        spec.loader.exec_module = wait_and_load
        return spec
sys.meta_path.insert(0, Slow())
"""


@pytest.fixture
def modal_api(home: Home) -> LocalModal:
    return LocalModal(home)


def assert_stopped(kernel: Kernel, reply: Reply, modal_api: LocalModal) -> None:
    assert [each["msg_type"] for each in reply.messages].count("error") == 1
    assert reply.ename == "KeyboardInterrupt"
    assert "zenml_modal_nb" not in reply.traceback
    assert_ended(kernel, reply, modal_api)


def assert_ended(kernel: Kernel, reply: Reply, modal_api: LocalModal) -> None:
    assert (reply.content["status"], reply.content["ename"]) == ("error", "KeyboardInterrupt")
    assert "stopped by the user" in reply.panel
    assert modal_api.sandboxes() == []
    assert kernel.ask("_modal_run.status") == "stopped by the user"
    statuses = kernel.ask("[run.status.value, *(s.status.value for s in run.steps.values())]", given=RECORD)
    assert statuses in (["stopped", "stopped"], ["stopped"])  # a run may be stopped before its step exists
    assert kernel.run("%%modal_step\nafter_interrupt = 6 * 7\nafter_interrupt").results == ["42"]


@pytest.mark.parametrize("gpu", ["", "--gpu T4"])
def test_a_running_cell_is_stopped(own_kernel: Kernel, modal_api: LocalModal, gate: Gate, gpu: str) -> None:
    cell = own_kernel.send(f"%%modal_step {gpu}\nimport os\nprint('process', os.getpid())\n{gate.wait}")
    line = own_kernel.wait_for_text(cell, "process")["content"]["text"]
    process = psutil.Process(int(line.split()[1]))
    assert len(modal_api.sandboxes()) == 1
    own_kernel.interrupt()
    reply = own_kernel.finish(cell)
    assert not process.is_running() or process.wait(10) is None
    assert_stopped(own_kernel, reply, modal_api)


def test_a_cell_that_ignores_signals_is_stopped(own_kernel: Kernel, modal_api: LocalModal) -> None:
    cell = own_kernel.send(
        "%%modal_step\n"
        "import os, signal\n"
        "for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):\n"
        "    signal.signal(number, signal.SIG_IGN)\n"
        "print('process', os.getpid())\n"
        "while True:\n"
        "    pass"
    )
    line = own_kernel.wait_for_text(cell, "process")["content"]["text"]
    process = psutil.Process(int(line.split()[1]))
    own_kernel.interrupt()
    reply = own_kernel.finish(cell)
    assert not process.is_running() or process.wait(10) is None
    assert_stopped(own_kernel, reply, modal_api)


def test_a_flood_is_stopped_and_what_came_of_it_does_not_have_to_be_shown_first(
    own_kernel: Kernel, modal_api: LocalModal
) -> None:
    cell = own_kernel.send("%%modal_step\nwhile True:\n    print('flood' * 20)")
    own_kernel.wait_for_text(cell, "flood")
    own_kernel.interrupt()
    assert_stopped(own_kernel, own_kernel.finish(cell), modal_api)


@pytest.mark.parametrize("gpu", ["", "--gpu T4"])
def test_a_sandbox_that_is_still_being_created_is_stopped_too(
    own_kernel: Kernel, modal_api: LocalModal, gpu: str
) -> None:
    own_kernel.run(f"%%modal_step {gpu}\nwarm = 1")  # the connection, the app and the image are known
    with modal_api.held():
        cell = own_kernel.send(f"%%modal_step {gpu}\nwhile True:\n    pass")
        own_kernel.wait_for_state(cell, "waiting for a sandbox")
        own_kernel.interrupt()
    # Only now the server sees the creation, and its cancellation with it or right after.
    assert_stopped(own_kernel, own_kernel.finish(cell), modal_api)


def test_a_cell_whose_image_is_being_built_is_stopped_and_claims_no_sandbox(
    home: Home, own_kernel: Kernel, modal_api: LocalModal
) -> None:
    # Nothing was asked for, so nothing has to be looked for: a search could not be answered here.
    with (
        home.fault("latency", "--milliseconds", "60000", "--call", "ImageGetOrCreate"),
        home.fault("unavailable", "--call", "SandboxList", "--times", "1000"),
    ):
        cell = own_kernel.send("%%modal_step --apt cowsay\nnever_built = 1")
        own_kernel.wait_for_state(cell, "building image")
        own_kernel.interrupt()
        reply = own_kernel.finish(cell)
    assert reply.evalue == "the run was stopped before a sandbox was created"
    assert_stopped(own_kernel, reply, modal_api)


@pytest.mark.slow
def test_an_impatient_user_gets_the_notebook_back_at_once_and_the_sandbox_ends_all_the_same(
    own_kernel: Kernel, modal_api: LocalModal, gate: Gate
) -> None:
    cell = own_kernel.send(f"%%modal_step\nprint('begun')\n{gate.wait}")
    own_kernel.wait_for_text(cell, "begun")
    for _ in range(3):
        own_kernel.interrupt()
    reply = own_kernel.finish(cell)
    own_kernel.run("_modal_run.wait()")
    assert_ended(
        own_kernel, reply, modal_api
    )  # the last may come while IPython draws the traceback, or instead of it


@pytest.mark.slow
def test_a_cell_that_still_waits_for_zenml_is_stopped_at_once_and_claims_no_sandbox(
    new_kernel: Kernel, gate: Gate
) -> None:
    new_kernel.run(SLOW_IMPORT.replace("GATE", gate.wait))
    new_kernel.run("%load_ext zenml_modal_nb")
    cell = new_kernel.send("%%modal_step\nnever = 1")
    new_kernel.wait_for_state(cell, "packaging")
    new_kernel.interrupt()
    reply = new_kernel.finish(cell)  # while the import of zenml still stands at the gate
    assert (reply.content["status"], reply.ename) == ("error", "KeyboardInterrupt")
    assert reply.evalue == "the run was stopped before a sandbox was created"
    assert "stopped by the user" in reply.panel
    assert new_kernel.ask("[_modal_run.status, _modal_run.id]") == ["stopped by the user", None]
    gate.open()
    assert new_kernel.run("%%modal_step\nafter_warm_up = 6 * 7\nafter_warm_up").results == ["42"]
