"""Which layers a cell's image gets, given what its notebook has built: nothing twice, one layer for what is new."""

from __future__ import annotations

from pathlib import Path

import pytest

from zenml_modal_nb.sandboxes.image import ImageSpec
from zenml_modal_nb.sandboxes.layers import MOST_LAYERS, Plan, plan


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZENML_MODAL_NB_STATE_DIR", str(tmp_path))


def planned(
    *pip: str, asked: tuple[str, ...] = (), notebook: str = "n", keep: bool = True, **spec: object
) -> Plan:
    """What a cell gets, remembered as the step operator does."""
    found = plan(ImageSpec(pip=(*pip, *asked), asked=asked, **spec), notebook, "Modal")  # type: ignore[arg-type]
    if keep:
        found.keep()
    return found


def packages(found: Plan) -> list[tuple[str, ...]]:
    return [layer.packages for layer in found.layers]


def test_what_is_added_goes_on_top() -> None:
    assert packages(planned("numpy==2")) == [("numpy==2",)]
    both = planned("numpy==2", "pandas==3")
    assert packages(both) == [("numpy==2",), ("numpy==2", "pandas==3")]
    assert both.why == "pandas added"
    assert packages(planned("numpy==2", apt=("jq",)))[-1] == ("jq",)


def test_the_first_image_that_holds_all_is_taken_whatever_came_later() -> None:
    first = planned("numpy==2")
    planned("numpy==2", "pandas==3")
    assert planned("numpy==2").layers == first.layers
    assert planned("pandas==3").known


def test_what_a_user_asks_for_is_in_no_other_cells_image() -> None:
    planned("numpy==2", asked=("six",))
    other = planned("numpy==2")
    assert packages(other) == [("numpy==2",)]
    more = planned("numpy==2", asked=("six", "idna"))
    assert packages(more)[-1] == ("idna", "numpy==2", "six")
    assert more.why == "idna added"


def test_every_reason_is_said() -> None:
    assert planned("a==1").why == "the first image of this notebook"
    assert planned("a==2").why == "a changed from 1 to 2"
    assert planned("a==2", "b", "c", "d", "e").why == "b, c, d and 1 more added"
    assert planned("a==2", apt=("jq",)).why == "--apt jq"
    assert planned("a==2", base="python:3.11").why == "--image python:3.11"
    assert planned("a==2", base="other").why == "--image other"
    assert planned("x==1").why == "without --image other"
    assert planned("a==2", python="3.99").why.startswith("Python 3.99 instead of 3.")


def test_layers_do_not_grow_without_end() -> None:
    names = [f"p{number:02}==1" for number in range(3 * MOST_LAYERS)]
    grown = [planned(*names[: number + 1]) for number in range(len(names))]
    assert max(len(each.layers) for each in grown) < MOST_LAYERS
    anew = next(each for each in grown[1:] if len(each.layers) == 1)
    assert "begun anew" in anew.why


def test_rivals_for_the_same_files_are_never_in_one_image() -> None:
    planned("numpy==2", "onnxruntime==1")
    assert packages(planned("numpy==2", "onnxruntime-gpu==1")) == [("numpy==2", "onnxruntime-gpu==1")]


def test_notebooks_have_images_of_their_own_and_an_image_that_was_not_built_is_forgotten() -> None:
    planned("numpy==2", keep=False)
    planned("pandas==3", notebook="other")
    assert planned("numpy==2", keep=False).why == "the first image of this notebook"


def test_a_file_that_cannot_be_read_is_as_good_as_none(tmp_path: Path) -> None:
    planned("numpy==2")
    (file,) = (tmp_path / "notebooks").iterdir()
    file.write_text('{"version": 1, "images": [{"base": 3}]}')
    assert planned("numpy==2").why == "the first image of this notebook"
    file.write_text("no JSON")
    assert not planned("numpy==2").known
