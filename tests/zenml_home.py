"""A ZenML of the tests' own, never the developer's, for tests that use it in their own process."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import warnings
from functools import cache

from zenml_modal_nb.pipelines import warmup


@cache
def warm_zenml() -> None:
    """Make an empty ZenML and warm it up; it is this process's from then on, since ZenML reads its place once."""
    place = tempfile.mkdtemp(prefix="zmnb-zenml-")
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    os.environ.update(
        ZENML_CONFIG_PATH=f"{place}/config",
        ZENML_LOCAL_STORES_PATH=f"{place}/stores",
        ZENML_ANALYTICS_OPT_IN="false",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what ZenML's dependencies say of themselves when they are imported
        warmup.wait()
