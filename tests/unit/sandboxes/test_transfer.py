"""Files that a runner names, as they come through the sandbox's filesystem API."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from types import SimpleNamespace
from typing import Any

import modal
import pytest

from zenml_modal_nb.errors import SandboxError
from zenml_modal_nb.runner import digests
from zenml_modal_nb.runner.frames import Frame
from zenml_modal_nb.sandboxes import transfer


def frame(data: bytes) -> Frame:
    fields = {"file": "out", "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return Frame("result", 0, 0, fields)


def sandbox(**calls: Any) -> Any:
    return SimpleNamespace(
        filesystem=SimpleNamespace(**{name: SimpleNamespace(aio=call) for name, call in calls.items()}),
    )


def test_a_result_that_is_too_large_to_be_read_is_told_with_what_to_do() -> None:
    async def refuse(path: str) -> bytes:
        raise modal.exception.SandboxFilesystemFileTooLargeError(f"5368709121 bytes: {path}")

    with pytest.raises(SandboxError, match=r"5368709121 bytes.*--out") as told:
        asyncio.run(transfer.read_values(sandbox(read_bytes=refuse), "/tmp/run", frame(b"x"), print))
    assert "lost contact" not in str(told.value)


def test_a_large_result_is_verified_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"x" * 1000
    threads: list[threading.Thread] = []
    known = hashlib.sha256

    def digest(*content: bytes) -> Any:
        threads.append(threading.current_thread())
        return known(*content)

    async def read(path: str) -> bytes:
        return data

    wanted = frame(data)
    monkeypatch.setattr(hashlib, "sha256", digest)
    assert asyncio.run(transfer.read_values(sandbox(read_bytes=read), "/tmp/run", wanted, print)) is data
    assert threading.main_thread() not in threads


def test_a_large_result_comes_whole_where_no_command_can_be_run_any_more() -> None:
    data = bytes(5_000_000)

    async def read(path: str) -> bytes:
        return data

    async def execute(*command: str, **options: object) -> None:
        raise modal.exception.ResourceExhaustedError("no more processes")

    wanted = Frame("result", 0, 0, {"file": "out", "size": len(data), "sha256": digests.of_content([data])})
    place = sandbox(read_bytes=read)
    place.exec = SimpleNamespace(aio=execute)
    assert asyncio.run(transfer.read_values(place, "/tmp/run", wanted, print)) is data
