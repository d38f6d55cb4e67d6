"""Where prices come from, and what a wrong rates file says."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from zenml_modal_nb.errors import InvalidRequestError
from zenml_modal_nb.pricing import gpus
from zenml_modal_nb.pricing.rates import OVERRIDE_VARIABLE, from_workspace, snapshot


def written(folder: Path, document: object) -> dict[str, str]:
    path = folder / "mine.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document), "utf-8")
    return {OVERRIDE_VARIABLE: str(path)}


def test_the_snapshot_prices_every_type_of_the_catalogue_and_says_its_date() -> None:
    rates = snapshot({})
    assert set(rates.gpu_hour) == {gpu.name for gpu in gpus.CATALOGUE}
    assert "November 2026" in rates.source
    assert rates.gpu_hour["H100"] == Decimal("0.001097") * 3600


def test_a_users_file_replaces_what_it_names_and_keeps_the_rest(tmp_path: Path) -> None:
    environ = written(tmp_path, {"per": "hour", "gpu": {"a100": 1.5}, "region_multiplier": {"narrow": 2.5}})
    rates = snapshot(environ)
    assert rates.gpu_hour["A100-40GB"] == Decimal("1.5")
    assert rates.gpu_hour["T4"] == snapshot({}).gpu_hour["T4"]
    assert rates.multiplier("us-east") == Decimal("2.5")
    assert rates.multiplier("us") == Decimal("1.15")
    assert rates.source == "rates file mine.json"


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ("{not json", "is not JSON"),
        ([1], "must hold a JSON object"),
        ({"per": "fortnight"}, "'fortnight' for 'per'"),
        ({"gpu": ["A100"]}, "must be objects"),
        ({"gpu": {"A1000": 1}}, "Did you mean 'A100'"),
        ({"gpu": {"A100": "cheap"}}, "'cheap' for 'A100'"),
        ({"cpu_core": -1}, "-1 for 'cpu_core'"),
        ({"cpu_core": True}, "True for 'cpu_core'"),
        ({"memory_gib": "NaN"}, "'NaN' for 'memory_gib'"),
    ],
)
def test_a_wrong_rates_file_says_what_is_wrong(tmp_path: Path, document: object, complaint: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        snapshot(written(tmp_path, document))
    assert complaint in str(caught.value)


def test_a_missing_rates_file_names_the_variable(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match=OVERRIDE_VARIABLE):
        snapshot({OVERRIDE_VARIABLE: str(tmp_path / "absent.json")})


def test_the_workspaces_own_rates_are_read_by_modals_keys() -> None:
    rates = from_workspace(
        {
            "gpu_hour_cost_a100_40gb": Decimal("2"),
            "gpu_hour_cost_a10g": Decimal("1"),
            "gpu_hour_cost_rtx6000": Decimal("3"),
            "cpu_hour_cost_sandbox": Decimal("0.1"),
            "mem_gib_hour_cost_sandbox": Decimal("0.02"),
            "cpu_hour_cost_function": Decimal("99"),
        },
        "workspace acme",
    )
    assert rates.gpu_hour["A100-40GB"] == 2
    assert rates.gpu_hour["A10"] == 1
    assert rates.gpu_hour["RTX-PRO-6000"] == 3
    assert (rates.cpu_hour, rates.memory_gib_hour) == (Decimal("0.1"), Decimal("0.02"))
    assert rates.source == "workspace acme"
    assert rates.gpu_hour["T4"] == snapshot({}).gpu_hour["T4"]
