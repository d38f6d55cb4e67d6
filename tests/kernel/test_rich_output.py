"""What libraries show from a sandbox, where the front end expects it: in order with the log, while the cell runs."""

from __future__ import annotations

from frontend import Gate, Kernel, Message


def shown(messages: list[Message]) -> list[str]:
    """What stands under the cell, in order: text, or the richest kind of each display; without the panel."""
    page: list[str] = []
    for message in messages:
        content = message["content"]
        match message["msg_type"]:
            case "stream":
                page += content["text"].split()
            case "display_data" | "execute_result" if "Modal step" not in str(content["data"]):
                kinds = [kind for kind in content["data"] if kind != "text/plain"]
                page.append(kinds[0] if kinds else content["data"]["text/plain"])
            case "clear_output":
                page.clear()
    return page


def test_plots_tables_and_images_stand_between_what_is_printed(kernel: Kernel) -> None:
    kernel.run("%matplotlib inline")
    reply = kernel.run(
        "%%modal_step\n"
        "import matplotlib.pyplot as plt, pandas as pd, plotly.graph_objects as go\n"
        "from PIL import Image\n"
        "print('plot'); plt.plot([1, 2]); plt.show()\n"
        "print('table'); display(pd.DataFrame({'a': [1]}))\n"
        "print('image'); display(Image.new('RGB', (2, 2)))\n"
        "print('figure'); go.Figure(go.Scatter(y=[1, 2])).show()\n"
        "print('open'); plt.plot([2, 1]);"
    )
    assert shown(reply.messages) == [
        "plot",
        "image/png",
        "table",
        "text/html",
        "image",
        "image/png",
        "figure",
        "application/vnd.plotly.v1+json",
        "open",
        "image/png",
    ]


def test_a_cleared_page_holds_only_what_came_after_while_the_cell_runs(kernel: Kernel, gate: Gate) -> None:
    cell = kernel.send(
        "%%modal_step\n"
        "from IPython.display import clear_output\n"
        "for epoch in (1, 2):\n"
        "    clear_output(wait=True)\n"
        "    print('epoch', epoch)\n"
        "    display(f'loss-{epoch}')\n"
        f"{gate.wait}\n"
        "print('end')"
    )
    kernel.wait_for(cell, lambda each: "loss-2" in str(each["content"]))
    assert not kernel.is_idle(cell)
    gate.open()
    reply = kernel.finish(cell)
    assert shown(reply.messages) == ["epoch", "2", "'loss-2'", "end"]
    cleared = [each["msg_type"] for each in reply.messages].index("clear_output")
    assert reply.messages[cleared + 1]["content"]["transient"] == reply.panels[0]["transient"]
    assert "done" in reply.panel


def test_a_display_is_updated_under_its_own_id(kernel: Kernel) -> None:
    reply = kernel.run(
        "%%modal_step\nhandle = display('first', display_id='of-mine')\nprint('between')\nhandle.update('second')"
    )
    mine = [
        (each["msg_type"], each["content"]["data"]["text/plain"])
        for each in reply.messages
        if each["content"].get("transient", {}).get("display_id") == "of-mine"
    ]
    assert mine == [("display_data", "'first'"), ("update_display_data", "'second'")]
