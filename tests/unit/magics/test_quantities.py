"""Sizes and durations, in every way a user may write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zenml_modal_nb.errors import InvalidRequestError
from zenml_modal_nb.magics import quantities


@pytest.mark.parametrize(
    ("text", "mib"),
    [
        ("32GB", 32000),
        ("32GiB", 32768),
        ("512MB", 512),
        ("512MiB", 512),
        ("1TB", 1_000_000),
        ("1TiB", 1_048_576),
        ("1.5GiB", 1536),
        (".5GiB", 512),
        ("0.3GiB", 308),  # 307.2, rounded up
        ("  4 gib ", 4096),
    ],
)
def test_a_size_is_read_in_its_own_unit(text: str, mib: int) -> None:
    assert quantities.memory(text) == mib


@pytest.mark.parametrize(
    ("mib", "text"),
    [(1_000_000, "1TB"), (2 * 1024**2, "2TiB"), (32000, "32GB"), (32768, "32GiB"), (512, "512MiB")],
)
def test_a_size_is_written_in_its_largest_unit(mib: int, text: str) -> None:
    assert quantities.memory_text(mib) == text


def test_what_modals_api_has_no_room_for_is_refused() -> None:
    from modal_proto import api_pb2

    with pytest.raises(InvalidRequestError, match="more than Modal's API can ask for"):
        quantities.memory("99999TiB")
    with pytest.raises(InvalidRequestError, match="more than Modal's API can ask for"):
        quantities.cpu("4294968")
    most = api_pb2.Resources(memory_mb=quantities.memory("4095TiB"), milli_cpu=int(quantities.MAX_CPU * 1000))
    assert quantities.memory_text(most.memory_mb) == "4095TiB"
    with pytest.raises(ValueError, match="out of range"):
        api_pb2.Resources(memory_mb=quantities.MAX_MEMORY_MIB + 1)


def test_no_advice_is_to_write_a_size_of_nothing() -> None:
    with pytest.raises(InvalidRequestError, match=r"Write e\.g\. 32GB, 32GiB or 512MiB"):
        quantities.memory("0")
    with pytest.raises(InvalidRequestError, match="Write 32GB, 32GiB or 32MiB"):
        quantities.memory("32")


def test_a_decimal_size_is_what_a_zenml_step_with_the_same_setting_gets() -> None:
    from zenml.config.resource_settings import ResourceSettings
    from zenml.integrations.modal.sandbox_utils import get_memory_mb

    for text in ("512MB", "32GB", "1TB"):
        assert quantities.memory(text) == get_memory_mb(ResourceSettings(memory=text))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3600", 3600),
        ("45s", 45),
        ("90m", 5400),
        ("1h30m", 5400),
        ("1h 30m 5s", 5405),
        ("1.5h", 5400),
        ("1d", 86400),
        ("10min", 600),
        ("2 hours", 7200),
        ("90 SEC", 90),
        ("0.5s", 1),
    ],
)
def test_a_duration_is_read_in_seconds(text: str, seconds: int) -> None:
    assert quantities.duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "h", "1h30", "30m1h", "1.5", "-5m", "1:30", "1w", "1..5h", "٣h", "5m5m"]
)
def test_a_doubtful_duration_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="not understood"):
        quantities.duration(text)


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "1e3GB", "1,5GB", "٣GB"])
def test_a_doubtful_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="not a size"):
        quantities.memory(text)


@given(st.integers(1, quantities.MAX_TIMEOUT))
def test_a_duration_survives_being_written(seconds: int) -> None:
    assert quantities.timeout(quantities.duration_text(seconds)) == seconds


@given(st.integers(quantities.MIN_MEMORY_MIB, 10**8))
def test_a_size_survives_being_written(mib: int) -> None:
    assert quantities.memory(quantities.memory_text(mib)) == mib


def test_written_quantities_are_short() -> None:
    assert quantities.duration_text(5400) == "1h30m"
    assert quantities.memory_text(32768) == "32GiB"
    assert quantities.memory_text(32000) == "32GB"
    assert quantities.cpu_text(4.0) == "4"
