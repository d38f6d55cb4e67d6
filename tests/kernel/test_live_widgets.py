"""What a notebook that shows widgets receives: the log as deltas, and in the end pages that need no kernel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ipykernel
import nbformat
import pytest
from frontend import Gate, Kernel, Message, Reply, parent
from nbconvert import HTMLExporter

from zenml_modal_nb.rendering.lines import HEAD, TAIL

VIEW = "application/vnd.jupyter.widget-view+json"


def widget(message: Message) -> str:
    """The ID of the widget that a display shows, empty without one."""
    return str(message["content"].get("data", {}).get(VIEW, {}).get("model_id", ""))


def pieces(messages: list[Message]) -> list[list[Any]]:
    """The log as it came: number, stream, time and text of each piece, and lines before it, in order."""
    return [
        piece
        for each in messages
        if each["msg_type"] == "comm_msg"
        for name, piece in each["content"]["data"].get("state", {}).items()
        if name.startswith("c") and name[1:].isdigit()
    ]


def saved(reply: Reply) -> list[dict[str, Any]]:
    """What the notebook's file holds of the cell: each display as it was last."""
    shown: dict[str, dict[str, Any]] = {}
    for number, each in enumerate(reply.messages):
        if each["msg_type"] in ("display_data", "update_display_data"):
            display_id = each["content"].get("transient", {}).get("display_id", str(number))
            if each["msg_type"] == "display_data" or display_id in shown:
                shown[display_id] = each["content"]["data"]
        elif each["msg_type"] == "stream":
            shown[str(number)] = {"stream": each["content"]["text"]}
    return list(shown.values())


def test_the_log_comes_as_deltas_and_stays_as_pages_in_order_with_the_plots(kernel: Kernel) -> None:
    reply = kernel.finish(
        kernel.send_from_notebook(
            "%%modal_step --name deltas\nimport sys\nprint('one')\n"
            "display('between')\nprint('<b>three</b>')\nprint('careful', file=sys.stderr)"
        )
    )
    assert reply.ok
    assert not [each for each in reply.messages if each["msg_type"] == "stream"]
    texts = [(stream, text) for _, stream, _, text, *_ in pieces(reply.messages)]
    assert sorted(texts) == [(0, "<b>three</b>\n"), (0, "one\n"), (1, "careful\n")]
    panel, first, between, second = saved(reply)
    assert "done in" in panel["text/plain"]
    assert "Modal step deltas" in panel["text/html"]
    assert "one" in first["text/plain"]
    assert '<span class="zmnb-err">careful</span>' in first["text/html"] + second["text/html"]
    assert between == {"text/plain": "'between'"}
    assert [each["text/html"].count("<style>") for each in (panel, first, second)] == [1, 0, 0]
    assert "<b>three</b>" in second["text/plain"]
    assert "&lt;b&gt;three&lt;/b&gt;" in second["text/html"]
    assert all(VIEW not in each for each in (panel, first, second))
    opened = {each["content"]["comm_id"] for each in reply.messages if each["msg_type"] == "comm_open"}
    closed = {each["content"]["comm_id"] for each in reply.messages if each["msg_type"] == "comm_close"}
    assert {widget(each) for each in reply.messages} - {""} <= opened
    assert {widget(each) for each in reply.messages} - {""} <= closed


def test_a_front_end_without_widgets_has_html_and_text_from_the_first_moment(kernel: Kernel) -> None:
    reply = kernel.finish(kernel.send_from_notebook("%%modal_step --name alternatives\nprint('x')"))
    first = next(each for each in reply.messages if widget(each))
    assert "alternatives" in first["content"]["data"]["text/html"]
    assert "alternatives" in first["content"]["data"]["text/plain"]


def test_what_is_saved_while_the_run_goes_on_says_so_and_where_to_look(kernel: Kernel, gate: Gate) -> None:
    cell = kernel.send_from_notebook(f"%%modal_step --name midway\nprint('<b>')\n{gate.wait}")
    kernel.wait_for(cell, lambda each: any("<b>" in piece[3] for piece in pieces([each])))
    kernel.wait_for(cell, lambda each: "running" in str(each["content"]["data"].get("state", {}).get("face")))
    messages = [each for each in kernel.seen if parent(each) == cell]
    outputs = [
        nbformat.v4.new_output("display_data", data=each) for each in saved(Reply({"status": "ok"}, messages))
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("", outputs=outputs)])
    converted, _ = HTMLExporter().from_notebook_node(notebook)  # type: ignore[no-untyped-call]
    gate.open()
    kernel.finish(cell)
    path = kernel.ask("str(_modal_run.log_file)")
    for page in (converted, "\n".join(each.data["text/plain"] for each in outputs)):
        assert "midway" in page
        assert "running when this was saved" in page
        assert "interrupt the kernel" in page
        assert page.count(path) == 2  # in the panel, and where the log would be
        assert "packaging" not in page


