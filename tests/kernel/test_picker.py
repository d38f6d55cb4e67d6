"""The picker in a real kernel: its widgets as a front end sets them, the line that it shows, and what that does."""

from __future__ import annotations

import subprocess
from typing import Any

import nbformat
from frontend import Home, Kernel, Message, Reply

from zenml_modal_nb.magics.arguments import parse
from zenml_modal_nb.magics.defaults import ModalStep

VIEW = "application/vnd.jupyter.widget-view+json"


class Page:
    """The widgets of one picker as a front end holds them: their state by model, set by comm messages."""

    def __init__(self, kernel: Kernel, cell: str) -> None:
        self.kernel = kernel
        self.models: dict[str, dict[str, Any]] = {}
        self.shown = self._heard(kernel.run(cell))
        (result,) = [each for each in self.shown.messages if each["msg_type"] == "execute_result"]
        self.bundle = result["content"]["data"]

    def named(self, description: str) -> str:
        """The model of the field or button with this label."""
        (found,) = [key for key, state in self.models.items() if state.get("description") == description]
        return found

    def set(self, description: str, **state: Any) -> None:
        """Change a field as a front end does."""
        self._send(self.named(description), {"method": "update", "state": state, "buffer_paths": []})

    def select(self, description: str, label: str) -> None:
        """Choose an entry by the beginning of its label."""
        labels = self.models[self.named(description)]["_options_labels"]
        (index,) = [at for at, each in enumerate(labels) if str(each).split(" · ")[0] == label]
        self.set(description, index=index)

    def press(self, description: str) -> None:
        self._send(self.named(description), {"method": "custom", "content": {"event": "click"}})

    def ask_to_arm(self) -> None:
        """What the page's "Run this cell with it" does where it cannot write into a cell."""
        self._send(self.actions, {"method": "custom", "content": {"kind": "arm"}})

    def ask_for_line(self) -> Message:
        """Ask which line is meant by all that was set before, as the page's buttons do."""
        question = {"kind": "line", "asker": 0.5, "number": 3}
        reply = self.kernel.tell(self.actions, {"method": "custom", "content": question})
        (answer,) = [
            each["content"]["data"]["content"]
            for each in reply.messages
            if each["msg_type"] == "comm_msg" and each["content"]["data"]["method"] == "custom"
        ]
        return dict(answer)

    @property
    def actions(self) -> str:
        (found,) = [key for key, state in self.models.items() if "spoken" in state]
        return found

    @property
    def line(self) -> str:
        return str(self.models[self.actions]["line"])

    @property
    def text(self) -> str:
        """All that the form's text says."""
        return "\n".join(
            str(each["value"]) for each in self.models.values() if each["_model_name"] == "HTMLModel"
        )

    def _send(self, model: str, data: Message) -> None:
        self._heard(self.kernel.tell(model, data))

    def _heard(self, reply: Reply) -> Reply:
        for message in reply.messages:
            content = message["content"]
            if message["msg_type"] == "comm_open":
                self.models[content["comm_id"]] = dict(content["data"]["state"])
            elif message["msg_type"] == "comm_msg" and content["data"]["method"] == "update":
                self.models[content["comm_id"]].update(content["data"]["state"])
        return reply


def test_two_a100_are_picked_and_the_line_and_the_price_follow(kernel: Kernel) -> None:
    page = Page(kernel, "%modal_pick")
    assert page.line == "%%modal_step"
    assert "snapshot of November 2026" in page.text
    page.select("GPU", "A100-40GB")
    page.select("GPUs", "2")
    page.set("Memory", value="32GB")
    page.set("Time limit", value="90m")
    assert page.line == "%%modal_step --gpu A100-40GB --gpu-count 2 --memory 32GB --timeout 1h30m"
    request = parse(page.line.removeprefix("%%modal_step"), ModalStep())
    assert (request.gpu, request.gpu_count, request.memory_mib, request.timeout) == (
        "A100-40GB",
        2,
        32000,
        5400,
    )
    assert "2 × A100-40GB</th><td>$4.20/h" in page.text
    assert "if the cell runs for all of 1 h 30 min" in page.text
    assert "not provided" in page.text  # no token here: it would run on this machine


def test_a_page_that_asks_hears_the_line_of_what_it_has_set(kernel: Kernel) -> None:
    page = Page(kernel, "%modal_pick")
    page.set("Time limit", value="5h")
    answer = page.ask_for_line()
    assert answer == {"kind": "line", "asker": 0.5, "number": 3, "line": "%%modal_step --timeout 5h"}
    page.set("Time limit", value="soon")
    assert page.ask_for_line()["line"] == ""


