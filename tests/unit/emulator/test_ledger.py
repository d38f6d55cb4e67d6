"""What is used is booked in the hour in which it was used, once, and is there after a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from zenml_modal_nb.emulator.state.ledger import HOUR, Ledger
from zenml_modal_nb.emulator.state.records import Records
from zenml_modal_nb.emulator.state.resources import Gpu

NOON = 1_795_000_000 // HOUR * HOUR  # some hour's beginning, in seconds since 1970


def test_an_interval_is_spread_over_the_hours_it_lies_in(tmp_path: Path) -> None:
    ledger = Ledger(Records(tmp_path))
    ledger.bill("ap-1", NOON + 600, 2 * HOUR, cores=2, gib=0.5, gpu=Gpu("T4", 2))
    found = {begin - NOON: amount for begin, _, amount in ledger.between(0, NOON + HOUR)}
    assert {begin: amount.cpu_core_seconds for begin, amount in found.items()} == {
        -2 * HOUR: 2 * 3000,
        -HOUR: 2 * HOUR,
        0: 2 * 600,
    }
    assert sum(amount.memory_gib_seconds for amount in found.values()) == HOUR
    assert sum(amount.gpu_seconds["T4"] for amount in found.values()) == 4 * HOUR
    assert [begin for begin, _, _ in ledger.between(NOON, NOON + 1)] == [NOON]
    assert list(ledger.between(NOON + HOUR, NOON + 2 * HOUR)) == []


@pytest.mark.parametrize("end", [NOON, NOON + 0.25])
def test_an_interval_at_the_full_hour_is_booked_whole(tmp_path: Path, end: float) -> None:
    ledger = Ledger(Records(tmp_path))
    ledger.bill("ap-1", end, 0.5, cores=1, gib=0, gpu=None)
    assert sum(amount.cpu_core_seconds for _, _, amount in ledger.between(0, NOON + HOUR)) == 0.5


def test_what_was_saved_is_there_again(tmp_path: Path) -> None:
    ledger = Ledger(Records(tmp_path))
    ledger.bill("ap-1", NOON + 5, 5, cores=1, gib=1, gpu=Gpu("A100", 1))
    ledger.save()
    ledger.bill("ap-2", NOON + 5, 5, cores=1, gib=1, gpu=None)  # never saved
    again = [
        (begin, app, amount.cost()) for begin, app, amount in Ledger(Records(tmp_path)).between(0, NOON + 9)
    ]
    assert [(begin, app) for begin, app, _ in again] == [(NOON, "ap-1")]
    assert set(again[0][2].by_resource) == {"CPU", "Memory", "A100"}
