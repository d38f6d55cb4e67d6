"""Load on the local Modal API: sandboxes at once and in sequence, images, a large log, a large file through a volume.

Run: python tests/benchmarks/bench_emulator.py [at-once] [in-sequence] [images] [log] [volume]
"""

from __future__ import annotations

import asyncio
import filecmp
import http.server
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import modal
import psutil
from modal_proto import api_pb2

from zenml_modal_nb.emulator import running

AT_ONCE = 200
IN_SEQUENCE = 1000
MOST_GROWTH = 10.0  # megabytes from the first of such sequences to the last
LOG_BYTES = 100_000_000
FILE_BYTES = 1_000_000_000
MEGABYTE = 1_000_000
CLIENT = "in-sequence-client"


@dataclass(frozen=True)
class Local:
    """A server's process and the SDK connected to it."""

    process: psutil.Process
    client: modal.Client
    app: modal.App

    def options(self) -> dict[str, object]:
        return {"app": self.app, "client": self.client, "image": modal.Image.debian_slim()}


@dataclass(frozen=True)
class Footprint:
    """What the server's process holds at one moment."""

    rss: float
    descriptors: int
    threads: int
    children: int

    def __str__(self) -> str:
        return f"{self.rss:6.1f} MB, {self.descriptors} descriptors, {self.threads} threads, {self.children} processes"


@contextmanager
def connected(url: str, token: tuple[str, str], pid: int) -> Iterator[Local]:
    with modal.Client(url, api_pb2.CLIENT_TYPE_CLIENT, token) as client:
        app = modal.App.lookup("bench", create_if_missing=True, client=client, environment_name="local")
        found = Local(psutil.Process(pid), client, app)
        modal.Sandbox.create("true", **found.options()).wait()  # makes the image and the interpreter
        yield found


@contextmanager
def local(log_retention: int | None = None, images: str | None = None) -> Iterator[Local]:
    with running(log_retention=log_retention, images=images) as server:
        token = (server.environment["MODAL_TOKEN_ID"], server.environment["MODAL_TOKEN_SECRET"])
        with connected(server.url, token, server.pid) as found:
            yield found


def footprint(process: psutil.Process) -> Footprint:
    return Footprint(
        process.memory_info().rss / MEGABYTE,
        process.num_fds(),
        process.num_threads(),
        len(process.children(recursive=True)),
    )


def at_once() -> None:
    """Sandboxes created together, read and waited for: how long until the first, the median and the last."""
    print(f"── {AT_ONCE} sandboxes at once")
    for name, gpu in (("V1", {"gpu": "T4"}), ("V2", {})):
        with local() as found:
            before = footprint(found.process)
            options = {**found.options(), **gpu}

            async def one(begin: float, options: dict[str, object] = options) -> float:
                sandbox = await modal.Sandbox.create.aio("sh", "-c", "echo up", **options)
                assert await sandbox.stdout.read.aio() == "up\n"
                await sandbox.wait.aio()
                return time.perf_counter() - begin

            async def all_of_them(one: Callable[[float], object] = one) -> list[float]:
                begin = time.perf_counter()
                return sorted(await asyncio.gather(*(one(begin) for _ in range(AT_ONCE))))

            cpu = sum(found.process.cpu_times()[:2])
            seconds = asyncio.run(all_of_them())
            cpu = sum(found.process.cpu_times()[:2]) - cpu
            print(
                f"{name}: first {seconds[0]:5.2f} s  median {statistics.median(seconds):5.2f} s  "
                f"last {seconds[-1]:5.2f} s  server's CPU {cpu:5.2f} s"
            )
            print(f"    before: {before}\n    after:  {footprint(found.process)}")