def test_a_count_is_limited_to_what_the_type_allows(kernel: Kernel) -> None:
    page = Page(kernel, "%modal_pick --gpu H100 --gpu-count 8")
    assert page.models[page.named("GPUs")]["_options_labels"] == [str(n) for n in range(1, 9)]
    page.select("GPU", "A10")
    assert page.models[page.named("GPUs")]["_options_labels"] == ["1", "2", "3", "4"]
    assert page.line == "%%modal_step --gpu A10 --gpu-count 4"
    assert "One sandbox has at most 4 A10" in page.text


def test_a_gpu_may_be_left_to_the_step_operator_or_refused(kernel: Kernel) -> None:
    page = Page(kernel, "%modal_pick --operator modal --gpu-count 2")
    assert page.line == "%%modal_step --gpu-count 2 --operator modal"
    assert "the price lacks it" in page.text
    page.select("GPUs", "the step operator's")
    assert page.line == "%%modal_step --operator modal"
    page.select("GPU", "T4")
    assert page.line == "%%modal_step --gpu T4 --operator modal"
    page.select("GPU", "No GPU")
    assert page.line == "%%modal_step --no-gpu --operator modal"
    page.select("GPU", "the step operator's")
    assert page.line == "%%modal_step --operator modal"
    page.select("GPUs", "3")
    assert page.line == "%%modal_step --gpu-count 3 --operator modal"


def test_a_type_with_a_count_of_nothing_is_told_without_a_line_of_ours(kernel: Kernel) -> None:
    for _ in "ab":  # each time
        told = kernel.run("%%modal_step --dry-run --gpu A100 --gpu-count 0\n1").stderr.strip()
        assert told.startswith("%%modal_step:1: UserWarning: The GPU type A100 comes with a count of 0")
        assert "\n" not in told


def test_without_a_step_operator_nothing_is_left_to_one(kernel: Kernel) -> None:
    page = Page(kernel, "%modal_pick")
    labels = page.models[page.named("GPU")]["_options_labels"]
    assert labels[0] == "No GPU"
    kernel.run("%config ModalStep.gpu = 'L4'")  # no line could leave it to the step operator
    try:
        page = Page(kernel, "%modal_pick --operator modal --gpu T4")
        assert page.models[page.named("GPU")]["_options_labels"][0] == "No GPU"
    finally:
        kernel.run("%config ModalStep.gpu = None")


def test_a_mistake_is_explained_at_its_field_and_escaped(kernel: Kernel) -> None:
    page = Page(kernel, "%modal_pick")
    page.set("Region", value="<img src=x onerror=alert(1)>")
    assert page.line == ""
    assert "No price" in page.text
    assert "&lt;img src=x" in page.text
    assert "<img" not in page.text
    assert page.models[page.named("Use as default")]["disabled"] is True
    page.set("Region", value="eu")
    assert page.line == "%%modal_step --region eu"


def test_a_preset_sets_the_machine(kernel: Kernel) -> None:
    page = Page(kernel, "%modal_pick --timeout 2h --pip humanize")
    page.press("Eight big GPUs")
    assert page.line == (
        "%%modal_step --gpu H100 --gpu-count 8 --cpu 16 --memory 128GiB --timeout 2h --pip humanize"
    )


def test_a_choice_becomes_the_default_of_every_cell(kernel: Kernel) -> None:
    page = Page(kernel, "%modal_pick")
    page.select("GPU", "L4")
    page.set("Time limit", value="7m")
    try:
        page.press("Use as default")
        assert page.line == "%%modal_step"
        assert "%config ModalStep.gpu = &#x27;L4&#x27;" in page.text
        assert "now means this" in page.models[page.actions]["spoken"]
        panel = kernel.run("%%modal_step --on local\npicked_default = 1").panel
        assert "L4" in panel
        assert "timeout 7 min" in panel
    finally:
        kernel.run("%config ModalStep.gpu = None")
        kernel.run("%config ModalStep.timeout = None")


def test_it_is_a_page_and_text_too_for_front_ends_without_widgets(kernel: Kernel) -> None:
    page = Page(kernel, "%modal_pick --gpu T4 --env 'A=<b>'")
    assert set(page.bundle) == {VIEW, "text/html", "text/plain"}
    assert "--env &#x27;A=&lt;b&gt;&#x27;</code>" in page.bundle["text/html"]
    assert "<script" not in page.bundle["text/html"]
    assert page.bundle[VIEW]["model_id"] == page.models[page.actions]["root"]
    assert "Chosen: %%modal_step --gpu T4" in page.bundle["text/plain"]