def test_a_progress_bar_is_one_line_of_the_page(kernel: Kernel) -> None:
    reply = kernel.finish(
        kernel.send_from_notebook(
            "%%modal_step\nimport sys, time\nfor n in range(5):\n"
            "    print(f'\\r{n * 25}%', end='', file=sys.stderr, flush=True)\n    time.sleep(0.11)\n"
            "print(file=sys.stderr)"
        )
    )
    assert [each["text/plain"] for each in saved(reply)][1] == "100%"


CLEAR = "%%modal_step\nfrom IPython.display import clear_output\n"


def opened(reply: Reply) -> int:
    """How many widgets of ours a cell has opened."""
    states = [each["content"]["data"]["state"] for each in reply.messages if each["msg_type"] == "comm_open"]
    return len([state for state in states if "_esm" in state])


def test_a_cleared_page_keeps_its_panel(kernel: Kernel) -> None:
    reply = kernel.finish(
        kernel.send_from_notebook(
            f"{CLEAR}print('old')\ndisplay('shown')\nprint('old too')\nclear_output()\nprint('new')"
        )
    )
    cleared = [each["msg_type"] for each in reply.messages].index("clear_output")
    after = Reply(reply.content, reply.messages[cleared:])
    panel, log = saved(after)
    assert "done in" in panel["text/plain"]
    assert log["text/plain"] == "new"


def test_a_page_of_our_own_is_cleared_without_being_shown_anew(kernel: Kernel) -> None:
    reply = kernel.finish(
        kernel.send_from_notebook(
            f"{CLEAR}for n in range(50):\n    clear_output(wait=True)\n    print('epoch', n)"
        )
    )
    assert [each["text/plain"] for each in saved(reply)][1:] == ["epoch 49"]
    assert opened(reply) == 2
    assert "clear_output" not in [each["msg_type"] for each in reply.messages]
    assert len([each for each in reply.messages if each["msg_type"] == "display_data"]) == 2


def test_a_page_that_is_cleared_for_the_next_plot_opens_no_further_widgets(kernel: Kernel) -> None:
    reply = kernel.finish(
        kernel.send_from_notebook(
            f"{CLEAR}for n in range(20):\n    clear_output(wait=True)\n    print('before', n)\n"
            "    display(n)\n    print('after', n)"
        )
    )
    cleared = max(n for n, each in enumerate(reply.messages) if each["msg_type"] == "clear_output")
    shown = saved(Reply(reply.content, reply.messages[cleared:]))
    assert [each["text/plain"] for each in shown][1:] == ["before 19", "19", "after 19"]
    assert opened(reply) == 3


def test_a_cell_that_clears_its_page_at_the_end_leaves_no_empty_log(kernel: Kernel) -> None:
    reply = kernel.finish(kernel.send_from_notebook(f"{CLEAR}print('old')\nclear_output()"))
    assert saved(reply)[1] == {"text/html": "", "text/plain": ""}


def test_a_log_that_is_too_fast_for_a_page_is_counted_to_the_line(kernel: Kernel) -> None:
    lines = 100_000
    reply = kernel.finish(
        kernel.send_from_notebook(
            f"%%modal_step\nimport sys\nfor n in range({lines}):\n"
            "    print('line', n, 'x' * 60, file=sys.stderr if n % 7 == 0 else sys.stdout)"
        )
    )
    snapshot = saved(reply)[1]["text/plain"].split("\n")
    assert len([each for each in snapshot if each.startswith("line ")]) == HEAD + TAIL
    assert f"[… {lines - HEAD - TAIL:,} lines are not shown here; the whole log is in ZenML …]" in snapshot
    *_, (_, stream, _, text, *before) = pieces(reply.messages)
    before[stream] += text.count("\n")
    assert sum(before) == lines
    came = sum(text.count("\n") for _, _, _, text, *_ in pieces(reply.messages))
    assert came < lines / 2


