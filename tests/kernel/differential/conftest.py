"""One user's kernels: one that knows nothing of the extension, and two with it that work ahead of the tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest
from frontend import STRICT, Home, Kernel
from sides import Ahead, Side

FEW = 60  # cases that are over before a second kernel could help
KERNELS = 2  # one of them waits for its sandbox while the other one works


@pytest.fixture(scope="session")
def here(home: Home) -> Iterator[Side]:
    """Plain IPython."""
    with closing(Kernel(home, "differential-here")) as kernel:
        yield Side(kernel, "../differential-here")


@pytest.fixture(scope="session")
def there(home: Home, request: pytest.FixtureRequest) -> Iterator[Ahead]:
    """The same notebook with its cell in a sandbox of the local Modal API."""
    yield from _ahead(home, request)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Ahead]:
    """The same, where a sandbox has nothing but what its image installs."""
    home = Home(tmp_path_factory.mktemp("built"))
    with home.local_modal(*STRICT, "--images", "venv"):
        yield from _ahead(home, request, apart=True)


def _ahead(home: Home, request: pytest.FixtureRequest, *, apart: bool = False) -> Iterator[Ahead]:
    chosen = [item for item in request.session.items if isinstance(item, pytest.Function)]
    asked = [
        item for item in chosen if request.fixturename in item.fixturenames and hasattr(item, "callspec")
    ]
    cases = [item.callspec.params["case"] for item in asked if "case" in item.callspec.params]
    with ExitStack() as stack:
        kernels = []
        for number in range(KERNELS if len(cases) > FEW else 1):
            name = f"differential-{request.fixturename}-{number}"
            kernel = stack.enter_context(closing(Kernel(home, name)))
            kernel.run("%load_ext zenml_modal_nb")
            # Two kernels must not be the first ones of a home at the same time: each would make ZenML's database.
            kernel.run("from zenml.client import Client\nstack = Client().active_stack")
            kernels.append(Side(kernel, f"../{name}", "%%modal_step --on local", apart=apart))
        yield Ahead(cases, kernels)
