"""Large values of a notebook: sent once, changed in place, back whole."""

from __future__ import annotations

import modal
from frontend import Home, Kernel, LocalModal
from modal_proto import api_pb2

from zenml_modal_nb.sandboxes.depot import SHIPMENTS_VOLUME

SLOW = ("latency", "--milliseconds", "2000", "--call", "TransferPut")


NO_BLOCK = ("unavailable", "--call", "VolumePutFiles*", "--times", "1000")


def sent(home: Home) -> set[str]:
    """The blocks that wait in the volume of the user's notebook."""
    record = LocalModal(home)._record()
    with modal.Client(
        record["url"], api_pb2.CLIENT_TYPE_CLIENT, (record["token_id"], record["token_secret"])
    ) as client:
        volume = modal.Volume.from_name(SHIPMENTS_VOLUME, environment_name="local", client=client)
        return {each.path for each in volume.listdir("/notebook")}


def test_an_unchanged_array_is_sent_once_and_a_changed_one_comes_back(home: Home, kernel: Kernel) -> None:
    kernel.run("import numpy as np\nlarge = np.random.default_rng(7).random(2_500_000)\nfirst = large[0]")
    kernel.run("%%modal_step\ntotal = large.sum()")
    before = sent(home)
    with home.fault(*NO_BLOCK):  # nothing can be sent, and nothing has to be
        kernel.run("%%modal_step\nmean = large.mean()")
        kernel.run("large[0] += 1")
        refused = kernel.attempt("%%modal_step\nmean = large.mean()")
        kernel.run("large[0] = first")
    assert not refused.ok
    assert "large inputs could not be put into the volume" in refused.traceback
    assert sent(home) == before
    kernel.run("%%modal_step\nlarge *= 2")
    assert kernel.ask("[bool(large[0] == 2 * first), abs(float(large.sum() / total) - 2) < 1e-9]") == [
        True,
        True,
    ]


def test_a_long_list_that_has_not_changed_is_not_sent_again_with_other_small_values(
    home: Home, kernel: Kernel
) -> None:
    kernel.run("many = [f'word {n}' for n in range(2_000_000)]\nabove, zero = 1, 2")  # four blocks of pickle
    kernel.run("%%modal_step\nseen = len(many), above, zero")
    before = sent(home)
    kernel.run("above, zero = 'longer by now', ['z'] * 1000")
    kernel.run("%%modal_step\nseen = len(many), above, zero, 'other'")
    assert kernel.ask("seen[0] == 2_000_000 and seen[1] == above and seen[2] == zero")
    assert len(sent(home) - before) <= 1  # the end of the list shares its block with what follows


def test_an_interrupt_while_values_are_sent_says_that_there_was_no_sandbox(
    home: Home, own_kernel: Kernel
) -> None:
    with home.fault(*SLOW):
        own_kernel.run("import numpy as np\nheavy = np.random.default_rng(8).random(20_000_000)")
        cell = own_kernel.send("%%modal_step\nnever = heavy.sum()")
        own_kernel.wait_for_state(cell, "sending")
        own_kernel.interrupt()
        reply = own_kernel.finish(cell)
    assert reply.ename == "KeyboardInterrupt"
    assert reply.evalue == "the run was stopped before a sandbox was created"
    assert "stopped by the user" in reply.panel
    assert own_kernel.run("%%modal_step\nlater = 6 * 7\nlater").results == ["42"]


def test_a_large_result_is_told_while_it_comes(home: Home, kernel: Kernel) -> None:
    with home.fault("latency", "--milliseconds", "1500", "--call", "TaskExecStdioRead"):
        reply = kernel.run("%%modal_step\ncollected = bytes(20_000_000)")
    assert any("collecting" in each["data"]["text/plain"] for each in reply.panels)
    assert kernel.ask("len(collected)") == 20_000_000
