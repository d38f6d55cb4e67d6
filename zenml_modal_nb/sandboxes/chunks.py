"""A sandbox's output many lines at a time, as it comes over the wire.

The SDK hands a sandbox's streams out line by line, each over two threads: some three thousand lines a second. The
same reader gives what it receives when it is told not to cut it into lines, for which there is no public way.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import cache
from typing import Any

logger = logging.getLogger(__name__)


@cache
def _unlined() -> Any:
    """Return what switches the cutting off: (stream), by `.aio` from any event loop; None where the SDK has moved.

    See `tests/unit/sandboxes/test_private_calls.py`.
    """
    try:
        from modal._utils.async_utils import synchronize_api
    except ImportError:
        return None

    # To the SDK, which gives it the object behind the stream that users see.
    async def unlined(stream: Any) -> bool:
        reader: Any = getattr(stream, "_impl", None)
        if not isinstance(getattr(reader, "_by_line", None), bool):
            return False
        reader._by_line = False
        return True

    wrap: Any = synchronize_api
    return wrap(unlined)


async def are_whole(stream: Any) -> bool:
    """Let a stream that nobody has read yet give what it receives; says whether it will, or still give lines."""
    unlined = _unlined()
    return unlined is not None and bool(await unlined.aio(stream))


async def lines(stream: Any) -> AsyncGenerator[str, None]:
    """Yield whole lines, as many as have come at once; what the stream ends with may have no line feed."""
    if not await are_whole(stream):
        logger.debug("The SDK has changed, output is read by lines.")
    rest: list[str] = []  # pieces of the line that has no end yet
    async with aclosing(aiter(stream)) as received:
        async for text in received:
            end = text.rfind("\n") + 1
            if not end:
                rest.append(text)
                continue
            yield "".join([*rest, text[:end]])
            rest = [text[end:]] if end < len(text) else []
    if rest:
        yield "".join(rest)