def test_widgets_of_long_ago_runs_are_gone_from_the_kernel(kernel: Kernel) -> None:
    kernel.run("from zenml_modal_nb.rendering.kept import MOST_RUNS")
    count = "len(__import__('ipywidgets').Widget.widgets)"
    found = []
    for _ in range(2):
        for _ in range(kernel.ask("MOST_RUNS")):
            kernel.finish(kernel.send_from_notebook("%%modal_step\nprint(1)"))
        found.append(kernel.ask(count))
    assert found[0] == found[1]


@pytest.mark.slow
def test_the_whole_log_is_on_the_disk_however_much_of_it_the_page_shows(kernel: Kernel) -> None:
    cell = kernel.send_from_notebook(
        "%%modal_step\nfor n in range(30_000):\n    print('line', n)\nimport os; os.write(2, b'err\\n')"
    )
    reply = kernel.finish(cell)
    assert reply.ok
    whole = Path(kernel.ask("str(_modal_run.log_file)")).read_text("utf-8")
    lines = whole.splitlines(keepends=True)
    assert [each for each in lines if each != "err\n"] == [f"line {n}\n" for n in range(30_000)]
    assert lines.count("err\n") == 1
    assert whole == kernel.ask("_modal_run.logs()")
    shown = saved(reply)[1]["text/plain"]
    assert len(shown) < len(whole) / 5
    assert shown.startswith("line 0\nline 1\n")
    assert "line 29999" in shown


@pytest.mark.slow
def test_a_page_that_comes_later_gets_the_ends_of_runs_under_their_widgets_names(kernel: Kernel) -> None:
    reply = kernel.finish(kernel.send_from_notebook("%%modal_step --name later\nprint('<i>seen</i>')"))
    panel, log = dict.fromkeys(widget(each) for each in reply.messages if widget(each))
    closed = [each["content"].get("comm_id") for each in reply.messages if each["msg_type"] == "comm_close"]
    assert {panel, log} <= set(closed)
    after = [each for each in reply.messages if each["content"].get("comm_id") in (panel, log)]
    assert [each["msg_type"] for each in after[-2:]] == [
        "comm_close",
        "comm_close",
    ]  # who has seen it hears no more
    states = kernel.ask(
        "{name: each.get_state() for name, each in __import__('ipywidgets').Widget.widgets.items()"
        f" if name in {(panel, log)!r}}}"
    )
    assert "done in" in states[panel]["html"]
    assert "&lt;i&gt;seen&lt;/i&gt;" in states[log]["html"]
    assert kernel.ask(f"[each in get_ipython().kernel.comm_manager.comms for each in {(panel, log)!r}]") == [
        True,
        True,
    ]


@pytest.mark.slow
def test_a_kept_page_answers_who_asks_for_it_alone(kernel: Kernel) -> None:
    reply = kernel.finish(kernel.send_from_notebook("%%modal_step --name asked\n1"))
    panel = next(widget(each) for each in reply.messages if widget(each))
    answer = kernel.tell(panel, {"method": "request_state"})
    (state,) = [
        each["content"]["data"]["state"] for each in answer.messages if each["msg_type"] == "comm_msg"
    ]
    assert "Modal step asked" in state["html"]


@pytest.mark.slow  # a panel must stand for a while
def test_of_long_ago_runs_no_pages_are_kept(kernel: Kernel) -> None:
    kernel.run("from zenml_modal_nb.rendering.kept import MOST_RUNS, _runs")
    for _ in range(3):
        kernel.finish(kernel.send_from_notebook("%%modal_step\n1"))
    assert kernel.ask("len(_runs) <= MOST_RUNS") is True


@pytest.mark.slow
@pytest.mark.skipif(ipykernel.version_info < (7,), reason="subshells came with ipykernel 7")
def test_a_page_stops_the_run_and_gets_the_whole_log_while_the_cell_runs(kernel: Kernel, gate: Gate) -> None:
    cell = kernel.send_from_notebook(f"%%modal_step\nprint('waits')\n{gate.wait}")
    kernel.wait_for(cell, lambda each: any("waits" in piece[3] for piece in pieces([each])))
    panel = next(widget(each) for each in kernel.seen if parent(each) == cell and widget(each))
    subshell = kernel.create_subshell()
    kernel.tell_widget(panel, {"kind": "log"}, subshell)
    answer = kernel.wait_for_answer(panel, "log")
    assert bytes(answer["buffers"][0]) == b"waits\n"
    assert not kernel.is_idle(cell)
    kernel.tell_widget(panel, {"kind": "stop"}, subshell)
    reply = kernel.finish(cell)
    assert not reply.ok
    assert "stopped by the user" in saved(reply)[0]["text/plain"]
