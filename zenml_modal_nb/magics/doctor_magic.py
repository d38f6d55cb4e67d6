"""`%modal_doctor`: parses the line, hands it to `doctor`."""

from __future__ import annotations

import argparse
import shlex
from typing import Any, NoReturn

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_magic, magics_class, no_var_expand

from zenml_modal_nb.errors import InvalidRequestError
from zenml_modal_nb.magics.defaults import ModalStep
from zenml_modal_nb.magics.options import BY_FLAG, OF_DOCTOR

_HELP = """Say what keeps cells from running in a Modal sandbox, and the command that mends it.

    %modal_doctor                   where a cell would run now
    %modal_doctor --on modal        Modal, whatever the default is
    %modal_doctor --stack NAME      what this stack lacks for ZenML's own step operator, of flavor modal
    %modal_doctor --fix             register what cells need in your ZenML
    %modal_doctor --fix --stack NAME [--flavor modal]
                                    add our step operator, or ZenML's own, to a stack of yours
    %modal_doctor --fix … --yes     change what exists without asking

On a command line: zenml-modal-nb doctor, zenml-modal-nb setup."""


@magics_class
class DoctorMagics(Magics):
    """Registered by the extension."""

    shell: InteractiveShell  # always given here; IPython allows None

    def __init__(self, shell: InteractiveShell, defaults: ModalStep) -> None:
        super().__init__(shell)
        self._defaults = defaults

    @no_var_expand
    @line_magic
    def modal_doctor(self, line: str) -> None:
        """Say what keeps cells from running."""
        from zenml_modal_nb.doctor import notebook
        from zenml_modal_nb.doctor.examination import Scope
        from zenml_modal_nb.doctor.setup import Wish

        given = _read(line)
        on = given.on or self._usual("--on")
        workspace, environment = self._usual("--workspace"), self._usual("--modal-environment")
        if not given.fix:
            return notebook.examine(self.shell, Scope(on, given.stack, workspace, environment))
        # A stack that got our own operator is not examined for what ZenML's would need.
        stack = given.stack if given.flavor == "modal" else None
        wish = Wish(on, given.stack, given.flavor, workspace, environment)
        return notebook.mend(self.shell, wish, Scope(on, stack, workspace, environment), yes=given.yes)

    def _usual(self, flag: str) -> Any:
        """Return the default that a cell would take, checked as there."""
        option = BY_FLAG[flag]
        return next((option.parse(text) for text in self._defaults.texts(option)), None)


class _Parser(argparse.ArgumentParser):
    """Raises what a cell magic raises, and never ends the kernel."""

    def error(self, message: str) -> NoReturn:
        raise InvalidRequestError(f"%modal_doctor: {message}. %modal_doctor? shows its options.")


def _read(line: str) -> argparse.Namespace:
    parser = _Parser(prog="%modal_doctor", add_help=False, allow_abbrev=False)
    for flag, values in OF_DOCTOR.items():
        if values is None:
            parser.add_argument(flag, action="store_true")
        else:
            parser.add_argument(flag, choices=values or None)
    try:
        given = parser.parse_args(shlex.split(line))
    except ValueError:  # of shlex
        raise InvalidRequestError(f"A quote is opened and not closed in: {line.strip()}") from None
    if not given.fix and (given.flavor or given.yes):
        parser.error("--flavor and --yes belong to --fix")
    if given.flavor == "modal" and given.stack is None:
        parser.error("ZenML's own step operator needs a stack of yours: add --stack NAME")
    given.flavor = given.flavor or "modal_notebook"
    return given


DoctorMagics.modal_doctor.__doc__ = _HELP
