"""What front ends receive from a real kernel: the right cell, live, and saved by headless clients."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import nbformat
import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter

PREPARE = """
import os, sys, threading
from zenml_modal_nb.events import *
from zenml_modal_nb.rendering.choice import choose
target = Target("train", "Modal main/prod", True, gpu="A100:2", cpu=4.0, memory_mib=8192, hourly_rate=3.15)
def renderer():
    return choose(get_ipython(), stdout=sys.stdout, environ=os.environ)
"""

RUN = """
print("printed before")
shows = renderer()
for event in (
    Queued(target), Waiting(), Started("sb-1", "3.11.7"), Log("epoch 1\\n"), Progress("50%"),
    Log("100%\\n", stream="stderr"), Display({"text/plain": "<Figure>", "text/html": "<b>figure</b>"}),
    Log("epoch 2\\n"), Finished(12.0, 0.01, ("model",), Recorded("1f2e", "run-7", "train")),
):
    shows.show(event)
"""


@pytest.fixture
def kernel() -> Iterator[BlockingKernelClient]:
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        said(client, client.execute(PREPARE))
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def said(client: BlockingKernelClient, *cells: str) -> list[dict[str, Any]]:
    """The messages until all these cells are done, without the kernel's own."""
    messages, running = [], set(cells)
    while running:
        message = client.get_iopub_msg(timeout=30)
        if message["msg_type"] == "status":
            if message["content"]["execution_state"] == "idle":
                running.discard(message["parent_header"].get("msg_id"))
        elif message["msg_type"] != "execute_input":
            messages.append(message)
        assert message["msg_type"] != "error", message["content"]
    return messages


def streamed(messages: list[dict[str, Any]], name: str = "stdout") -> str:
    return "".join(
        message["content"]["text"]
        for message in messages
        if message["msg_type"] == "stream" and message["content"]["name"] == name
    )


def test_everything_lands_in_the_cell_that_started_the_run_even_while_another_one_runs(
    kernel: BlockingKernelClient,
) -> None:
    first = kernel.execute(
        "shows, go, ended = renderer(), threading.Event(), threading.Event()\n"
        "shows.show(Queued(target))\n"
        "def run():\n"
        "    go.wait()\n"
        "    for event in (Started('sb', '3.11'), Log('remote\\n'), Log('tail\\n'), Finished(1, 0.1)):\n"
        "        shows.show(event)\n"
        "    ended.set()\n"
        "threading.Thread(target=run).start()"
    )
    second = kernel.execute("go.set(); ended.wait(); print('local')")
    messages = said(kernel, first, second)
    of_first = [message for message in messages if message["parent_header"]["msg_id"] == first]
    of_second = [message for message in messages if message["parent_header"]["msg_id"] == second]
    assert streamed(of_first) == "remote\ntail\n"
    assert "done in 0:01" in of_first[-1]["content"]["data"]["text/plain"]
    assert streamed(of_second) == "local\n"
    assert {message["msg_type"] for message in of_second} == {"stream"}


def test_the_first_line_and_the_last_before_a_silence_arrive_while_the_cell_still_runs(
    kernel: BlockingKernelClient,
) -> None:
    cell = kernel.execute(
        "shows = renderer()\n"
        "for line in ('first', 'second', 'last'):\n"
        "    shows.show(Log(line + '\\n'))\n"
        "input('hold the cell')",
        allow_stdin=True,
    )
    seen = ""
    until = time.monotonic() + 30
    while seen != "first\nsecond\nlast\n" and time.monotonic() < until:
        message = kernel.get_iopub_msg(timeout=30)
        if message["msg_type"] == "stream":
            seen += message["content"]["text"]
    assert seen == "first\nsecond\nlast\n"
    kernel.get_stdin_msg(timeout=30)
    kernel.input("")
    said(kernel, cell)


def test_what_the_user_printed_before_the_run_stands_before_it(kernel: BlockingKernelClient) -> None:
    messages = said(kernel, kernel.execute(RUN))
    kinds = [message["msg_type"] for message in messages]
    assert kinds[:2] == ["stream", "display_data"]
    assert messages[0]["content"]["text"] == "printed before\n"


def test_captured_output_is_captured_as_text(kernel: BlockingKernelClient) -> None:
    cell = kernel.execute(
        "from IPython.utils.capture import capture_output\n"
        "with capture_output() as captured:\n"
        "    renderer().show(Queued(target))\n"
        "assert '[train] Modal main/prod' in captured.stdout"
    )
    assert said(kernel, cell) == []


def test_plain_text_can_be_asked_for_in_a_kernel(kernel: BlockingKernelClient) -> None:
    messages = said(kernel, kernel.execute("os.environ['ZENML_MODAL_NB_PLAIN'] = '1'\n" + RUN))
    assert {message["msg_type"] for message in messages} == {"stream"}
    assert "[train] done in 0:12" in streamed(messages)


def test_a_headless_run_saves_the_finished_panel_the_log_and_the_plots() -> None:
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in (PREPARE, RUN)]
    )
    NotebookClient(notebook, kernel_name="python3", timeout=60).execute()
    outputs = notebook.cells[1].outputs
    panels = [
        output for output in outputs if "Modal step train" in output.get("data", {}).get("text/html", "")
    ]
    assert len(panels) == 1
    assert "done in 0:12" in panels[0].data["text/plain"]
    assert "done in 0:12" in panels[0].data["text/html"]
    log = "".join(output.text for output in outputs if output.output_type == "stream")
    for line in ("printed before", "epoch 1", "epoch 2", "100%"):
        assert line in log
    page, _ = HTMLExporter().from_notebook_node(notebook)
    for text in ("done in 0:12", "epoch 2", "<b>figure</b>"):
        assert text in page


def test_a_remote_error_is_the_cells_error_in_a_headless_run() -> None:
    fail = (
        "from zenml_modal_nb.errors import RemoteCellError\n"
        "from zenml_modal_nb.rendering.traceback import draw, read\n"
        "report = {'ename': 'ValueError', 'evalue': 'no', 'frames': "
        "[{'file': '<cell>', 'line': 2, 'name': '<module>', 'text': 'int(x)'}]}\n"
        "lines = draw(read(report), cell_file='<cell>', cell_lines=['x = 1', 'int(x)'], cell_label='Cell In[2]')\n"
        "raise RemoteCellError('ValueError', 'no', lines)"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(fail)])
    with pytest.raises(CellExecutionError):
        NotebookClient(notebook, kernel_name="python3", timeout=60).execute()
    traceback = "\n".join(notebook.cells[0].outputs[-1].traceback)
    assert "Cell In[2]" in traceback
    assert "int(x)" in traceback
    assert "errors.py" not in traceback
