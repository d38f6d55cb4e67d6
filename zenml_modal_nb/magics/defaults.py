"""A user's own defaults for `%%modal_step`, set with `%config ModalStep.gpu = "T4"`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from traitlets import Bool, Dict, Float, Int, List, Tuple, Unicode, Union
from traitlets.config import Configurable

from zenml_modal_nb.magics.options import BY_FLAG, Option

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def _trait(flag: str) -> Any:
    """Return the trait for an option: a switch, one value, or several for an option that may be repeated."""
    option = BY_FLAG[flag]
    meaning = option.meaning if option.supported else f"{option.meaning} (not supported by this version)"
    if option.metavar is None:
        return Bool(False, help=meaning).tag(config=True)
    if option.repeatable:  # the first kind makes the default: an empty list, each time a new one
        return Union([List(), Tuple(), Dict(), Unicode()], help=meaning).tag(config=True)
    return Union([Unicode(), Int(), Float()], allow_none=True, default_value=None, help=meaning).tag(
        config=True
    )


class ModalStep(Configurable):
    """Defaults for `%%modal_step`; an option on the magic line wins, and its --no- form drops the default.

    Made once by the extension, as `ModalStep(parent=shell)`, and appended to `shell.configurables`: that is
    where `%config` looks, by class name. Read by `arguments`, which checks the values when a cell uses them,
    as it checks the magic line, so that they may be set in any order.
    """

    gpu = _trait("--gpu")
    gpu_count = _trait("--gpu-count")
    cpu = _trait("--cpu")
    memory = _trait("--memory")
    on = _trait("--on")
    region = _trait("--region")
    cloud = _trait("--cloud")
    workspace = _trait("--workspace")
    modal_environment = _trait("--modal-environment")
    timeout = _trait("--timeout")
    pip = _trait("--pip")
    apt = _trait("--apt")
    image = _trait("--image")
    env = _trait("--env")
    secret = _trait("--secret")
    dry_run = _trait("--dry-run")
    operator = _trait("--operator")
    max_cost = _trait("--max-cost")
    gpu_wait = _trait("--gpu-wait")
    keep_warm = _trait("--keep-warm")
    on_disconnect = _trait("--on-disconnect")
    file = _trait("--file")
    fetch = _trait("--fetch")
    volume = _trait("--volume")
    cache = _trait("--cache")
    background = _trait("--background")
    define = _trait("--define")
    # A safety catch rather than a choice for one cell: it has no option on the magic line.
    max_inputs = Union(
        [Unicode(), Int(), Float()],
        allow_none=True,
        default_value=None,
        help='most that a cell may send, as in "2GiB" (default 100GiB)',
    ).tag(config=True)

    @classmethod
    def of(cls, shell: InteractiveShell) -> ModalStep | None:
        """Return the shell's defaults, None where the extension was never loaded."""
        return next((each for each in shell.configurables if isinstance(each, cls)), None)

    def texts(self, option: Option) -> tuple[str, ...]:
        """Return the default of an option as it would stand on the magic line; empty without one.

        A switch that is on is ("",). `%config ModalStep.env` may be a dictionary; None as a value is the
        notebook's own, as K alone is.
        """
        value = getattr(self, option.trait)
        match value:
            case None | "" | False:
                return ()
            case True if option.metavar is None:
                return ("",)
            case dict():
                return tuple(str(key) if item is None else f"{key}={item}" for key, item in value.items())
            case list() | tuple():
                return tuple(str(item) for item in value)
            case _:
                return (str(value),)
