"""Pages in front of a kernel that draw no widgets, e.g. since Jupyter's own environment lacks anywidget."""

from __future__ import annotations

from frontend import Kernel, Message, Reply

VIEW = "application/vnd.jupyter.widget-view+json"
RUN = "%%modal_step --on local\nprint('printed there')"


def question(messages: list[Message]) -> str:
    """The widget by which the page is asked whether it draws any."""
    (found,) = [
        each["content"]["comm_id"]
        for each in messages
        if each["msg_type"] == "comm_open" and each["content"]["data"]["state"]["_view_name"] is None
    ]
    return str(found)


def shows_widgets(reply: Reply) -> bool:
    return any(VIEW in each["content"].get("data", {}) for each in reply.messages)


def load(kernel: Kernel) -> str:
    return question(kernel.finish(kernel.send_from_notebook("%load_ext zenml_modal_nb")).messages)


def test_a_page_that_refuses_widgets_gets_html_from_the_first_run_on_and_is_told_why_once(
    new_kernel: Kernel,
) -> None:
    new_kernel.draws_widgets = False
    asked = load(new_kernel)
    new_kernel.close_widget(asked)  # as JupyterLab does that has no manager of widgets
    first = new_kernel.finish(new_kernel.send_from_notebook(RUN))
    assert not shows_widgets(first)
    assert "done in" in first.panel
    assert "printed there" in first.stdout
    assert first.stderr.count("\n") == 1
    assert "pip install anywidget" in first.stderr
    second = new_kernel.finish(new_kernel.send_from_notebook(RUN))
    assert not shows_widgets(second)
    assert second.stderr == ""
    picker = new_kernel.finish(new_kernel.send_from_notebook("%modal_pick --gpu L4"))
    assert not shows_widgets(picker)
    assert "Chosen: %%modal_step --gpu L4" in picker.results[0]


def test_a_page_that_answers_gets_widgets_also_after_it_was_taken_for_one_without(new_kernel: Kernel) -> None:
    new_kernel.draws_widgets = False
    asked = load(new_kernel)
    new_kernel.close_widget(asked)
    new_kernel.run("from zenml_modal_nb.rendering import widget_support")
    assert new_kernel.ask("widget_support.of(get_ipython()).is_missing()") is True
    new_kernel.draws_widgets = True
    new_kernel.begin_session()  # the page is loaded again, with what it lacked
    first = new_kernel.finish(new_kernel.send_from_notebook(RUN))
    assert not shows_widgets(first)  # it may be as it was
    assert shows_widgets(new_kernel.finish(new_kernel.send_from_notebook(RUN)))


def test_cells_that_are_run_all_at_once_leave_a_page_no_time_to_answer_and_show_widgets(
    new_kernel: Kernel,
) -> None:
    cells = [new_kernel.send_from_notebook(each) for each in ("%load_ext zenml_modal_nb", RUN, RUN)]
    assert all(shows_widgets(reply) for reply in [new_kernel.finish(each) for each in cells][1:])


def test_a_client_that_names_no_cell_is_not_asked(new_kernel: Kernel) -> None:
    assert new_kernel.run("%load_ext zenml_modal_nb").messages == []
    assert not shows_widgets(new_kernel.run(RUN))
