"""A notebook's app at Modal, which its user may stop at any time."""

from __future__ import annotations

import modal
from followed import Modal
from test_recorded_runs import Run, strict

__all__ = ["strict"]  # the fixture


def test_a_cell_after_its_app_was_stopped_runs_in_a_new_one(strict: Modal) -> None:
    first = Run("1")
    assert first.value == 1
    modal.App.lookup(first.app, client=strict.client, environment_name="local").stop()
    second = Run("2")
    assert (second.value, second.raised) == (2, None)