def in_sequence() -> None:
    """Sandboxes one after another: the server must not grow.

    The SDK, here in a process of its own, keeps a connection to the router of each V2 sandbox for a minute; so
    sequences are compared when the SDK of each is gone. The server keeps what has ended for a minute, too, which is
    up to 1,024 of them: the first shows how much that is, the others that no more is kept.
    """
    print(f"── {IN_SEQUENCE} sandboxes in sequence (V1 and V2 by turns), three times", flush=True)
    with running() as server:
        process = psutil.Process(server.pid)
        program = [sys.executable, __file__, CLIENT, server.url, str(server.pid)]
        found = []
        for sequence in (1, 2, 3):
            subprocess.run(program, env=os.environ | server.environment, check=True)
            found.append(footprint(process))
            print(f"{IN_SEQUENCE * sequence:5}, SDK gone: {found[-1]}", flush=True)
        _, first, second = found
        grown = second.rss - first.rss
        print(
            f"growth from {IN_SEQUENCE * 2} to {IN_SEQUENCE * 3}: {grown:+.1f} MB, "
            f"{second.descriptors - first.descriptors:+} descriptors, {second.threads - first.threads:+} threads, "
            f"{second.children - first.children:+} processes"
        )
        assert grown < MOST_GROWTH, "the server's memory grows"
        assert second.descriptors <= first.descriptors + 2, "the server keeps files open"
        assert second.children == 0, "processes are left"


