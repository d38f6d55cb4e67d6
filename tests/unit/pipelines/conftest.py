"""A ZenML of the tests' own."""

from __future__ import annotations

import pytest
from zenml_home import warm_zenml


@pytest.fixture(scope="session")
def own_zenml() -> None:
    """An empty ZenML, warm."""
    warm_zenml()
