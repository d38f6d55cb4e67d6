"""Which prices hold, and for how long an answer is believed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import modal
import pytest

from zenml_modal_nb.pricing import rates
from zenml_modal_nb.sandboxes import prices
from zenml_modal_nb.sandboxes.connection import Connection


class Billing:
    """A workspace's rates, of which the first request may be refused."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.asked = 0

    def rates(self) -> Any:
        self.asked += 1
        if self.asked <= self.refusals:
            raise modal.exception.ServiceError("busy")
        return {}


def connection(billing: Billing, monkeypatch: pytest.MonkeyPatch) -> Connection:
    monkeypatch.setattr(
        modal.Workspace, "from_context", lambda client: SimpleNamespace(billing=billing), raising=True
    )
    monkeypatch.setattr(rates, "from_workspace", lambda told, name: (told, name))
    return Connection(object(), "https://api.modal.com", "modal", "acme", None)


def test_a_refused_request_is_made_again_and_an_answer_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    billing = Billing(refusals=1)
    place = connection(billing, monkeypatch)
    assert prices.prices_for(place) == rates.snapshot()
    assert prices.prices_for(place) == ({}, "rates of workspace acme")
    assert prices.prices_for(place) == ({}, "rates of workspace acme")
    assert billing.asked == 2


def test_a_rates_file_holds_from_the_next_cell_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    place = connection(Billing(refusals=0), monkeypatch)
    before = prices.prices_for(place)
    file = tmp_path / "rates.json"
    file.write_text("{}")
    monkeypatch.setenv(rates.OVERRIDE_VARIABLE, str(file))
    assert prices.prices_for(place) == rates.snapshot() != before
    monkeypatch.delenv(rates.OVERRIDE_VARIABLE)
    assert prices.prices_for(place) == before
