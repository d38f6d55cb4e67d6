"""The options of `%%modal_step`: one table for the parser, the help text, the defaults and completion.

To build an option that is only known by name, give it its `parse`, its `write` and its `field` in
`request.StepRequest`, and move it to `SUPPORTED`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from zenml_modal_nb.errors import InvalidRequestError
from zenml_modal_nb.magics import names, paths, quantities
from zenml_modal_nb.pricing import regions


@dataclass(frozen=True, slots=True)
class Option:
    """One option; read by `arguments`, `defaults` and completion."""

    flag: str  # "--gpu-count"
    metavar: str | None  # None: the option is a switch and takes no value
    meaning: str  # one sentence with an example, for the help
    group: str
    field: str = ""  # in StepRequest; empty: part of the contract, not built yet
    parse: Callable[[str], Any] = str  # one value's text to its checked form; raises InvalidRequestError
    write: Callable[[Any], str] = str  # the reverse
    repeatable: bool = False  # values add up; the field is a tuple
    has_default: bool = True  # may be set with %config, and has a --no- form

    @property
    def supported(self) -> bool:
        """Whether the option is built; one that is not has no place in the request."""
        return bool(self.field)

    @property
    def trait(self) -> str:
        """The option's name in `%config ModalStep.NAME`."""
        return self.flag.removeprefix("--").replace("-", "_")

    @property
    def negation(self) -> str:
        """The form that overrides a default: "--no-gpu"."""
        return f"--no-{self.flag.removeprefix('--')}"


def gpu(text: str) -> tuple[str | None, int | None]:
    """Return the type and the count of "A100", "A100:2" or "none"; a part that is not given is None."""
    from zenml_modal_nb.pricing import gpus  # here, so that loading the extension reads no price list

    wanted = text.strip()
    if wanted.lower() == "none":
        return None, None
    if "," in wanted:
        raise unsupported(f"several GPU types in order (--gpu {wanted})")
    kind, colon, number = wanted.partition(":")
    return gpus.check(kind), quantities.gpu_count(number) if colon else None


def unsupported(what: str) -> InvalidRequestError:
    """Return the one refusal of everything that is known but not built."""
    return InvalidRequestError(f"This version does not support {what} yet. Nothing was created.")


def _switch(text: str) -> bool:
    """Return True: a switch that is there is on, and its text is empty."""
    return not text


def _environment_text(item: tuple[str, str | None]) -> str:
    name, value = item
    return name if value is None else f"{name}={value}"


MACHINE, WHERE, LIMITS, SOFTWARE = "Machine", "Where", "Limits", "Software and environment"
FILES, STEP = "Files", "Step"

