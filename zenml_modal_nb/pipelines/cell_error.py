"""The exception a cell raised in the sandbox, restored here as what it was where that is possible."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Mapping
from typing import Any

from zenml_modal_nb.errors import RemoteCellError

logger = logging.getLogger(__name__)


def restore(fields: Mapping[str, Any], read: Callable[[bytes], object]) -> Exception:
    """Return the original exception, or a RemoteCellError that names it; `read` unpickles.

    SystemExit and KeyboardInterrupt come as RemoteCellError too: raised here they would end the kernel's cell
    machinery rather than the cell.
    """
    pickled = fields.get("pickled")
    if pickled is not None:
        try:
            error = read(base64.b64decode(pickled))
        except Exception as reason:  # noqa: BLE001 - an exception class may fail in any way when it is rebuilt
            logger.debug("Cannot restore %s: %r", fields["ename"], reason)
        else:
            if isinstance(error, Exception):
                return error
    return RemoteCellError(str(fields["ename"]), str(fields["evalue"]))
