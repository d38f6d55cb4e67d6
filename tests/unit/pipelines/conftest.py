"""A ZenML of the tests' own, never the developer's."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest

from zenml_modal_nb.pipelines import warmup


@pytest.fixture(scope="session")
def own_zenml(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An empty ZenML, warm; the working directory is no ZenML repository."""
    place = tmp_path_factory.mktemp("zenml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZENML_CONFIG_PATH", str(place / "config"))
        patch.setenv("ZENML_LOCAL_STORES_PATH", str(place / "stores"))
        patch.setenv("ZENML_ANALYTICS_OPT_IN", "false")
        patch.chdir(place)
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # what ZenML's dependencies say of themselves when they are imported
            warmup.wait()
        yield
