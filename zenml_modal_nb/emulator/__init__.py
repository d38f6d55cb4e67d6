"""The local Modal API: Modal's SDK runs against it unchanged, on this machine, without an account.

    with zenml_modal_nb.emulator.running() as server:
        subprocess.run([...], env={**os.environ, **server.environment})

`python -m zenml_modal_nb.emulator` starts, finds and ends the one that all of a user's notebooks share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zenml_modal_nb.emulator.private_server import running as running

__all__ = ["running"]


def __getattr__(name: str) -> object:
    # Late, since every `start` imports this package and most need only find a server that runs already.
    if name == "running":
        from zenml_modal_nb.emulator.private_server import running

        return running
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
