"""What a user reads about a run before it starts: the dry run, and what this machine does differently."""

from __future__ import annotations

from frontend import Kernel


def test_a_dry_run_tells_in_the_panels_words_all_that_would_be_sent(kernel: Kernel) -> None:
    kernel.run("planned = [1]\ndef weigh(x):\n    return x")
    reply = kernel.run("%%modal_step --gpu T4 --pip humanize --dry-run\nheavy = weigh(planned)")
    (plan,) = reply.results
    rows = dict(line.split("  ", 1) for line in plan.splitlines() if "  " in line)
    rows = {name: text.strip() for name, text in rows.items()}
    assert rows["resources"] == "T4 · 2 cores · 4 GiB"
    assert rows["timeout"] == "1 h"
    assert rows["variables in"] == "planned"
    assert rows["code in"] == "weigh"
    assert rows["variables out"] == "heavy"
    assert "KiB to send" in rows["size"]
    assert "stdin" not in plan
    assert plan.splitlines()[-1] == "Dry run: no image, no sandbox, no ZenML run."
    assert reply.panels == []


def test_the_panel_says_that_packages_are_not_installed_here(kernel: Kernel) -> None:
    assert "packages recorded, not installed here" in kernel.run("%%modal_step --apt ffmpeg\n1").panel
    assert "packages" not in kernel.run("%%modal_step\n1").panel


def test_the_status_of_a_command_is_a_variable_but_no_artifact(kernel: Kernel) -> None:
    kernel.run("%%modal_step\n!exit 3")
    assert kernel.ask("_exit_code") == 3
    outputs = kernel.ask(
        "sorted(run.steps['cell'].outputs)",
        given="from zenml.client import Client\nrun = Client().get_pipeline_run(_modal_run.id)",
    )
    assert outputs == []