SUPPORTED: tuple[Option, ...] = (
    Option("--gpu", "TYPE", "GPU type, as in --gpu A100; --gpu none for CPU only", MACHINE,
           "gpu", gpu),
    Option("--gpu-count", "N", "GPUs of that type, as in --gpu-count 2; 0 means CPU only", MACHINE,
           "gpu_count", quantities.gpu_count),
    Option("--cpu", "CORES", "cores, as in --cpu 4 (default 2)", MACHINE,
           "cpu", quantities.cpu, quantities.cpu_text),
    Option("--memory", "SIZE", "memory, as in --memory 32GB (default 4GiB, or 3 times the inputs)", MACHINE,
           "memory_mib", quantities.memory, quantities.memory_text),
    Option("--operator", "NAME", "a step operator of the active ZenML stack, of flavor modal or modal_notebook", WHERE,
           "operator", names.operator),
    Option("--on", "PLACE", "local (here, not billed) or modal (default if a token is configured)", WHERE,
           "on", names.place),
    Option("--region", "NAME", "region, as in --region us-east; prices are higher with one", WHERE,
           "region", regions.region),
    Option("--cloud", "NAME", "cloud provider: aws, gcp, oci or auto", WHERE,
           "cloud", regions.cloud),
    Option("--workspace", "NAME", "Modal workspace; selects the profile that has it", WHERE,
           "workspace", names.workspace),
    Option("--modal-environment", "NAME", "Modal environment, as in --modal-environment dev", WHERE,
           "modal_environment", names.modal_environment),
    Option("--timeout", "TIME", "longest run, as in --timeout 3600, 90m or 1h30m (default 1h)", LIMITS,
           "timeout", quantities.timeout, quantities.duration_text),
    Option("--pip", "PACKAGE", 'one package more, as in --pip "torch==2.9"; repeatable', SOFTWARE,
           "pip", names.pip_requirement, repeatable=True),
    Option("--apt", "PACKAGE", "one Debian package, as in --apt ffmpeg; repeatable", SOFTWARE,
           "apt", names.apt_package, repeatable=True),
    Option("--image", "REF", "base image, as in --image python:3.11-slim", SOFTWARE,
           "image", names.image),
    Option("--env", "K[=V]", "variable; K alone: the notebook's value, as a secret; repeatable", SOFTWARE,
           "env", names.environment_variable, _environment_text, repeatable=True),
    Option("--secret", "NAME", "a secret that exists in Modal; repeatable", SOFTWARE,
           "secrets", names.secret, repeatable=True),
    Option("--file", "PATH", "file or folder to send, as in --file data.csv; repeatable", FILES,
           "files", paths.sent, repeatable=True),
    Option("--fetch", "PATTERN", 'files to bring back, as in --fetch "out/*.pt"; repeatable', FILES,
           "fetch", paths.fetched, repeatable=True),
    Option("--volume", "NAME:/PATH", "a named Modal volume, as in --volume data:/data; repeatable", FILES,
           "volumes", paths.volume, paths.volume_text, repeatable=True),
    Option("--name", "NAME", "the step's name, as in --name train (default: from the cell)", STEP,
           "name", names.step, has_default=False),
    Option("--in", "NAMES", "variables to send, as in --in X,y, instead of what the cell reads", STEP,
           "inputs", names.variables, ",".join, has_default=False),
    Option("--out", "NAMES", "variables to bring back, as in --out model, instead of what it binds", STEP,
           "outputs", names.variables, ",".join, has_default=False),
    Option("--cache", None, "no run, but the earlier outputs, when code, inputs and image are unchanged", STEP,
           "cache", _switch),
    Option("--define", None, "do not run; bind a ZenML step under --name, for use in a @pipeline", STEP,
           "define", _switch),
    Option("--dry-run", None, "show what would be sent, and its price; create nothing", STEP,
           "dry_run", _switch),
)  # fmt: skip

# Part of the public contract, refused by name until they are built.
NOT_YET: tuple[Option, ...] = (
    Option("--max-cost", "USD", "stop at this estimate, as in --max-cost 2.50", LIMITS),
    Option("--gpu-wait", "TIME", "how long to wait for each GPU type", LIMITS),
    Option("--keep-warm", "TIME", "keep the sandbox for the next cell", LIMITS),
    Option("--on-disconnect", "ACTION", "keep or stop, when the notebook is gone", LIMITS),
    Option("--background", None, "return at once and bind the handle", STEP),
    Option("--as", "NAME", "the handle's variable", STEP, has_default=False),
)

OPTIONS: tuple[Option, ...] = SUPPORTED + NOT_YET
BY_FLAG: dict[str, Option] = {option.flag: option for option in OPTIONS}
BY_NEGATION: dict[str, Option] = {option.negation: option for option in OPTIONS if option.has_default}

# Those of `%modal_doctor`, with what may stand after each: anything, for none listed; None for a switch.
OF_DOCTOR: Mapping[str, tuple[str, ...] | None] = {
    "--on": ("local", "modal"),
    "--stack": (),
    "--fix": None,
    "--flavor": ("modal_notebook", "modal"),
    "--yes": None,
}
