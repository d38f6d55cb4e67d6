"""What a user reads about a run before it starts: the dry run, and what this machine does differently."""

from __future__ import annotations

import html
import re
import sys

import pytest
from frontend import Kernel


def test_a_dry_run_tells_in_the_panels_words_all_that_would_be_sent(kernel: Kernel) -> None:
    kernel.run("planned, blob = [1], b'x' * 4096\ndef weigh(x):\n    return x")
    kernel.run("written = open('planned_module.py', 'w').write('def one(): return 1')\nimport planned_module")
    version = "{}.{}".format(*sys.version_info)
    reply = kernel.run(
        f"%%modal_step --gpu T4 --pip humanize --apt jq --image python:{version}-slim --dry-run\n"
        "heavy = weigh(planned), len(blob), planned_module.one()"
    )
    (plan,) = reply.results
    rows = dict(line.split("  ", 1) for line in plan.splitlines() if "  " in line)
    rows = {name: text.strip() for name, text in rows.items()}
    assert rows["step"] == "heavy"
    assert rows["resources"] == "T4 · 2 cores · 4 GiB"
    assert rows["timeout"] == "1 h"
    assert rows["price"].startswith("would cost $")
    assert re.fullmatch(r"blob \(bytes, 4\.\d+ KiB\), planned \(list, \d+ bytes\)", rows["variables in"])
    assert rows["code in"] == "weigh"
    assert rows["files in"] == "planned_module.py"
    assert rows["packages"] == "jq, humanize"
    assert rows["image"].startswith(f"python:{version}-slim with Python {version} (to be built: ")
    assert rows["variables out"] == "heavy"
    assert "KiB to send" in rows["size"]
    assert "stdin" not in plan
    assert plan.splitlines()[-1] == "Dry run: no image, no sandbox, no ZenML run."
    assert reply.panels == []


def test_a_dry_run_is_a_table_in_the_notebooks_look_and_only_text_in_it(kernel: Kernel) -> None:
    kernel.run("note = 'x'")
    reply = kernel.run("%%modal_step --pip 'humanize<5' --image 'python' --dry-run\nlong = note")
    (shown,) = [each["content"]["data"] for each in reply.messages if each["msg_type"] == "execute_result"]
    page = re.sub("<style>.*?</style>", "", shown["text/html"], flags=re.DOTALL)
    assert page.startswith('<div class="zmnb"')
    assert "<code>note</code> (str, " in page
    assert "humanize&lt;5" in page
    rows = re.findall(r'<tr><th scope="row">(.*?)</th><td>(.*?)</td></tr>', page)
    lines = [line for line in shown["text/plain"].splitlines() if "  " in line]
    assert [name for name, _ in rows] == [line.split("  ")[0] for line in lines]
    assert html.unescape(re.sub("<.*?>", "", dict(rows)["packages"])) == "humanize<5"


@pytest.mark.parametrize("line", ["!pip install -q humanize", "%pip install -q humanize"])
def test_what_a_cell_installs_is_among_the_packages(kernel: Kernel, line: str) -> None:
    (plan,) = kernel.run(f"%%modal_step --dry-run\n{line}\nanything = 1").results
    rows = [line.split("  ", 1) for line in plan.splitlines() if "  " in line]
    assert "humanize" in [text.strip() for name, text in rows if name == "packages"]


def test_the_panel_says_that_packages_are_not_installed_here(kernel: Kernel) -> None:
    assert "packages recorded, not installed here" in kernel.run("%%modal_step --apt ffmpeg\n1").panel
    assert "packages" not in kernel.run("%%modal_step\n1").panel


def test_the_panel_says_that_an_image_is_not_used_here(kernel: Kernel) -> None:
    assert "image recorded, not used here" in kernel.run("%%modal_step --image python:3.11-slim\n1").panel
    assert "recorded" not in kernel.run("%%modal_step\n1").panel


def test_the_status_of_a_command_is_a_variable_but_no_artifact(kernel: Kernel) -> None:
    kernel.run("%%modal_step\n!exit 3")
    assert kernel.ask("_exit_code") == 3
    outputs = kernel.ask(
        "sorted(run.steps['cell'].outputs)",
        given="from zenml.client import Client\nrun = Client().get_pipeline_run(_modal_run.id)",
    )
    assert outputs == []
