"""Prices that come late are shown when they come, whenever that is."""

from __future__ import annotations

from zenml_modal_nb.picker.prices import Prices


def test_who_asks_after_the_answer_is_told_at_once() -> None:
    """A form is made in the moment between the end of its patience and its asking to be told."""
    prices = Prices(None, None)
    told: list[str] = []
    prices.wait()
    prices.when_settled(lambda: told.append("settled"))
    assert told == ["settled"]
