"""A server for one block of code, with a state directory of its own: `zenml_modal_nb.emulator.running()`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from zenml_modal_nb.emulator import lifecycle
from zenml_modal_nb.emulator.directory import StateDirectory
from zenml_modal_nb.emulator.faults import Fault, FaultControl
from zenml_modal_nb.emulator.options import IDLE_SECONDS, ServeOptions
from zenml_modal_nb.emulator.record import LifecycleError


@dataclass(frozen=True)
class PrivateServer:
    """A server that lives as long as a `with running()` block; `environment` points Modal's SDK at it."""

    url: str
    environment: dict[str, str] = field(repr=False)
    state_dir: Path
    state_file: Path
    pid: int
    faults: FaultControl


@contextmanager
def running(
    *,
    log_retention: int | None = None,
    read_delay: float | None = None,
    read_size: int | None = None,
    images: str | None = None,
    python: str | Path | None = None,
    idle_timeout: float = IDLE_SECONDS,
    state_dir: str | Path | None = None,
    faults: Sequence[Fault] = (),
) -> Iterator[PrivateServer]:
    """Run a private local Modal API; when the block ends, so do the server and all its sandboxes.

    It ends with this process too, however that ends. `state_dir` is a temporary directory, removed after the
    block, unless one is given, to start a server again on what an earlier one left. `faults` happen from the
    start. For the other options see `ServeOptions`. Raises LifecycleError.
    """
    with tempfile.TemporaryDirectory(prefix="zenml-modal-nb-") as temporary:
        directory = StateDirectory(Path(state_dir or temporary).absolute())
        directory.prepare()
        options = ServeOptions(
            directory,
            idle_timeout,
            None if python is None else str(python),
            log_retention,
            read_delay,
            read_size,
            images,
        )
        # The server removes a temporary directory too, for when this process is killed.
        process = lifecycle.launch(options, lifeline=True, temporary=state_dir is None)
        try:
            found = directory.find()
            if found is None or found.pid != process.pid:
                raise LifecycleError(f"Another local Modal API has the state directory {directory.path}.")
            control = FaultControl(found.url, found.token_id, found.token_secret)
            for fault in faults:
                control.add(fault)
            yield PrivateServer(
                url=found.url,
                environment={
                    "MODAL_SERVER_URL": found.url,
                    "MODAL_TOKEN_ID": found.token_id,
                    "MODAL_TOKEN_SECRET": found.token_secret,
                    "MODAL_ENVIRONMENT": "local",
                },
                state_dir=directory.path,
                state_file=directory.record_path,
                pid=found.pid,
                faults=control,
            )
        finally:
            lifecycle.end(process.pid)
            process.communicate()  # closes the lifeline and reaps
