"""A sandbox's temporary directory has a path that sockets can have, however long the state directory's is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from local_api import StartLocal
from test_restart import life

# What multiprocessing, and loaders of data with workers, do to share objects.
LISTEN = (
    "import sys, tempfile; from multiprocessing.connection import Client, Listener\n"
    "listener = Listener(family='AF_UNIX'); sent = Client(listener.address); sent.send('heard')\n"
    "print(listener.accept().recv(), tempfile.gettempdir(), flush=True); sys.stdin.read()"
)


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    return tmp_path / "state-directory-of-a-user-with-a-rather-long-name" / "and-a-home-far-down"


def test_sockets_can_be_made_below_a_long_state_directory(
    start_local: StartLocal, deep: Path, backend: dict[str, str]
) -> None:
    local = start_local(deep)
    sandbox = local.create("python", "-c", LISTEN, **backend)
    heard, temporary = next(iter(sandbox.stdout)).split()
    assert heard == "heard"
    (made,) = os.listdir(temporary)
    assert made.startswith("pymp-")
    assert Path(temporary).resolve().is_relative_to(deep.resolve())
    assert Path(temporary).parent.stat().st_mode & 0o077 == 0
    sandbox.terminate(wait=True)
    assert not os.path.lexists(temporary)


def test_nothing_is_left_of_a_server_that_was_killed(deep: Path) -> None:
    with life(deep) as first:
        line = next(iter(first.create("python", "-c", LISTEN).stdout))
        left = Path(line.split()[1])
        first.kill()
        assert left.is_symlink()
    with life(deep) as second:
        assert next(iter(second.create("python", "-c", LISTEN).stdout)).startswith("heard")
        assert not left.is_symlink()
    assert not left.parent.exists()
