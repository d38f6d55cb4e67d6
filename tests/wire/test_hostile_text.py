"""Text that the server parses: Dockerfile commands, the filesystem tool's JSON, HTTP. Nothing of it is a crash."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from grpclib import GRPCError
from local_api import Local
from modal_proto import api_pb2
from modal_proto import task_command_router_pb2 as router_pb2
from raw_calls import METADATA, Stubs, converse

from zenml_modal_nb.emulator.filesystem import TOOL

INTERNAL = "Internal Server Error"  # what grpclib says when a handler raised something it should not have
INSTRUCTIONS = (
    "FROM", "RUN", "RUN pip install", "RUN python -m pip install", "RUN uv pip install", "RUN apt-get install -y",
    "COPY", "ADD", "ENV", "ARG", "WORKDIR", "CMD", "ENTRYPOINT", "SHELL", "USER", "EXPOSE", "LABEL", "#", "", "run",
)  # fmt: skip
WORDS = (
    "six", '"', "'", "\\", "[", "]", "{", "}", ";", "&&", "|", ">", "<<EOF", "EOF", "$(", "$X", "${", "`", "=", "A=b",
    "--from=x", "--mount=", "-r", "--", ".", "..", "/", "\n", "\t", "\0", "é€𝄞", "\N{LINE SEPARATOR}", "x" * 3000,
    '["a"', '["a", 1]', "[[]]", "six>=1; python_version<'4'", '"six; extra == \'x\'"', "six @ file:///x", "%", "*", "~",
)  # fmt: skip


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """The server logs no error: an exception that no client saw is in its log."""
    caplog.set_level(logging.WARNING)
    yield
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


def commands(dice: random.Random) -> list[str]:
    def line() -> str:
        words = [dice.choice(WORDS) for _ in range(dice.randint(0, 5))]
        return " ".join((dice.choice(INSTRUCTIONS), dice.choice(("", " ")).join(words)))

    return [
        "FROM python:slim" if dice.random() < 0.7 else line(),
        *(line() for _ in range(dice.randint(0, 3))),
    ]


@pytest.mark.parametrize("seed", range(3))
def test_no_dockerfile_is_a_crash(local: Local, quiet: None, seed: int) -> None:
    dice = random.Random(seed)
    definitions = [commands(dice) for _ in range(150)]
    crashes = []

    async def build(stubs: Stubs) -> None:
        for lines in definitions:
            request = api_pb2.ImageGetOrCreateRequest(
                app_id=local.app.app_id,
                image=api_pb2.Image(dockerfile_commands=lines),
                builder_version="2025.06",
            )
            try:
                image = await stubs.control.ImageGetOrCreate(request, metadata=METADATA)
                join = api_pb2.ImageJoinStreamingRequest(image_id=image.image_id, timeout=10)
                answers = await stubs.control.ImageJoinStreaming(join, metadata=METADATA, timeout=20)
                assert answers[-1].result.status, "the build has not ended"
            except GRPCError as error:
                if error.message == INTERNAL:
                    crashes.append(lines)

    converse(local, local.create("true").object_id, build)
    assert crashes == []


def arguments(dice: random.Random, place: Path) -> list[str]:
    """Arguments of the filesystem tool, odd but harmless: their paths are below `place`, or none."""
    deep = 100_000
    odd = (None, True, 7, 1e308, "", "\0", "x" * 5000, "relative", "..", [], ["a"], {}, {"a": 1}, "\udcff")
    paths = [
        f"{place}/{part}"
        for part in ("", "a", "a/b/c", "\0", "x" * 300, "é€𝄞", "a\nb", "\udcff", "x/" * 3000)
    ]
    operations = ("ReadFile", "WriteFile", "ListFiles", "Stat", "MakeDirectory", "Remove", "Watch", "", "\0")
    found = ["", "{", "[]", "null", "1", '"x"', "{}", '{"Stat": 1}', '{"Stat": {}, "Remove": {}}', "NaN"]
    found += ["[" * deep, '{"Stat":' * deep, '{"Stat": {"path": ' + "[" * deep]
    for _ in range(150):
        options = {
            "path": dice.choice((*odd, *paths)),
            "parents": dice.choice(odd),
            "recursive": dice.choice(odd),
        }
        found.append(json.dumps({dice.choice(operations): options}))
    return found


@pytest.mark.parametrize("seed", range(2))
def test_no_argument_of_the_filesystem_tool_is_a_crash(
    local: Local, quiet: None, tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)
    here = sorted(Path.cwd().iterdir())
    crashes = []

    async def ask(stubs: Stubs) -> None:
        for number, argument in enumerate(arguments(dice, tmp_path)):
            start = router_pb2.TaskExecStartRequest(
                task_id=stubs.task_id, exec_id=f"e{number}", command_args=[TOOL, argument], timeout_secs=1
            )
            write = router_pb2.TaskExecStdinWriteRequest(
                task_id=stubs.task_id, exec_id=f"e{number}", offset=0, data=b"x", eof=True
            )
            for call, request in (
                (stubs.router.TaskExecStart, start),
                (stubs.router.TaskExecStdinWrite, write),
            ):
                try:
                    await call(request, metadata=stubs.bearer)
                except GRPCError as error:
                    if error.message == INTERNAL:
                        crashes.append(argument[:200])

    sandbox = local.create("sleep", "600")
    converse(local, sandbox.object_id, ask)
    sandbox.terminate(wait=True)
    assert crashes == []
    assert sorted(Path.cwd().iterdir()) == here


def requests(dice: random.Random, target: str) -> list[bytes]:
    """HTTP, and what only begins like it; `target` is an address that was given out for one PUT."""
    good = f"PUT {target} HTTP/1.1\r\nHost: x\r\n".encode()
    found = [
        good + f"Content-Length: {length}\r\n\r\nx".encode()
        for length in (
            "9" * 5000,
            "9" * 30,
            "-1",
            "+1",
            "1_0",
            "0x1",
            "",
            " ",
            "nan",
            "1, 1",
            "\u0661",
            "\u00b2",
            "1e3",
        )
    ]
    found += [good + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", good + b"\r\n", good]
    found += [
        good + b"X: " + b"x" * 100_000,
        good + b"X: y\r\n" * 500 + b"\r\n",
        good + b"\xff\xfe: \0\r\n\r\n",
    ]
    found += [
        f"GET {target} HTTP/1.1\r\nRange: bytes={span}\r\n\r\n".encode() for span in ("9" * 5000 + "-", "5-2")
    ]
    for path in (
        "/",
        "//",
        "/blob",
        "/blob/../../server.json?token=x",
        "/" + "x" * 70_000,
        "*",
        "http://[",
        "/%00?%",
    ):
        found += [
            f"{verb} {path} HTTP/1.1\r\n\r\n".encode() for verb in ("GET", "PUT", "DELETE", "\0", "CONNECT")
        ]
    found += [dice.randbytes(dice.randint(0, 2000)) for _ in range(30)]
    found += [b"GET / HTTP/9.9\r\n\r\n", b"GET\r\n\r\n", b"\r\n" * 1000, b"\x16\x03\x01\x02\x00\x01\x00"]
    return found


def test_nothing_sent_to_the_port_of_contents_is_a_crash(local: Local, quiet: None) -> None:
    urls: list[str] = []

    async def ask(stubs: Stubs) -> None:
        request = api_pb2.BlobCreateRequest(content_length=1)
        urls.append((await stubs.control.BlobCreate(request, metadata=METADATA)).upload_url)

    converse(local, local.create("true").object_id, ask)
    address = urlsplit(urls[0])
    for sent in requests(random.Random(5), f"{address.path}?{address.query}"):
        with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as connection:
            try:
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
                answer = b""
                while data := connection.recv(65536):
                    answer += data
            except ConnectionError:  # refused before all of it was read
                continue
        assert not answer.startswith((b"HTTP/1.1 2", b"HTTP/1.1 5")) or b" 501 " in answer[:20], sent[:100]
    asyncio.run(_put(address.hostname or "", address.port or 0, f"{address.path}?{address.query}"))


async def _put(host: str, port: int, target: str) -> None:
    """The address still takes what it was given out for."""
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(
        f"PUT {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx".encode()
    )
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.close()
    await writer.wait_closed()
