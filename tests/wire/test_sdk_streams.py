"""What the SDK does only when a connection breaks: it resumes streams and repeats input. Sent as it sends it."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from grpclib import GRPCError, Status
from local_api import Local
from modal_proto import api_pb2
from modal_proto import task_command_router_pb2 as pb2
from raw_calls import METADATA, Stubs, converse

from zenml_modal_nb.emulator.filesystem import TOOL


def test_a_v1_log_goes_on_after_the_last_entry_read(local: Local) -> None:
    sandbox = local.create("sh", "-c", "echo first; read line; echo second", gpu="T4")

    async def read(stubs: Stubs, entry: str) -> tuple[list[str], str, bool]:
        request = api_pb2.SandboxGetLogsRequest(
            sandbox_id=sandbox.object_id,
            file_descriptor=api_pb2.FILE_DESCRIPTOR_STDOUT,
            timeout=0.2 if not entry else 20,
            last_entry_id=entry,
        )
        batches = await stubs.control.SandboxGetLogs(request, metadata=METADATA)
        texts = [item.data for batch in batches for item in batch.items]
        return texts, batches[-1].entry_id, batches[-1].eof

    async def talk(stubs: Stubs) -> None:
        # The command waits for input, so the first call ends at its own timeout, without an end of the log.
        texts, entry, ended = await read(stubs, "")
        assert (texts, ended) == (["first\n"], False)
        for _ in range(2):  # the same message twice, as after a lost answer
            write = api_pb2.SandboxStdinWriteRequest(sandbox_id=sandbox.object_id, index=1, input=b"go\n")
            await stubs.control.SandboxStdinWrite(write, metadata=METADATA)
        texts, _, ended = await read(stubs, entry)
        assert (texts, ended) == (["second\n"], True)
        gap = api_pb2.SandboxStdinWriteRequest(sandbox_id=sandbox.object_id, index=5, input=b"x")
        with pytest.raises(GRPCError) as caught:
            await stubs.control.SandboxStdinWrite(gap, metadata=METADATA)
        assert caught.value.status is Status.FAILED_PRECONDITION

    converse(local, sandbox.object_id, talk)


def test_a_v1_message_that_its_client_gave_up_waiting_for_is_taken_once(local: Local) -> None:
    sizes = (
        16_000_000,
        2_000_000,
    )  # together more than is buffered: the second waits for the command to read
    program = "import sys; sys.stdin.buffer.readline(); print(len(sys.stdin.buffer.read()))"
    command = f"mkfifo gate; echo ready; read line < gate; exec python -c '{program}'"
    sandbox = local.create("sh", "-c", command, gpu="T4")
    lines = iter(sandbox.stdout)
    assert next(lines) == "ready\n"

    def message(index: int, data: bytes, eof: bool = False) -> api_pb2.SandboxStdinWriteRequest:
        return api_pb2.SandboxStdinWriteRequest(
            sandbox_id=sandbox.object_id, index=index, input=data, eof=eof
        )

    async def talk(stubs: Stubs) -> None:
        write = stubs.control.SandboxStdinWrite
        await write(message(1, b"begin\n"), metadata=METADATA)
        await write(message(2, b"x" * sizes[0]), metadata=METADATA)
        with pytest.raises(TimeoutError):
            await write(message(3, b"x" * sizes[1]), metadata=METADATA, timeout=1)
        repeated = asyncio.create_task(write(message(3, b"x" * sizes[1]), metadata=METADATA))
        done, _ = await asyncio.wait([repeated], timeout=0.3)
        assert not done  # a repetition waits as well
        process = await sandbox.exec.aio("sh", "-c", "echo go > gate")
        await process.wait.aio()
        await repeated
        await write(message(4, b"", eof=True), metadata=METADATA)

    converse(local, sandbox.object_id, talk)
    assert list(lines) == [f"{sum(sizes)}\n"]


def test_v2_output_and_input_go_on_at_a_byte(local: Local) -> None:
    sandbox = local.create("cat")

    async def write(stubs: Stubs, offset: int, data: bytes, eof: bool = False) -> None:
        request = pb2.SandboxStdinWriteV2Request(task_id=stubs.task_id, offset=offset, data=data, eof=eof)
        await stubs.router.SandboxStdinWriteV2(request, metadata=stubs.bearer)

    async def talk(stubs: Stubs) -> None:
        await write(stubs, 0, b"0123")
        await write(stubs, 2, b"234567")  # the first two bytes again, as after a lost answer
        with pytest.raises(GRPCError) as caught:
            await write(stubs, 100, b"x")
        assert caught.value.status is Status.FAILED_PRECONDITION
        await write(stubs, 8, b"", eof=True)
        await write(stubs, 8, b"", eof=True)  # a second end is ignored
        request = pb2.SandboxStdioReadV2Request(task_id=stubs.task_id, offset=5)
        pieces = await stubs.router.SandboxStdioReadV2(request, metadata=stubs.bearer)
        assert pieces[0].starting_offset == 5
        assert b"".join(piece.data for piece in pieces) == b"567"

    converse(local, sandbox.object_id, talk)


def test_a_command_started_twice_under_one_id_runs_once(local: Local) -> None:
    sandbox = local.create("sleep", "60")

    async def talk(stubs: Stubs) -> None:
        start = pb2.TaskExecStartRequest(
            task_id=stubs.task_id,
            exec_id="chosen-by-the-client",
            command_args=["sh", "-c", "echo x >> made; cat made"],
            stdout_config=pb2.TASK_EXEC_STDOUT_CONFIG_PIPE,
        )
        for _ in range(2):
            await stubs.router.TaskExecStart(start, metadata=stubs.bearer)
        request = pb2.TaskExecStdioReadRequest(task_id=stubs.task_id, exec_id=start.exec_id)
        pieces = await stubs.router.TaskExecStdioRead(request, metadata=stubs.bearer)
        assert b"".join(piece.data for piece in pieces) == b"x\n"
        wait = pb2.TaskExecWaitRequest(task_id=stubs.task_id, exec_id=start.exec_id)
        assert (await stubs.router.TaskExecWait(wait, metadata=stubs.bearer)).code == 0

    converse(local, sandbox.object_id, talk)


def test_waiting_holds_for_as_long_as_asked_and_no_longer(local: Local) -> None:
    sandbox = local.create("cat")

    async def talk(stubs: Stubs) -> None:
        clock = asyncio.get_running_loop().time
        begin = clock()
        request = api_pb2.SandboxWaitRequest(sandbox_id=sandbox.object_id, timeout=0.3)
        response = await stubs.control.SandboxWaitV2(request, metadata=METADATA)
        assert response.result.status == api_pb2.GenericResult.GENERIC_STATUS_UNSPECIFIED
        assert 0.3 <= clock() - begin < 5

    converse(local, sandbox.object_id, talk)


def test_a_file_written_through_the_api_appears_whole(local: Local, tmp_path: Path) -> None:
    sandbox = local.create("sleep", "60")
    target = tmp_path / "file"
    target.write_text("old")

    async def talk(stubs: Stubs) -> None:
        async def write(exec_id: str, offset: int, data: bytes, eof: bool) -> None:
            request = pb2.TaskExecStdinWriteRequest(
                task_id=stubs.task_id, exec_id=exec_id, offset=offset, data=data, eof=eof
            )
            await stubs.router.TaskExecStdinWrite(request, metadata=stubs.bearer)

        for exec_id in ("complete", "abandoned"):
            start = pb2.TaskExecStartRequest(
                task_id=stubs.task_id,
                exec_id=exec_id,
                command_args=[TOOL, json.dumps({"WriteFile": {"path": str(target)}})],
            )
            await stubs.router.TaskExecStart(start, metadata=stubs.bearer)
        await write("complete", 0, b"ne", False)
        await write("abandoned", 0, b"half", False)
        assert target.read_text() == "old"
        await write("complete", 2, b"w", True)
        assert target.read_text() == "new"

    converse(local, sandbox.object_id, talk)
    sandbox.terminate(wait=True)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert target.read_text() == "new"


def test_the_end_of_a_large_log_keeps_nobody_waiting(local: Local) -> None:
    sandbox = local.create("sh", "-c", "yes 0123456789 | head -c 33000000; echo; echo last", gpu="T4")
    sandbox.wait()
    begin = datetime.now(UTC) - timedelta(hours=1)

    async def longest_turn() -> None:
        before = time.thread_time()  # of the server's loop: the machine's other work does not count
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            turns.append(now - before)
            before = now

    turns: list[float] = []
    watching = local.loop.start(longest_turn())
    try:
        assert [entry.message for entry in sandbox.logs.tail(1)] == ["last\n"]
        found = list(sandbox.logs.fetch(since=begin, search_text="ast"))
        assert [entry.message for entry in found] == ["last\n"]
    finally:
        watching.cancel()
    assert max(turns) < 0.1
