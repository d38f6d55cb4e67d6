"""A panel's facts in words."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from zenml_modal_nb.events import (
    Building,
    Cost,
    Failed,
    File,
    Files,
    Finished,
    Queued,
    Reason,
    Resources,
    Stopped,
    Target,
)
from zenml_modal_nb.rendering import words
from zenml_modal_nb.rendering.markup import html
from zenml_modal_nb.rendering.panel import advance


@pytest.mark.parametrize(
    ("usd", "shown"),
    [
        (0.00001, "< $0.0001 (estimate)"),
        (0.0001, "≈ $0.0001 (estimate)"),
        (0.01234, "≈ $0.0123 (estimate)"),
        (3.151, "≈ $3.15 (estimate)"),
        (0.0, ""),
    ],
)
def test_a_cost_is_never_shown_as_nothing_when_it_is_something(
    on_modal: Target, usd: float, shown: str
) -> None:
    panel = advance(advance(None, Queued(on_modal)), Cost(usd, 1.0))
    assert panel is not None
    assert words.cost(panel) == shown


def test_packages_that_this_machine_does_not_install_are_told_beside_the_gpu(
    on_this_machine: Target, on_modal: Target
) -> None:
    assert "packages" not in words.note(on_this_machine)
    both = words.note(replace(on_this_machine, packages=True))
    assert both.startswith("GPU recorded and priced, not provided here · packages recorded, not installed")
    assert words.note(replace(on_this_machine, gpu=None, packages=True)).startswith("packages recorded")
    assert words.note(replace(on_modal, packages=True, own_image=True)) == ""
    assert words.note(replace(on_this_machine, gpu=None, own_image=True)) == "image recorded, not used here"


def test_why_an_image_is_built_stays_while_its_log_goes_on(on_modal: Target) -> None:
    panel = advance(advance(None, Queued(on_modal)), Building(why="pandas added\x1b[2J"))
    assert panel is not None
    assert words.state(panel) == "building image (pandas added)"
    panel = advance(panel, Building("Collecting pandas"))
    assert panel is not None
    assert words.state(panel) == "building image (pandas added): Collecting pandas"


def test_layers_of_an_image_are_counted_while_its_log_goes_on(on_modal: Target) -> None:
    panel = advance(advance(None, Queued(on_modal)), Building(done=1, layers=3))
    assert panel is not None
    assert words.state(panel) == "building image, layer 2 of 3"
    panel = advance(panel, Building("Collecting pandas"))
    assert panel is not None
    assert words.state(panel) == "building image, layer 2 of 3: Collecting pandas"
    panel = advance(panel, Building(done=0, layers=1))  # a single one tells nothing
    assert panel is not None
    assert words.state(panel) == "building image"


@pytest.mark.parametrize(
    ("files", "lines"),
    [
        (Files(), []),
        (
            Files((File("a.pt", 1536), File("b\x1b[2J.txt", 1)), 3),
            [
                "files left in the sandbox: a.pt (1.5 KiB), b.txt (1 byte) and 3 more (--fetch brings files back)"
            ],
        ),
        (
            Files(fetched=(File("out/a.pt", 5 << 30),), unmatched=("*.csv",)),
            ["files fetched: out/a.pt (5 GiB)", "--fetch *.csv matched nothing"],
        ),
        (
            Files(fetched=tuple(File(f"{n}", 0) for n in range(50))),
            ["files fetched: " + ", ".join(f"{n} (0 bytes)" for n in range(20)) + " and 30 more"],
        ),
        (
            Files(unlisted=True),
            ["files left in the sandbox: not listed, its working directory holds too many"],
        ),
    ],
)
def test_what_became_of_files_is_told_at_either_end(on_modal: Target, files: Files, lines: list[str]) -> None:
    for end in (Finished(1, 1, files=files), Failed(Reason.CELL_FAILED, "no", 1, 1, files=files)):
        panel = advance(advance(None, Queued(on_modal)), end)
        assert panel is not None
        assert words.files(panel) == lines


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.0, "< 1 s"), (0.99, "< 1 s"), (1.0, "0:01"), (59.9, "0:59"), (3600.0, "1:00:00")]
)
def test_what_took_less_than_a_second_is_not_told_as_no_time(
    on_modal: Target, seconds: float, told: str
) -> None:
    queued = advance(None, Queued(on_modal))
    for event, shown in (
        (Finished(seconds, None), f"done in {told}"),
        (Failed(Reason.CELL_FAILED, "no", seconds, None), f"failed in the cell after {told}"),
        (Stopped(Reason.STOPPED, seconds, None), f"stopped by the user after {told}"),
    ):
        panel = advance(queued, event)
        assert panel is not None
        assert words.state(panel) == shown


def test_in_words_alone_one_resource_stands_apart_from_the_next(on_modal: Target) -> None:
    panel = advance(advance(advance(None, Queued(on_modal)), Resources(1, 900)), Finished(5.0, 0.1))
    assert panel is not None
    text = re.sub("<style>.*</style>", "", html(panel), flags=re.DOTALL)
    assert "at most 1.0 of 4 cores · memory at most 900 MiB of 8 GiB" in re.sub("<[^>]*>", "", text)