def test_an_executed_notebook_shows_the_prices_instead_of_a_form_that_nobody_fills_in(home: Home) -> None:
    cells = [nbformat.v4.new_code_cell(each) for each in ("%load_ext zenml_modal_nb", "%modal_pick --gpu T4")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), home.path / "priced.ipynb")
    done = home.python("-m", "nbconvert", "--to", "html", "--execute", str(home.path / "priced.ipynb"))
    page = (home.path / "priced.html").read_text()
    assert done.returncode == 0, done.stderr
    assert '<code class="zmnb-line">%%modal_step --gpu T4</code>' in page
    assert "RTX-PRO-6000" in page
    assert f'<script type="{VIEW}">' not in page


def test_the_python_object_follows_the_form_and_leads_it(kernel: Kernel) -> None:
    kernel.run("from dataclasses import replace\nfrom zenml_modal_nb import ResourcePicker")
    page = Page(kernel, "picked = ResourcePicker('--gpu T4')\npicked")
    page.select("GPU", "H100")
    assert kernel.ask("[picked.line, picked.request.gpu]") == ["%%modal_step --gpu H100", "H100"]
    page._heard(kernel.run("picked.choices = replace(picked.choices, gpu_count=3)"))
    assert page.line == "%%modal_step --gpu H100 --gpu-count 3"
    reply = kernel.run("picked.insert()")
    (payload,) = reply.content["payload"]
    assert payload["source"] == "set_next_input"
    assert payload["text"] == "%%modal_step --gpu H100 --gpu-count 3\n"
    assert kernel.attempt("ResourcePicker('--gpu T5')").ename == "InvalidRequestError"


def test_a_cell_waits_for_the_choice_and_runs_with_it_when_executed_again(kernel: Kernel) -> None:
    kernel.run("%config ModalStep.on = 'local'")
    cell = "%%modal_pick --timeout 3m\npicked_there = 6 * 7\npicked_there"
    try:
        page = Page(kernel, cell)
        assert page.models[page.actions]["cell"] is True
        assert kernel.ask("'picked_there' in globals()") is False
        page.select("GPU", "T4")
        page.ask_to_arm()
        reply = kernel.run(cell)
        assert reply.results == ["42"]
        assert "T4" in reply.panel
        assert "timeout 3 min" in reply.panel
        assert VIEW in Page(kernel, cell).bundle  # a choice is for one run: nothing is paid unasked
    finally:
        kernel.run("%config ModalStep.on = None")


def test_a_choice_for_one_cell_is_not_another_ones(kernel: Kernel) -> None:
    page = Page(kernel, "%%modal_pick\npicked_first = 1")
    page.ask_to_arm()
    assert VIEW in Page(kernel, "%%modal_pick\npicked_second = 1").bundle
    assert kernel.ask("'picked_second' in globals()") is False


def test_two_cells_wait_each_for_its_own_choice(kernel: Kernel) -> None:
    kernel.run("%config ModalStep.on = 'local'")
    cells = {"T4": "%%modal_pick\npicked_one = 1", "L4": "%%modal_pick\npicked_two = 2"}
    try:
        for gpu, cell in cells.items():
            page = Page(kernel, cell)
            page.select("GPU", gpu)
            page.ask_to_arm()
        for gpu, cell in cells.items():
            assert gpu in kernel.run(cell).panel
        assert kernel.ask("picked_one + picked_two") == 3
    finally:
        kernel.run("%config ModalStep.on = None")


def test_a_waiting_cell_runs_with_what_the_form_shows_last(kernel: Kernel) -> None:
    kernel.run("%config ModalStep.on = 'local'")
    cell = "%%modal_pick --gpu H100\npicked_last = 3"
    try:
        page = Page(kernel, cell)
        page.ask_to_arm()
        page.set("Time limit", value="4m")
        page.select("GPU", "L4")
        # Another line is another question.
        assert VIEW in Page(kernel, cell.replace("H100", "T4")).bundle
        panel = kernel.run(cell).panel
        assert "L4" in panel
        assert "timeout 4 min" in panel
    finally:
        kernel.run("%config ModalStep.on = None")


def test_both_magics_have_help(kernel: Kernel) -> None:
    assert "%modal_pick --gpu A100" in kernel.run("%modal_pick?").help
    assert "--gpu-count" in kernel.run("%%modal_step?").help


