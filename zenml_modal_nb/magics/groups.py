"""How IPython shows a group of exceptions that a cell raised in a sandbox.

It lets Python print groups, with all frames they came through, ours and ZenML's; only its documented hook for
exceptions of a type, `set_custom_exc`, comes before that.
"""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING

from zenml_modal_nb.run.failure import GROUP

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def show_next(shell: InteractiveShell) -> None:
    """Show the group that is about to be raised by what the sandbox says, unless the user has a hook already."""
    if not shell.custom_exceptions:
        shell.set_custom_exc((BaseExceptionGroup,), _show)  # type: ignore[no-untyped-call]  # IPython's


def _show(
    shell: InteractiveShell,
    kind: type[BaseException],
    error: BaseException,
    traceback: TracebackType | None,
    tb_offset: int | None = None,
) -> None:
    shell.set_custom_exc((), None)  # type: ignore[no-untyped-call]  # IPython's
    text = vars(error).get(GROUP)
    if text is None:  # the user's own, raised here
        shell.showtraceback((kind, error, traceback), tb_offset=tb_offset, running_compiled_code=True)
    else:
        sys.stderr.write(text)
