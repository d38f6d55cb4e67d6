"""Errors a user can meet; each says what happened and what to do.

`ModalStepError` and its subclasses print their message and nothing of our internals; `RemoteCellError`
carries the traceback of the cell that failed in the sandbox.
"""

from __future__ import annotations

from collections.abc import Sequence


class ModalStepError(Exception):
    """Base of everything this package raises on purpose.

    `_render_traceback_` is IPython's hook for exceptions that choose what is printed: the message alone, since
    frames of this package would not help a user.
    """

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


class InvalidRequestError(ModalStepError):
    """An option of the magic line, the picker or `%config`, or a setting of a step, is wrong; nothing was created."""


class CellError(ModalStepError):
    """The cell cannot run remotely (syntax, an unknown magic, an undefined name); nothing was created."""


class PackagingError(ModalStepError):
    """A value the cell needs cannot travel; names the variable. Nothing was created."""


class ConnectionFailedError(ModalStepError):
    """Modal, or the local Modal API, cannot be reached or refuses the token."""


class SandboxError(ModalStepError):
    """The sandbox ended without a result: timeout, out of memory, lost contact, no capacity."""


class ResultError(ModalStepError):
    """The cell finished but a result could not come back; names the variables and the reason."""


class ArtifactError(ModalStepError):
    """A value recorded in ZenML cannot be restored in this process; says what is missing."""


class RemoteCellError(ModalStepError):
    """The cell raised an exception whose own type cannot be restored here.

    `ename` is the original type's name; `traceback_lines` is the traceback as IPython would draw it.
    """

    def __init__(self, ename: str, evalue: str, traceback_lines: Sequence[str] = ()) -> None:
        super().__init__(f"{ename}: {evalue}" if evalue else ename)
        self.ename = ename
        self.evalue = evalue
        self.traceback_lines = tuple(traceback_lines)

    def _render_traceback_(self) -> list[str]:
        return list(self.traceback_lines) or super()._render_traceback_()