def in_sequence_client(url: str, pid: str) -> None:
    """The part of `in_sequence` that uses the SDK: one sequence."""
    token = (os.environ["MODAL_TOKEN_ID"], os.environ["MODAL_TOKEN_SECRET"])
    with connected(url, token, int(pid)) as found:
        seconds = [one_after_another(found, gpu) for gpu in ({"gpu": "T4"}, {}) * (IN_SEQUENCE // 2)]
        median = statistics.median(seconds)
        print(f"with the SDK:    {footprint(found.process)}; median {median * 1e3:.0f} ms", flush=True)


def one_after_another(found: Local, gpu: dict[str, str]) -> float:
    begin = time.perf_counter()
    sandbox = modal.Sandbox.create("echo", "up", **found.options(), **gpu)
    assert sandbox.stdout.read() == "up\n"
    sandbox.wait()
    return time.perf_counter() - begin


def images() -> None:
    """Images that are really built: a layer, a layer more, and sandboxes of both kinds that run in the last."""
    print("── images in venv mode (packages are in uv's cache after the first time)")
    with local(images="venv") as found:

        def built(image: modal.Image) -> float:
            begin = time.perf_counter()
            image.build(found.app)
            return time.perf_counter() - begin

        one = modal.Image.debian_slim().pip_install("six")
        more = one.pip_install("idna")
        print(f"first layer {built(one):5.2f} s  a layer more {built(more):5.2f} s", flush=True)
        for name, gpu in (("V1", {"gpu": "T4"}), ("V2", {})):
            options = {**found.options(), "image": more, **gpu}
            seconds = []
            for _ in range(10):
                begin = time.perf_counter()
                sandbox = modal.Sandbox.create("python", "-c", "import six, idna; print('up')", **options)
                assert sandbox.stdout.read() == "up\n"
                sandbox.wait()
                seconds.append(time.perf_counter() - begin)
            print(f"{name}: a sandbox takes {statistics.median(seconds) * 1e3:4.0f} ms (median of 10)")


def log() -> None:
    """A large log of one sandbox, read to its end by two readers at the same time."""
    print(f"── a log of {LOG_BYTES // MEGABYTE} MB read by two readers")
    line = "x" * 99
    program = (
        f"import sys\nfor _ in range({LOG_BYTES // 100_000}): sys.stdout.write({line + chr(10)!r} * 1000)"
    )
    for name, gpu in (("V1", {"gpu": "T4"}), ("V2", {})):
        with local(log_retention=2 * LOG_BYTES) as found:
            before = footprint(found.process)
            cpu = sum(found.process.cpu_times()[:2])
            begin = time.perf_counter()
            sandbox = modal.Sandbox.create("python", "-c", program, **found.options(), **gpu)
            other = modal.Sandbox.from_id(sandbox.object_id, client=found.client)
            with ThreadPoolExecutor(2) as pool:
                sizes = list(pool.map(lambda reader: len(reader.stdout.read()), (sandbox, other)))
            seconds = time.perf_counter() - begin
            assert sizes == [LOG_BYTES, LOG_BYTES], sizes
            cpu = sum(found.process.cpu_times()[:2]) - cpu
            print(
                f"{name}: {seconds:5.1f} s, {2 * LOG_BYTES / MEGABYTE / seconds:.0f} MB/s to both together; "
                f"server's CPU {cpu:.1f} s, the rest is the SDK's and the sandbox's"
            )
            print(f"    before: {before}\n    after:  {footprint(found.process)}")


def volume() -> None:
    """A large file into a volume and out of it, as a share of plain HTTP and of a file copy."""
    print(f"── {FILE_BYTES // MEGABYTE} MB into and out of a volume")
    with tempfile.TemporaryDirectory() as scratch, local() as found:
        source, back = Path(scratch, "source"), Path(scratch, "back")
        with source.open("wb") as file:
            for _ in range(FILE_BYTES // MEGABYTE):
                file.write(os.urandom(MEGABYTE))  # random: equal blocks would travel once
        copied = rate(lambda: shutil.copyfile(source, back))
        print(f"file copy:     {copied:6.0f} MB/s")
        with plain_http(Path(scratch)) as url:
            put = rate(lambda: put_plainly(source, f"{url}/uploaded"))
            got = rate(lambda: get_plainly(f"{url}/source", back))
        print(f"plain HTTP:    in {put:6.0f} MB/s   out {got:6.0f} MB/s")
        Path(scratch, "uploaded").unlink()
        held = modal.Volume.from_name(
            "bench", create_if_missing=True, client=found.client, environment_name="local", version=2
        )

        def upload() -> None:
            with held.batch_upload() as batch:
                batch.put_file(source, "/file")

        def download() -> None:
            with back.open("wb") as file:
                held.read_file_into_fileobj("/file", file)

        before = footprint(found.process)
        into = rate(upload)
        out = rate(download)
        assert filecmp.cmp(source, back, shallow=False)
        print(f"volume (v2):   in {into:6.0f} MB/s   out {out:6.0f} MB/s")
        print(f"share of HTTP: in {into / put:6.0%}        out {out / got:6.0%}")
        print(f"share of copy: in {into / copied:6.0%}        out {out / copied:6.0%}")
        for name, mount in (("writable", held), ("read-only", held.with_mount_options(read_only=True))):
            seconds = [mounted(found, mount) for _ in range(2)]
            print(f"mounted {name}: a sandbox takes {seconds[0]:.2f} s, the next {seconds[1]:.2f} s")
        print(f"    before: {before}\n    after:  {footprint(found.process)}")


def mounted(found: Local, mount: modal.Volume) -> float:
    """Seconds for a sandbox that does nothing but have the volume."""
    begin = time.perf_counter()
    modal.Sandbox.create("test", "-s", "/data/file", volumes={"/data": mount}, **found.options()).wait()
    return time.perf_counter() - begin


def rate(work: Callable[[], object]) -> float:
    """Megabytes per second of work that moves the file."""
    begin = time.perf_counter()
    work()
    return FILE_BYTES / MEGABYTE / (time.perf_counter() - begin)


class _Plain(http.server.SimpleHTTPRequestHandler):
    def do_PUT(self) -> None:
        with Path(self.directory, Path(self.path).name).open("wb") as file:
            left = int(self.headers["Content-Length"])
            while left:
                data = self.rfile.read(min(left, MEGABYTE))
                file.write(data)
                left -= len(data)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Say nothing: this is a measurement."""


@contextmanager
def plain_http(directory: Path) -> Iterator[str]:
    def handler(*arguments: object) -> _Plain:
        return _Plain(*arguments, directory=str(directory))

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def put_plainly(source: Path, url: str) -> None:
    with source.open("rb") as file:
        size = {"Content-Length": str(source.stat().st_size)}
        urllib.request.urlopen(urllib.request.Request(url, file, size, method="PUT")).close()


def get_plainly(url: str, target: Path) -> None:
    with urllib.request.urlopen(url) as answer, target.open("wb") as file:
        shutil.copyfileobj(answer, file, MEGABYTE)


BENCHMARKS = {"at-once": at_once, "in-sequence": in_sequence, "images": images, "log": log, "volume": volume}


def main(names: list[str]) -> None:
    load = os.getloadavg()[0]
    print(
        f"{os.cpu_count()} CPUs, load {load:.1f} before; a load near the number of CPUs makes figures worse"
    )
    for name in names or BENCHMARKS:
        BENCHMARKS[name]()


if __name__ == "__main__":
    if sys.argv[1:2] == [CLIENT]:
        in_sequence_client(*sys.argv[2:])
    else:
        main(sys.argv[1:])
