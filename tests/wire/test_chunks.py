"""A sandbox's output many lines at a time, through the unmodified SDK: what is received is handed on as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from local_api import Local

from zenml_modal_nb.sandboxes import chunks

FLOOD = "print(''.join(f'line {n} \\u20ac\\n' for n in range(50_000)), end='no end')"


def read(stream: Any) -> list[str]:
    async def all_of_it() -> list[str]:
        return [text async for text in chunks.lines(stream)]

    return asyncio.run(all_of_it())


def test_lines_come_many_at_once_and_none_is_cut(local: Local, backend: dict[str, str]) -> None:
    sandbox = local.create("python", "-c", FLOOD, **backend)
    pieces = read(sandbox.stdout)
    assert "".join(pieces) == "".join(f"line {n} \u20ac\n" for n in range(50_000)) + "no end"
    assert [piece for piece in pieces[:-1] if not piece.endswith("\n")] == []
    assert pieces[-1] == "no end"
    assert len(pieces) < 5000, "The SDK has changed: look at the module's docstring."


def test_the_sdk_has_the_place_that_keeps_it_from_cutting(local: Local, backend: dict[str, str]) -> None:
    sandbox = local.create("true", **backend)
    told = "The SDK has changed: look at sandboxes/chunks.py, output is read line by line until then."
    assert asyncio.run(chunks.are_whole(sandbox.stdout)), told


def test_a_reader_that_cuts_all_the_same_is_read_by_lines() -> None:
    class Lines:
        async def __aiter__(self) -> AsyncIterator[str]:
            for line in ("one\n", "two\n", "three"):
                yield line

    assert read(Lines()) == ["one\n", "two\n", "three"]
