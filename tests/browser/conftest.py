"""One server for all tests here, one browser for each file; what they photograph is kept."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from frontend import Home
from jupyter_site import CHROMIUM, MISSING, Site, chromium, served
from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def site(home: Home) -> Iterator[Site]:
    with served(home) as site:
        yield site


# Of a file: as long as Playwright is open its event loop runs in this thread, and others' tests would be in it.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.fail(MISSING)
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pictures go: the folder that ZENML_MODAL_NB_PICTURES names, or one of this session."""
    named = os.environ.get("ZENML_MODAL_NB_PICTURES")
    folder = Path(named) if named else tmp_path_factory.mktemp("pictures")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
