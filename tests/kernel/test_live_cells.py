"""While a cell runs in a sandbox, the front end sees it: at once, in the right cell, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

from frontend import Gate, Home, Kernel, parent


def test_the_first_line_arrives_while_the_job_still_runs(kernel: Kernel, gate: Gate) -> None:
    cell = kernel.send(
        f"%%modal_step\nprint('first line')\n{gate.wait}\nprint('second line')\nlive_done = True"
    )
    kernel.wait_for_text(cell, "first line")  # the job waits for the gate, which nobody has opened
    assert not kernel.is_idle(cell)
    gate.open()
    reply = kernel.finish(cell)
    assert reply.ok
    assert reply.stdout == "first line\nsecond line\n"
    assert kernel.ask("live_done") is True


def test_every_message_belongs_to_its_own_cell_although_the_next_is_waiting(
    kernel: Kernel, gate: Gate
) -> None:
    first = kernel.send(f"%%modal_step\nprint('remote')\n{gate.wait}\nprint('remote end')")
    second = kernel.send("print('local')")
    kernel.wait_for_text(first, "remote")
    gate.open()
    told, after = kernel.finish(first), kernel.finish(second)
    assert told.stdout == "remote\nremote end\n"
    assert after.stdout == "local\n"
    assert [each["msg_type"] for each in after.messages] == ["stream"]
    assert {parent(each) for each in kernel.seen[kernel.seen.index(told.messages[0]) :]} == {first, second}


def test_one_display_is_updated_in_place_with_html_and_text(kernel: Kernel) -> None:
    reply = kernel.run("%%modal_step --name shown_step --gpu T4\nprint('x')")
    kinds = [each["msg_type"] for each in reply.messages if each["content"].get("transient")]
    assert kinds[0] == "display_data"
    assert set(kinds[1:]) == {"update_display_data"}
    assert len({panel["transient"]["display_id"] for panel in reply.panels}) == 1
    for panel in reply.panels:
        assert set(panel["data"]) == {"text/html", "text/plain"}
    for text in ("shown_step", "this machine (local Modal API)", "T4", "not billed", "done in"):
        assert text in reply.panel
        assert text in reply.panels[-1]["data"]["text/html"]


def test_nothing_of_zenml_or_modal_is_printed_in_the_cell(kernel: Kernel) -> None:
    reply = kernel.run("%%modal_step\nimport sys\nprint('out')\nprint('err', file=sys.stderr)")
    assert reply.stdout == "out\n"
    assert reply.stderr == "err\n"


def test_nothing_but_the_cells_own_text_is_in_the_first_cell_of_a_new_home(tmp_path: Path) -> None:
    """It makes ZenML's store, flavor and stack, and starts the local Modal API."""
    home = Home(tmp_path)
    kernel = Kernel(home, "first")
    try:
        loaded = kernel.run("%load_ext zenml_modal_nb")
        reply = kernel.run("%%modal_step\nimport sys\nprint('out')\nprint('err', file=sys.stderr)")
    finally:
        kernel.close()
        home.python("-m", "zenml_modal_nb.emulator", "stop")
    assert (loaded.stdout, loaded.stderr) == ("", "")
    assert (reply.stdout, reply.stderr) == ("out\n", "err\n")
    assert {each["msg_type"] for each in reply.messages} <= {"stream", "display_data", "update_display_data"}


def test_the_panel_says_what_was_asked_for_what_it_costs_and_how_to_find_the_run(kernel: Kernel) -> None:
    panel = kernel.run("%%modal_step --cpu 3 --memory 5GiB\nfound_by_panel = 1").panel
    assert "3 cores" in panel
    assert "5 GiB" in panel
    # 3 cores at $0.1419 and 5 GiB at $0.024 an hour.
    assert f"${3 * 0.1419 + 5 * 0.024:.2f}/h" in panel
    (expression,) = re.findall(r'Client\(\)\.get_pipeline_run\("[^"]+"\)', panel)
    given = "from zenml.client import Client"
    assert kernel.ask(f"str({expression}.id) == str(_modal_run.id)", given=given)


def test_hostile_text_never_becomes_markup(kernel: Kernel) -> None:
    reply = kernel.attempt(
        "%%modal_step\n"
        "print('<script>alert(1)</script>')\n"
        'print(\'\\x1b]777;zmnb;{"v":1,"n":"x","s":0,"at":0,"k":"display",\'\n'
        '      \'"data":{"text/html":"<b>fooled</b>"}}\\x07\')\n'
        "raise ValueError('<script>alert(2)</script>')"
    )
    assert not reply.ok
    assert "<script>alert(1)</script>" in reply.stdout  # a stream is text for every front end
    assert reply.displays == []
    for panel in reply.panels:
        assert "<script>" not in panel["data"]["text/html"]
    assert "&lt;script&gt;alert(2)" in reply.panels[-1]["data"]["text/html"]


def test_the_cost_ticks_while_the_cell_runs(kernel: Kernel, gate: Gate) -> None:
    cell = kernel.send(f"%%modal_step --gpu B200 --gpu-count 8\nprint('running')\n{gate.wait}")
    kernel.wait_for_text(cell, "running")

    def costs() -> list[str]:
        panels = [
            each["content"].get("data", {}).get("text/plain", "")
            for each in kernel.seen
            if parent(each) == cell
        ]
        return list(dict.fromkeys(found for each in panels for found in re.findall(r"≈ \$[0-9.]+ on", each)))

    earlier = len(costs())
    # The job stands at the gate: whatever the panel says now, it says while the cell runs.
    kernel.wait_for(cell, lambda _: len(costs()) >= earlier + 2)
    assert not kernel.is_idle(cell)
    gate.open()
    assert kernel.finish(cell).ok
    amounts = [float(each.split("$")[1].split()[0]) for each in costs()[earlier:]]
    assert amounts == sorted(amounts)
    assert amounts[0] > 0


def test_the_status_of_a_command_is_no_output_that_the_panel_lists(kernel: Kernel) -> None:
    reply = kernel.run("%%modal_step\n!exit 3\nanswer = 42")
    assert "outputs: answer\n" in reply.panel
    assert "_exit_code" not in reply.panels[-1]["data"]["text/html"]
    assert kernel.ask("_exit_code") == 3
    reply = kernel.run("%%modal_step\n!exit 4")
    assert "outputs" not in reply.panel
    assert kernel.ask("_exit_code") == 4


def test_a_process_that_is_killed_is_told_as_such_and_memory_as_the_likely_cause(kernel: Kernel) -> None:
    reply = kernel.attempt("%%modal_step\nimport os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    assert "failed: killed, probably out of memory after" in reply.panel
    killed = (
        "was killed (exit code 137), most likely because it ran out of memory. Ask for more, e.g. --memory"
    )
    assert killed in reply.panel
    assert killed in reply.evalue
