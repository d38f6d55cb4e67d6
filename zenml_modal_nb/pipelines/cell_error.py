"""The exception a cell raised in the sandbox, restored here as what it was where that is possible."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Mapping
from typing import Any

from zenml_modal_nb.errors import RemoteCellError

_OURS = "zenml_modal_nb."  # e.g. the runner's own, when the sandbox is told to end

logger = logging.getLogger(__name__)


def restore(fields: Mapping[str, Any], read: Callable[[bytes], object]) -> BaseException:
    """Return the original exception, or a RemoteCellError that names it; `read` unpickles."""
    pickled = fields.get("pickled")
    if pickled is not None:
        try:
            error = read(base64.b64decode(pickled))
        except Exception as reason:  # noqa: BLE001 - an exception class may fail in any way when it is rebuilt
            logger.debug("Cannot restore %s: %r", fields["ename"], reason)
        else:
            if isinstance(error, BaseException) and not type(error).__module__.startswith(_OURS):
                return error
    return RemoteCellError(str(fields["ename"]), str(fields["evalue"]))


def recordable(error: BaseException) -> Exception:
    """Return what ZenML's machinery can be given: SystemExit and the like would end it rather than the step."""
    return error if isinstance(error, Exception) else RemoteCellError(type(error).__name__, str(error))
