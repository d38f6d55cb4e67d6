"""What a user asks for: one frozen, validated object that the magic line and the picker both make.

Read by every later stage; knows nothing of IPython, ZenML or Modal. Sizes are MiB, times are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

Place = Literal["local", "modal"]

DEFAULT_TIMEOUT = 3600  # one hour, not Modal's 24: a forgotten run must end
DEFAULT_CPU = 2.0  # cores; Modal's own 0.125 starves `import torch`
DEFAULT_MEMORY_MIB = 4096
# Without --memory a sandbox asks for three times its inputs, and machines with more than 300 GiB are not offered
# reliably (Modal's documentation, November 2026, states a maximum without its number). Its disk holds 512 GiB.
DEFAULT_MAX_INPUTS_MIB = 100 * 1024

# Fields for which a step operator may have a setting of its own, which holds where the user has said nothing.
OF_OPERATORS = ("gpu", "gpu_count", "region", "cloud", "modal_environment", "workspace", "timeout")


@dataclass(frozen=True, slots=True)
class StepRequest:
    """A validated request to run one cell; made by `magics.arguments` and the picker, read by `run`."""

    gpu: str | None = None  # Modal's GPU type, upper case, without a count
    gpu_count: int = 1  # without `gpu` that of the operator's type, else ignored
    cpu: float | None = None  # cores; None: DEFAULT_CPU
    memory_mib: int | None = None  # None: the larger of DEFAULT_MEMORY_MIB and 3 x the inputs
    region: str | None = None
    cloud: str | None = None
    timeout: int = DEFAULT_TIMEOUT
    modal_environment: str | None = None
    workspace: str | None = None
    operator: str | None = None  # a registered ZenML step operator; None: ours
    on: Place | None = None  # None: modal if a token is configured, else local
    name: str | None = None  # step name; None: from the cell
    inputs: tuple[str, ...] | None = None  # None: what the analysis finds
    outputs: tuple[str, ...] | None = None
    max_inputs_mib: int = DEFAULT_MAX_INPUTS_MIB  # of all that is sent, together
    pip: tuple[str, ...] = ()
    apt: tuple[str, ...] = ()
    image: str | None = None
    env: tuple[tuple[str, str | None], ...] = ()  # (K, None): the notebook's value, sent as a secret
    secrets: tuple[str, ...] = ()  # names of Modal secrets
    files: tuple[str, ...] = ()  # paths or patterns of what to send
    fetch: tuple[str, ...] = ()  # patterns of what to bring back, relative to the sandbox's working directory
    volumes: tuple[tuple[str, str], ...] = ()  # names of Modal volumes and their mount paths
    cache: bool = False  # no run when nothing that matters has changed
    define: bool = False  # do not run; bind a ZenML step under `name`
    dry_run: bool = False  # show what would be sent, and its price; create nothing
    # Of OF_OPERATORS, with `operator` only: what the user wants as it is by default, e.g. gpu with --gpu none.
    explicit: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # In one form, so that equal requests compare equal: what differs from its default was said anyway.
        plain = {each.name: each.default for each in fields(self)}
        usual = {name for name in self.explicit if getattr(self, name) == plain[name]}
        if self.gpu is not None or "gpu" in usual:
            usual.discard("gpu_count")  # that of the type
        kept = tuple(name for name in OF_OPERATORS if name in usual) if self.operator is not None else ()
        object.__setattr__(self, "explicit", kept)

    def says(self, name: str) -> bool:
        """Tell whether the user has said anything about a field of OF_OPERATORS, be it that there is to be none."""
        (plain,) = (each.default for each in fields(self) if each.name == name)
        return name in self.explicit or getattr(self, name) != plain

    @property
    def modal_gpu(self) -> str | None:
        """The GPU as Modal writes it: None, "T4" or "A100:2"."""
        if self.gpu is None:
            return None
        return self.gpu if self.gpu_count == 1 else f"{self.gpu}:{self.gpu_count}"
