"""What a user pays by our estimate."""

from decimal import Decimal

import pytest

from zenml_modal_nb.errors import InvalidRequestError
from zenml_modal_nb.pricing.meter import Meter, hourly
from zenml_modal_nb.pricing.rates import Rates, snapshot

RATES = snapshot({})
ROUND = Rates(
    gpu_hour={"A100-40GB": Decimal(36)},
    cpu_hour=Decimal(0),
    memory_gib_hour=Decimal(0),
    source="round figures",
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def cents(amount: Decimal | None) -> str:
    assert amount is not None
    return f"{amount:.2f}"


def test_the_example_of_zenmls_documentation_costs_what_modal_charges_today() -> None:
    assert cents(hourly(None, 2, 32 * 1024, None, RATES)) == "1.05"
    assert cents(hourly("A100", 2, 32 * 1024, None, RATES)) == "3.15"


def test_two_gpus_cost_twice_one() -> None:
    assert hourly("A100:2", None, None, None, ROUND) == 2 * hourly("A100", None, None, None, ROUND)


def test_an_alias_costs_what_its_type_costs() -> None:
    for alias, name in [("A100", "A100-40GB"), ("A10G", "A10"), ("H100!", "H100"), ("B200+", "B200")]:
        assert hourly(alias, 2, 4096, None, RATES) == hourly(name, 2, 4096, None, RATES)


def test_a_tiny_request_costs_modals_minimum() -> None:
    assert hourly(None, 0.01, 1, None, RATES) == hourly(None, 0.125, 128, None, RATES)
    assert hourly(None, None, None, None, RATES) == hourly(None, 0.125, 128, None, RATES)


@pytest.mark.parametrize(
    ("region", "factor"),
    [("us", "1.15"), ("EU", "1.15"), ("us-east", "1.75"), ("us-east-1", "1.75"), (None, "1")],
)
def test_a_region_multiplies_everything(region: str | None, factor: str) -> None:
    free_choice = hourly("T4", 2, 4096, None, RATES)
    assert free_choice is not None
    assert hourly("T4", 2, 4096, region, RATES) == free_choice * Decimal(factor)


def test_a_gpu_without_a_known_price_has_no_estimate() -> None:
    assert hourly("T4", 2, 4096, None, ROUND) is None
    meter = Meter("T4", 2, 4096, None, ROUND, clock=Clock())
    meter.start()
    assert meter.usd() is None


def test_a_gpu_count_that_is_no_number_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="not a number"):
        hourly("A100:two", 2, 4096, None, RATES)


def test_the_meter_counts_by_the_second_from_the_sandboxs_creation_to_its_end() -> None:
    clock = Clock()
    meter = Meter("A100", None, None, None, ROUND, clock=clock)
    clock.now += 500  # packaging is not billed
    assert meter.usd() == 0
    meter.start()
    clock.now += 1
    assert meter.usd() == Decimal("0.01")
    clock.now += 9
    assert meter.usd() == Decimal("0.10")
    assert meter.usd(clock.now + 10) == Decimal("0.20")
    meter.stop()
    clock.now += 3600
    assert meter.usd() == Decimal("0.10")
    assert meter.elapsed() == 10


def test_use_above_the_request_is_counted_from_when_it_is_seen() -> None:
    clock = Clock()
    rates = Rates(gpu_hour={}, cpu_hour=Decimal(36), memory_gib_hour=Decimal(0), source="round figures")
    meter = Meter(None, 1, 128, None, rates, clock=clock)
    meter.start()
    clock.now += 10  # 1 core: 0.10
    meter.observe(3, 64)
    clock.now += 10  # 3 cores: 0.30
    meter.observe(0.5, 64)
    clock.now += 10  # the request again: 0.10
    assert meter.usd() == Decimal("0.50")


def test_a_second_start_or_stop_changes_nothing() -> None:
    clock = Clock()
    meter = Meter("A100", None, None, None, ROUND, clock=clock)
    meter.start()
    clock.now += 10
    meter.start()
    meter.stop()
    clock.now += 10
    meter.stop()
    assert meter.usd() == Decimal("0.10")
