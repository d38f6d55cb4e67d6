"""What a logger shows and where, as plain values: what the notebook has set up by `logging` holds in a sandbox.

Handlers count that write to one of the two standard streams in a plain format. Others, e.g. of files, stay behind.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

# Level, stream, and of the formatter, if there is one, format, dates' format and style.
Handler = tuple[int, str, tuple[str | None, str | None, str] | None]
# Level, whether its parents' handlers are asked too, whether it is off, handlers.
State = tuple[int, bool, bool, tuple[Handler, ...]]

_STYLES = {logging.PercentStyle: "%", logging.StrFormatStyle: "{", logging.StringTemplateStyle: "$"}


# What the root logger shows, and from which level on all are silent, where nobody has said anything.
USUAL = ((logging.WARNING, True, False, ()), 0)


def take(logger: logging.Logger) -> State:
    """Return what a logger shows."""
    found = map(_plain, logger.handlers)
    handlers = tuple(each for each in found if each is not None)
    return logger.level, logger.propagate, logger.disabled, handlers


def put(logger: logging.Logger, state: State) -> None:
    """Let a logger show that; handlers that are as they should be stay, and those that are no such handlers."""
    level, logger.propagate, logger.disabled, wanted = state
    logger.setLevel(level)
    if take(logger)[3] == tuple(wanted):
        return
    for handler in [each for each in logger.handlers if _plain(each) is not None]:
        logger.removeHandler(handler)
    for each in wanted:
        logger.addHandler(_made(*each))


def take_all(module: Any) -> Any:
    """Return what the root logger shows, and from which level on all loggers are silent."""
    return take(module.root), module.root.manager.disable


def put_all(module: Any, state: Any) -> None:
    """Let the root logger show that."""
    root, module.root.manager.disable = state
    put(module.root, root)


def _plain(handler: logging.Handler) -> Handler | None:
    # Our own filter keeps from the notebook's handlers what is said of a run.
    own = (type(each).__module__.startswith("zenml_modal_nb.") for each in handler.filters)
    if type(handler) is not logging.StreamHandler or not all(own):
        return None
    streams = {id(sys.stdout): "stdout", id(sys.stderr): "stderr"}
    stream = streams.get(id(handler.stream))
    formatter = handler.formatter
    if stream is None or (formatter is not None and type(formatter) is not logging.Formatter):
        return None
    if formatter is None:
        return handler.level, stream, None
    style = _STYLES[type(formatter._style)]
    return handler.level, stream, (formatter._fmt, formatter.datefmt, style)


def _made(level: int, stream: str, form: tuple[str | None, str | None, str] | None) -> logging.Handler:
    handler = logging.StreamHandler(getattr(sys, stream))
    handler.setLevel(level)
    if form is not None:
        text, dates, style = form
        handler.setFormatter(logging.Formatter(text, dates, style))  # type: ignore[arg-type]  # one of three
    return handler
