"""A team's stack, and users of it: scripts and kernels."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from frontend import STRICT
from members import Member
from team import team


@pytest.fixture(scope="session")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Member]:
    """A member of a team; the stack named `team` is active, its step operator `modal` is of ZenML's own flavor."""
    if not os.access("/app" if os.path.exists("/app") else "/", os.W_OK):
        pytest.skip("ZenML's entrypoint works in /app, which this user cannot make here")
    with team(tmp_path_factory.mktemp("team")) as home:
        user = Member(home.path, home.server)
        with user.local_modal(*STRICT):
            yield user
