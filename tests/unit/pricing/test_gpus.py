"""Which GPUs can be asked for, and what is said about the others."""

import pytest

from zenml_modal_nb.errors import InvalidRequestError
from zenml_modal_nb.pricing import gpus


@pytest.mark.parametrize("name", [gpu.name for gpu in gpus.CATALOGUE] + list(gpus.ALIASES))
def test_every_type_of_modal_is_accepted_in_any_case(name: str) -> None:
    assert gpus.check(name) == name
    assert gpus.check(f" {name.lower()} ") == name


def test_an_unknown_type_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        gpus.check("A1000")
    assert str(caught.value) == (
        "GPU 'A1000' is unknown to Modal. Did you mean 'A100'? %modal_pick shows all types with memory and price."
    )


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("A100_80GB", "A100-80GB"),
        ("h-100", "H100"),
        ("RTX6000", "RTX-PRO-6000"),
        ("L40", "L40S"),
        ("A10OG", "A10G"),
        ("A1OO", "A100"),
    ],
)
def test_misspellings_lead_to_the_type_that_was_meant(wrong: str, right: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"Did you mean '{right}'"):
        gpus.check(wrong)


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("A10O", "'A100' or 'A10'"), ("a1oo", "'A100'"), ("Hl00", "'H100' or 'H200'"), ("L4OS", "'L40S'")],
)
def test_letters_that_look_like_digits_are_read_as_them(wrong: str, meant: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"Did you mean {meant}\\?"):
        gpus.check(wrong)


def test_something_far_from_any_type_gets_no_guess() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        gpus.check("radeon")
    assert "Did you mean" not in str(caught.value)


def test_v100_is_said_not_to_be_offered() -> None:
    with pytest.raises(InvalidRequestError, match="'V100' is not offered by Modal"):
        gpus.check("V100")


def test_a_count_in_the_type_is_sent_to_its_own_option() -> None:
    with pytest.raises(InvalidRequestError, match="Write --gpu A100 --gpu-count 2"):
        gpus.check("a100:2")


@pytest.mark.parametrize(("gpu", "most"), [("T4", 8), ("A10", 4), ("A10G", 4), ("H100!", 8)])
def test_a_sandbox_has_only_so_many_gpus(gpu: str, most: int) -> None:
    assert gpus.check_count(gpu, most) == most
    with pytest.raises(InvalidRequestError, match=f"1 to {most} of them. Ask for {most} or fewer"):
        gpus.check_count(gpu, most + 1)


@pytest.mark.parametrize("count", [0, -1])
def test_no_gpu_is_written_gpu_none(count: int) -> None:
    with pytest.raises(InvalidRequestError, match="--gpu none"):
        gpus.check_count("T4", count)