def test_braces_and_dollars_on_its_line_stay_as_they_are(kernel: Kernel) -> None:
    kernel.run("a = 'expanded'")
    page = Page(kernel, "%modal_pick --env P={a} --env 'Q=$a b'")
    assert page.line == "%%modal_step --env 'P={a}' --env 'Q=$a b'"


def test_loading_the_extension_imports_no_widgets(home: Home) -> None:
    loaded = "import sys, zenml_modal_nb.magics.extension, zenml_modal_nb.magics.pick"
    done = home.python("-c", f"{loaded}; print([m for m in ('ipywidgets', 'anywidget') if m in sys.modules])")
    assert done.stdout.strip() == "[]", done.stderr


def test_a_terminal_gets_the_table(home: Home) -> None:
    (home.path / "pick.ipy").write_text(
        "%load_ext zenml_modal_nb\nprint(get_ipython().run_line_magic('modal_pick', '--gpu L4'))\n"
    )
    done: subprocess.CompletedProcess[str] = home.python("-m", "IPython", "--no-banner", "pick.ipy")
    assert "Chosen: %%modal_step --gpu L4" in done.stdout, done.stderr
    assert "RTX-PRO-6000" in done.stdout


# An address of this machine that is none of those by which a server counts as this machine's own.
WITH_A_TOKEN = """
import json, os, pathlib
record = json.loads((pathlib.Path(os.environ["ZENML_MODAL_NB_STATE_DIR"]) / "server.json").read_text())
os.environ["MODAL_SERVER_URL"] = record["url"].replace("127.0.0.1", "127.1")
os.environ["MODAL_TOKEN_ID"], os.environ["MODAL_TOKEN_SECRET"] = record["token_id"], record["token_secret"]
from zenml_modal_nb.sandboxes.connection import connect
from zenml_modal_nb.sandboxes.prices import prices_for
workspace = connect("modal").workspace
told = prices_for(connect("modal")).source
"""


def test_with_a_token_the_prices_are_the_workspaces(new_kernel: Kernel) -> None:
    new_kernel.run(WITH_A_TOKEN)
    new_kernel.run("%load_ext zenml_modal_nb")
    page = Page(new_kernel, "%modal_pick --gpu T4")
    assert f"Prices: rates of workspace {new_kernel.ask('workspace')}" in page.text
    assert "nothing is billed" not in page.text
    page.select("Where", "this machine")
    assert "nothing is billed" in page.text
    assert page.line == "%%modal_step --gpu T4 --on local"


def test_what_is_not_among_the_defaults_stays_on_the_line_that_means_the_choice(kernel: Kernel) -> None:
    page = Page(kernel, "%modal_pick --gpu L4 --pip humanize")
    try:
        page.press("Use as default")
        assert "%%modal_step --pip humanize</code> now means this" in page.text
    finally:
        kernel.run("%config ModalStep.gpu = None")


def test_a_modal_that_never_answers_keeps_no_cell_from_this_machine(
    new_kernel: Kernel, silent_modal: str
) -> None:
    new_kernel.run(silent_modal)
    new_kernel.run("%load_ext zenml_modal_nb")
    assert "snapshot of November 2026" in Page(new_kernel, "%modal_pick --gpu T4").text
    assert new_kernel.run("%%modal_step --on local\n6 * 7").results == ["42"]
    # It ran meanwhile, not after Modal had been given up.
    names = "[each.name for each in __import__('threading').enumerate()]"
    assert "zenml-modal-nb-prices" in new_kernel.ask(names)


def test_a_modal_configuration_that_cannot_be_read_is_told_in_the_form(new_kernel: Kernel) -> None:
    new_kernel.run("import os, pathlib, tempfile\nbroken = pathlib.Path(tempfile.mkdtemp()) / 'modal.toml'")
    new_kernel.run("_ = broken.write_text('[[')\nos.environ['MODAL_CONFIG_PATH'] = str(broken)")
    new_kernel.run("%load_ext zenml_modal_nb")
    page = Page(new_kernel, "%modal_pick --gpu T4")
    assert "%modal_doctor says what to do" in page.text
    assert "Traceback" not in page.shown.stderr + page.shown.stdout


def test_a_default_that_is_wrong_by_now_is_told_in_the_form(kernel: Kernel) -> None:
    page = Page(kernel, "%modal_pick --timeout 2h")
    kernel.run("%config ModalStep.memory = '32'")
    try:
        page.select("GPU", "T4")
        assert page.line == ""
        assert "It was set with %config ModalStep.memory." in page.text
    finally:
        kernel.run("%config ModalStep.memory = None")
    page.select("GPU", "L4")
    assert page.line == "%%modal_step --gpu L4 --timeout 2h"
