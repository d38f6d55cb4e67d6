"""A page, and runs to show on it."""

from __future__ import annotations

import pytest
from pages import Page

from zenml_modal_nb.events import Recorded, Target


@pytest.fixture
def page() -> Page:
    return Page()


@pytest.fixture
def on_modal() -> Target:
    return Target(
        step_name="train",
        place="Modal main/prod",
        billed=True,
        gpu="A100:2",
        cpu=4.0,
        memory_mib=8192,
        region="us-east",
        timeout=5400,
        hourly_rate=3.151,
        rate_source="snapshot of November 2026",
    )


@pytest.fixture
def on_this_machine() -> Target:
    return Target(
        step_name="train",
        place="this machine (local Modal API)",
        billed=False,
        gpu="T4",
        cpu=2.0,
        memory_mib=4096,
        hourly_rate=0.98,
        rate_source="snapshot of November 2026",
    )


@pytest.fixture
def recorded() -> Recorded:
    return Recorded("1f2e", "modal_step-train-7", "train", "https://zenml.example/runs/1f2e")
