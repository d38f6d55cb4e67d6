"""What is chosen in the picker is what the line that it shows says."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zenml_modal_nb import ResourcePicker
from zenml_modal_nb.errors import InvalidRequestError
from zenml_modal_nb.magics.arguments import parse
from zenml_modal_nb.magics.candidates import USUAL
from zenml_modal_nb.magics.defaults import ModalStep
from zenml_modal_nb.picker.choices import PRESETS, Choices, priced
from zenml_modal_nb.pricing.gpus import ALIASES, CATALOGUE
from zenml_modal_nb.pricing.rates import snapshot
from zenml_modal_nb.request import StepRequest

RATES = snapshot({})
PICKER = ResourcePicker()
texts = {flag: st.sampled_from(["", *values]) for flag, values in USUAL.items()}
environments = st.text("abcXYZ09._-", max_size=64)


@st.composite
def chosen(draw: st.DrawFn) -> Choices:
    return Choices(
        gpu=draw(st.sampled_from([None, *ALIASES, *(each.name for each in CATALOGUE)])),
        gpu_count=draw(st.integers(-1, 12)),
        cpu=draw(texts["--cpu"] | st.floats(0.125, 64).map(lambda cores: f"{cores:.3f}")),
        memory=draw(texts["--memory"] | st.integers(128, 10**6).map("{}MiB".format)),
        on=draw(texts["--on"]),
        region=draw(texts["--region"] | st.sampled_from(["us-east-1", "us-east1"])),
        cloud=draw(texts["--cloud"]),
        modal_environment=draw(environments),
        timeout=draw(texts["--timeout"] | st.integers(1, 86400).map(str)),
        rest=StepRequest(
            pip=draw(st.sampled_from([(), ("torch==2.9",)])),
            operator=draw(st.sampled_from([None, "modal"])),
            dry_run=draw(st.booleans()),
        ),
    ).fitted()


@settings(max_examples=100)
@given(chosen())
def test_the_line_is_parsed_back_to_the_request(choices: Choices) -> None:
    picker = PICKER
    picker.choices = choices
    if choices.problems():
        with pytest.raises(InvalidRequestError):
            _ = picker.line
        return
    line = picker.line.removeprefix("%%modal_step")
    assert parse(line, ModalStep()) == picker.request == choices.request()
    assert Choices.of(picker.request).request() == picker.request
    assert picker.price == priced(picker.request, picker.rates)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.label)
def test_a_preset_is_possible_and_changes_the_machine_only(preset: object) -> None:
    before = Choices(region="eu", timeout="2h", on="modal", rest=StepRequest(pip=("torch",)))
    after = preset.applied(before)  # type: ignore[attr-defined]
    assert after.problems() == {}
    assert replace(after, gpu=None, gpu_count=1, cpu="", memory="") == before


def test_presets_go_from_the_cheapest_to_eight_gpus() -> None:
    prices = [priced(each.applied(Choices()).request(), RATES).hourly for each in PRESETS]
    assert prices == sorted(prices)
    assert priced(Choices(cpu="0.125", memory="128MiB").request(), RATES).hourly == prices[0]
    assert PRESETS[-1].gpu_count == 8


@pytest.mark.parametrize(
    ("choices", "field", "words"),
    [
        (Choices(memory="32"), "memory", "no unit"),
        (Choices(cpu="many"), "cpu", "not a number of cores"),
        (Choices(timeout="25h"), "timeout", "1 second to 24 hours"),
        (Choices(region="us-eest"), "region", "us-east"),
        (Choices(gpu="A10", gpu_count=5), "gpu_count", "1 to 4"),
        (Choices(modal_environment="a b"), "modal_environment", "not a name in Modal"),
        (Choices(region="us-east-1", cloud="gcp"), "region", "Change one of them"),
        (Choices(region="us-east1", cloud="aws"), "region", "Change one of them"),
    ],
)
def test_what_is_impossible_is_explained_at_its_field(choices: Choices, field: str, words: str) -> None:
    problems = choices.problems()
    assert list(problems) == [field]
    assert words in problems[field]


@pytest.mark.parametrize(
    "line",
    [
        "--operator modal",
        "--operator modal --gpu-count 2",
        "--operator modal --gpu-count 1",
        "--operator modal --no-gpu",
        "--operator modal --gpu T4 --gpu-count 2",
        "--operator modal --no-region --gpu none",
    ],
)
def test_what_is_left_to_a_step_operator_stays_left_to_it(line: str) -> None:
    picker = ResourcePicker(line)
    assert picker.request == parse(line, ModalStep())
    assert parse(picker.options, ModalStep()) == picker.request
    assert picker.choices.fitted() == picker.choices


def test_no_gpu_is_said_to_a_step_operator_which_may_have_one() -> None:
    picker = ResourcePicker("--operator modal --gpu T4")
    picker.choices = replace(picker.choices, gpu=None).fitted()
    assert picker.line == "%%modal_step --no-gpu --operator modal"
    assert parse(picker.options, ModalStep()) == picker.request
    assert "lacks" not in repr(picker)


def test_a_gpu_of_the_step_operator_is_said_to_be_missing_from_the_price() -> None:
    assert "the price lacks it" in repr(ResourcePicker("--operator modal"))
    assert "the price lacks it" not in repr(ResourcePicker("--operator modal --gpu T4"))
    assert "the price lacks it" not in repr(ResourcePicker())


def test_a_count_follows_the_type() -> None:
    assert Choices(gpu="H100", gpu_count=8).fitted().gpu_count == 8
    assert Choices(gpu="A10", gpu_count=8).fitted().gpu_count == 4
    assert Choices(gpu=None, gpu_count=8).fitted().gpu_count == 1


def test_the_price_has_its_parts() -> None:
    quote = priced(Choices(gpu="A100", gpu_count=2, region="us", memory="32GiB").request(), RATES)
    assert quote.gpu == 2 * RATES.gpu_hour["A100-40GB"]
    assert quote.memory == 32 * RATES.memory_gib_hour
    assert quote.cpu == 2 * RATES.cpu_hour
    assert quote.hourly == (quote.gpu + quote.cpu + quote.memory) * RATES.broad_region
    assert quote.total(1800) == quote.hourly / 2


def test_without_widgets_it_is_a_table_that_says_how_to_write_options() -> None:
    text = repr(ResourcePicker("--gpu A100 --gpu-count 2 --region us-east --timeout 2h"))
    assert "snapshot of November 2026" in text
    for gpu in CATALOGUE:
        assert f"{gpu.memory_gib} GiB" in text
        assert gpu.name in text
    assert "Chosen: %%modal_step --gpu A100 --gpu-count 2 --region us-east --timeout 2h" in text
    assert "at most $" in text
    assert "2 × A100: $4.20/h" in text
    assert "region us-east: × 1.75" in text
    assert '%config ModalStep.gpu = "A100"' in text


def test_what_must_not_be_misread_is_said_at_the_place() -> None:
    assert Choices(gpu="T4").remarks(has_token=True) == {}
    here = Choices(gpu="T4").remarks(has_token=False)["on"]
    assert "nothing is billed" in here
    assert "not provided" in here
    assert "not provided" not in Choices().remarks(has_token=False)["on"]
    assert "modal token new" in Choices(on="modal").remarks(has_token=False)["on"]
    assert "nothing is billed" in Choices(on="local").remarks(has_token=True)["on"]


def test_a_decimal_size_is_explained() -> None:
    assert "32GB is 32000 MiB at Modal" in Choices(memory="32GB").remarks(has_token=True)["memory"]
    assert "31.25 GiB" in Choices(memory="32GB").remarks(has_token=True)["memory"]
    for text in ("", "32GiB", "512MB", "much"):
        assert "memory" not in Choices(memory=text).remarks(has_token=True)


def test_large_memory_has_digits() -> None:
    text = repr(ResourcePicker("--memory 4095TiB"))
    assert "4,193,280 GiB of memory" in text
    assert "e+" not in text
