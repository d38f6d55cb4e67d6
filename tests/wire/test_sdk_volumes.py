"""Volumes through the real SDK: named and ephemeral, in and out, and mounted in sandboxes."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import io
import json
import os
import socket
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import modal
import modal.exception
import pytest
from local_api import TOKEN, Local, StartLocal

from zenml_modal_nb.emulator import faults
from zenml_modal_nb.emulator.faults import FaultControl
from zenml_modal_nb.emulator.mount_paths import VARIABLE
from zenml_modal_nb.emulator.places import HOME
from zenml_modal_nb.emulator.state.addresses import Address
from zenml_modal_nb.emulator.state.blocks import BLOCK_SIZE

numbers = count()


def named(local: Local, name: str = "", **options: Any) -> modal.Volume:
    options.setdefault("version", 2)
    return modal.Volume.from_name(
        name or f"volume-{next(numbers)}",
        create_if_missing=True,
        client=local.client,
        environment_name="local",
        **options,
    )


def put(volume: modal.Volume, files: dict[str, bytes], force: bool = False) -> None:
    with volume.batch_upload(force=force) as batch:
        for path, content in files.items():
            batch.put_file(io.BytesIO(content), path)


def read(volume: modal.Volume, path: str) -> bytes:
    return b"".join(volume.read_file(path))


@pytest.fixture(params=[1, 2])
def volume(request: pytest.FixtureRequest, local: Local) -> modal.Volume:
    """An empty volume of each version."""
    return named(local, version=request.param)


def test_what_is_put_is_listed_read_and_removed(volume: modal.Volume) -> None:
    files = {"/a.txt": b"first", "/sub/b.bin": bytes(range(256)) * 1000, "/sub/deep/empty": b""}
    put(volume, files)
    assert [read(volume, path) for path in files] == list(files.values())
    listed = {entry.path: (entry.type.name, entry.size) for entry in volume.iterdir("/")}
    assert listed == {
        "a.txt": ("FILE", 5),
        "sub": ("DIRECTORY", 0),
        "sub/b.bin": ("FILE", 256_000),
        "sub/deep": ("DIRECTORY", 0),
        "sub/deep/empty": ("FILE", 0),
    }
    assert [entry.path for entry in volume.listdir("sub")] == ["sub/b.bin", "sub/deep"]
    assert [entry.path for entry in volume.listdir("/a.txt")] == ["a.txt"]
    volume.remove_file("sub/b.bin")
    with pytest.raises(FileNotFoundError):
        read(volume, "sub/b.bin")
    with pytest.raises(FileNotFoundError):
        volume.remove_file("absent")
    with pytest.raises(modal.exception.InvalidError, match="recursive"):
        volume.remove_file("sub")
    volume.remove_file("sub", recursive=True)
    assert [entry.path for entry in volume.listdir("/", recursive=True)] == ["a.txt"]
    with pytest.raises(modal.exception.NotFoundError):
        volume.listdir("sub")


def test_a_directory_is_put_whole(volume: modal.Volume, tmp_path: Path) -> None:
    (tmp_path / "in" / "deeper").mkdir(parents=True)
    for name in ("one", "deeper/two"):
        (tmp_path / "in" / name).write_text(name)
    with volume.batch_upload() as batch:
        batch.put_directory(tmp_path / "in", "/there")
    assert read(volume, "there/deeper/two") == b"deeper/two"


def test_a_file_is_overwritten_only_by_force(volume: modal.Volume) -> None:
    put(volume, {"/f": b"old"})
    with pytest.raises((FileExistsError, modal.exception.AlreadyExistsError)):
        put(volume, {"/f": b"new"})
    put(volume, {"/f": b"new"}, force=True)
    assert read(volume, "f") == b"new"
    put(volume, {"/d/f": b"x"})
    with pytest.raises(modal.exception.InvalidError, match="directory"):
        put(volume, {"/d": b"x"}, force=True)


def test_large_files_keep_every_byte_zeros_too(volume: modal.Volume, tmp_path: Path) -> None:
    content = os.urandom(BLOCK_SIZE + 100) + bytes(BLOCK_SIZE) + b"tail" + bytes(1000)
    put(volume, {"/large": content})
    assert read(volume, "large") == content
    with (tmp_path / "out").open("wb") as file:
        assert volume.read_file_into_fileobj("large", file) == len(content)
    assert (tmp_path / "out").read_bytes() == content


def test_a_block_is_sent_and_stored_once(local: Local) -> None:
    volume, other = named(local), named(local)
    block, second = (
        os.urandom(BLOCK_SIZE - 1) + b"." for _ in range(2)
    )  # zeros at its end would not be sent
    control = FaultControl(local.server.url, *TOKEN)
    # Counts the contents that arrive, and delays nothing.
    counter = control.add(faults.Latency(milliseconds=0, call="TransferPut"))

    def stored() -> int:
        return sum(path.stat().st_size for path in (local.state_dir / "blocks").glob("*/*"))

    def sent() -> int:
        return next(item.happened for item in control.list() if item.id == counter)

    before = stored()
    put(volume, {"/once": block, "/twice": block + block})
    assert sent() == 1
    put(other, {"/again": block, "/more": block + second})
    assert sent() == 2
    put(other, {"/again": block + second}, force=True)
    assert sent() == 2
    control.clear(counter)
    assert stored() - before == 2 * BLOCK_SIZE
    volume.remove_file("once")
    volume.remove_file("twice")
    assert read(other, "again") == block + second


def test_files_are_copied_as_cp_does(volume: modal.Volume) -> None:
    put(volume, {"/d/one": b"1", "/two": b"2"})
    volume.copy_files(["two"], "three")
    volume.copy_files(["two", "three"], "d")
    assert read(volume, "three") == read(volume, "d/two") == read(volume, "d/three") == b"2"
    with pytest.raises(modal.exception.NotFoundError):
        volume.copy_files(["absent"], "x")


def test_directories_are_copied_recursively(local: Local) -> None:
    volume = named(local)
    put(volume, {"/d/deep/one": b"1"})
    with pytest.raises(modal.exception.InvalidError, match="recursive"):
        volume.copy_files(["d"], "copy")
    volume.copy_files(["d"], "copy", recursive=True)
    assert read(volume, "copy/deep/one") == b"1"


def test_volumes_are_found_listed_renamed_and_deleted(local: Local) -> None:
    options = {"client": local.client, "environment_name": "local"}
    with pytest.raises(modal.exception.NotFoundError, match="'absent'"):
        modal.Volume.from_name("absent", **options).hydrate()
    modal.Volume.objects.create("kept", version=2, **options)
    with pytest.raises(modal.exception.AlreadyExistsError):
        modal.Volume.objects.create("kept", version=2, **options)
    with pytest.raises(modal.exception.InvalidError, match="version"):
        named(local, "kept", version=1).hydrate()
    volume = modal.Volume.from_name("kept", **options).hydrate()
    assert volume.info().name == "kept"
    assert modal.Volume.from_id(volume.object_id, client=local.client).info().name == "kept"
    assert "kept" in [found.name for found in modal.Volume.objects.list(**options)]
    modal.Volume.rename("kept", "renamed", **options)
    assert modal.Volume.from_name("renamed", **options).hydrate().object_id == volume.object_id
    modal.Volume.objects.delete("renamed", **options)
    with pytest.raises(modal.exception.NotFoundError):
        volume.listdir("/")


def test_an_ephemeral_volume_has_no_name(local: Local) -> None:
    with modal.Volume.ephemeral(client=local.client, environment_name="local") as volume:
        put(volume, {"/f": b"x"})
        assert read(volume, "f") == b"x"
        listed = modal.Volume.objects.list(client=local.client, environment_name="local")
        assert volume.object_id not in [found.object_id for found in listed]


def test_volumes_survive_a_restart(start_local: StartLocal) -> None:
    first = start_local()
    volume = named(first, "lasting")
    put(volume, {"/f": b"content", "/d/empty": b""})
    unfinished = first.state_dir / "blocks" / "ab" / ("ab" * 32)
    unfinished.parent.mkdir(exist_ok=True)
    unfinished.write_bytes(b"an upload that was never completed")
    first.close()
    second = start_local(state_dir=first.state_dir)
    again = modal.Volume.from_name("lasting", client=second.client, environment_name="local")
    assert again.hydrate().object_id == volume.object_id
    assert read(again, "f") == b"content"
    assert not unfinished.exists()


def test_a_sandbox_sees_a_volume_and_what_it_writes_is_committed_at_its_end(
    local: Local, volume: modal.Volume, backend: dict[str, str]
) -> None:
    put(volume, {"/in/x.txt": b"from outside"})
    program = "print(open('/data/in/x.txt').read()); open('/data/out.txt', 'w').write('from inside')"
    sandbox = local.create("python", "-c", program, volumes={"/data": volume}, **backend)
    assert sandbox.stdout.read() == "from outside\n", sandbox.stderr.read()
    sandbox.wait()
    assert read(volume, "out.txt") == b"from inside"
    assert read(volume, "in/x.txt") == b"from outside"


def test_mount_paths_are_led_to_the_volume_in_commands_variables_and_the_filesystem_api(
    local: Local, volume: modal.Volume
) -> None:
    put(volume, {"/x.txt": b"inside"})
    sandbox = local.create(
        "sh", "-c", "cat /data/x.txt; cat $WHERE/x.txt; ls -d /database 2>&1 | grep -c database; sleep 60",
        volumes={"/data": volume}, env={"WHERE": "/data"},
    )  # fmt: skip
    lines = iter(sandbox.stdout)
    assert next(lines) == "insideinside1\n"
    assert sandbox.exec("cat", "/data/x.txt").stdout.read() == "inside"
    assert sandbox.exec("cat", "x.txt", workdir="/data").stdout.read() == "inside"
    files = sandbox.filesystem
    assert files.read_text("/data/x.txt") == "inside"
    files.write_text("through the API", "/data/sub/y.txt")
    assert [(entry.name, entry.path) for entry in files.list_files("/data")] == [
        ("sub", "/data/sub"),
        ("x.txt", "/data/x.txt"),
    ]
    assert files.stat("/data/x.txt").path == "/data/x.txt"
    sandbox.terminate(wait=True)
    assert read(volume, "sub/y.txt") == b"through the API"
    assert not Path("/data").exists()


def test_a_mount_below_the_home_is_where_a_program_expects_it(local: Local, volume: modal.Volume) -> None:
    put(volume, {"/x.txt": b"inside"})
    sandbox = local.create("cat", "data/x.txt", volumes={str(HOME / "data"): volume})
    assert sandbox.stdout.read() == "inside"


def test_a_mount_shows_committed_snapshots_only(local: Local, volume: modal.Volume) -> None:
    put(volume, {"/shared": b"old", "/gone": b"x"})
    sandbox = local.create("sleep", "60", volumes={"/data": volume})
    other = local.create("sleep", "60", volumes={"/data": volume})
    put(volume, {"/shared": b"new", "/d/more": b"more"}, force=True)
    volume.remove_file("gone")
    assert sandbox.exec("cat", "/data/shared").stdout.read() == "old"
    sandbox.reload_volumes()
    assert (
        sandbox.exec("sh", "-c", "cat /data/shared /data/d/more; ls /data").stdout.read()
        == "newmored\nshared\n"
    )
    # What one sandbox writes is seen by another after a commit and a reload, and not before.
    assert sandbox.exec("sh", "-c", "echo written > /data/shared").wait() == 0
    other.reload_volumes()
    assert other.exec("cat", "/data/shared").stdout.read() == "new"
    assert sandbox.exec("sync", "/data").wait() == 0
    other.reload_volumes()
    assert other.exec("cat", "/data/shared").stdout.read() == "written\n"
    assert read(volume, "shared") == b"written\n"


def test_a_reload_fails_while_a_file_is_open(local: Local, volume: modal.Volume) -> None:
    put(volume, {"/f": b"x"})
    program = "file = open('/data/f'); print('open'); input(); file.close(); print('closed'); input()"
    sandbox = local.create("python", "-u", "-c", program, volumes={"/data": volume})
    lines = iter(sandbox.stdout)
    assert next(lines) == "open\n"
    with pytest.raises(modal.exception.ConflictError, match=r"open files.*: path f is open in python"):
        sandbox.reload_volumes()
    sandbox.stdin.write("\n")
    sandbox.stdin.drain()
    assert next(lines) == "closed\n"
    sandbox.reload_volumes()
    mapped = sandbox.exec(
        "python", "-u", "-c",
        "import mmap; file = open('/data/f', 'r+b'); m = mmap.mmap(file.fileno(), 0); file.close(); print(1); input()",
    )  # fmt: skip
    assert next(iter(mapped.stdout)).startswith("1")
    with pytest.raises(modal.exception.ConflictError, match="open files"):
        sandbox.reload_volumes()


def test_the_last_to_commit_wins_file_by_file(local: Local, volume: modal.Volume) -> None:
    put(volume, {"/same": b"0", "/first": b"0", "/second": b"0"})
    first = local.create("sleep", "60", volumes={"/data": volume})
    second = local.create("sleep", "60", volumes={"/data": volume})
    first.exec("sh", "-c", "echo 1 > /data/same; echo 1 > /data/first; mkdir /data/made").wait()
    second.exec("sh", "-c", "echo 2 > /data/same; rm /data/second").wait()
    first.exec("sync", "/data").wait()
    second.exec("sync", "/data").wait()
    assert read(volume, "same") == b"2\n"
    assert read(volume, "first") == b"1\n"
    assert sorted(entry.path for entry in volume.listdir("/")) == ["first", "made", "same"]


def test_a_read_only_mount_changes_nothing(local: Local, volume: modal.Volume) -> None:
    put(volume, {"/f": b"x"})
    sandbox = local.create("sh", "-c", "cp /data/f /data/g", volumes={"/data": volume.read_only()})
    sandbox.wait()
    assert [entry.path for entry in volume.listdir("/")] == ["f"]


def test_a_part_of_a_volume_can_be_mounted(local: Local) -> None:
    volume = named(local)
    put(volume, {"/models/a/w": b"weights", "/other": b"x"})
    part = volume.with_mount_options(sub_path="/models/a")
    sandbox = local.create("sh", "-c", "ls /data; echo more > /data/new", volumes={"/data": part})
    assert sandbox.stdout.read() == "w\n"
    sandbox.wait()
    assert sorted(e.path for e in volume.listdir("/models/a")) == ["models/a/new", "models/a/w"]


def test_commit_from_outside_a_sandbox_needs_one_that_mounts_the_volume(
    local: Local, volume: modal.Volume
) -> None:
    with pytest.raises(RuntimeError, match="No running sandbox"):
        volume.commit()
    sandbox = local.create("sleep", "60", volumes={"/data": volume})
    sandbox.exec("sh", "-c", "echo 1 > /data/f").wait()
    volume.commit()
    assert read(volume, "f") == b"1\n"
    put(volume, {"/f": b"2"}, force=True)
    volume.reload()
    assert sandbox.exec("cat", "/data/f").stdout.read() == "2"


def test_a_mount_that_cannot_be_is_refused(local: Local, volume: modal.Volume) -> None:
    for path in ("/", str(HOME), "/../etc"):
        with pytest.raises(modal.exception.InvalidError):
            local.create("true", volumes={path: volume})


def test_what_runs_is_told_where_its_mounts_are(local: Local, volume: modal.Volume) -> None:
    sandbox = local.create("sh", "-c", f"echo ${VARIABLE}", volumes={"/mnt/data": volume})
    ((path, directory),) = json.loads(sandbox.stdout.read()).items()
    assert path == "/mnt/data"
    assert directory.startswith(str(local.state_dir))


def test_large_local_files_reach_an_image(local: Local, tmp_path: Path) -> None:
    content = os.urandom(5 * 1024 * 1024)
    (tmp_path / "large").write_bytes(content)
    image = local.image.add_local_file(str(tmp_path / "large"), str(HOME / "large"))
    program = "import hashlib; print(hashlib.sha256(open('large', 'rb').read()).hexdigest())"
    sandbox = local.create("python", "-c", program, image=image)
    assert sandbox.stdout.read().strip() == hashlib.sha256(content).hexdigest(), sandbox.stderr.read()


def get(url: str, **headers: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_addresses_are_for_one_use_and_cannot_be_guessed(local: Local) -> None:
    volume = named(local)
    put(volume, {"/f": b"0123456789"})
    blocks = local.server._transfers.blocks
    (path,) = [p for p in (local.state_dir / "blocks").glob("*/*") if p.read_bytes() == b"0123456789"]
    addresses = local.server._transfers.addresses
    assert addresses is not None
    url = addresses.url(Address("GET", "block", path.name, 2, 6))
    assert get(url) == (200, b"234567")
    assert get(url, Range="bytes=1-3") == (206, b"345")
    assert get(url, Range="bytes=-2") == (206, b"67")
    assert get(url, Range="bytes=90-")[0] == 416
    assert get(addresses.url(Address("GET", "block", path.name, 0, 12, padded=True))) == (
        200,
        b"0123456789\0\0",
    )
    for wrong in (
        url.replace("length=6", "length=9"),
        url.replace("/block/", "/blob/"),
        url.replace(path.name, "../../server.json"),
        url[:-1],
        url.partition("?")[0],
    ):
        assert get(wrong)[0] == 403
    request = urllib.request.Request(url, data=b"x", method="PUT")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(request)
    lie = urllib.request.Request(addresses.url(Address("PUT", "block", "a" * 64)), data=b"x", method="PUT")
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(lie)
    assert not blocks.has("a" * 64)


@pytest.mark.parametrize(("length", "status"), [("9" * 5000, 413), (str(BLOCK_SIZE + 1), 413), ("-1", 411)])
def test_a_content_of_impossible_length_is_refused(
    local: Local, caplog: pytest.LogCaptureFixture, length: str, status: int
) -> None:
    addresses = local.server._transfers.addresses
    assert addresses is not None
    url = urlsplit(addresses.url(Address("PUT", "block", "a" * 64)))
    with closing(http.client.HTTPConnection(url.netloc, timeout=30)) as connection:
        connection.request("PUT", f"{url.path}?{url.query}", headers={"Content-Length": length})
        assert connection.getresponse().status == status
    assert "failed" not in caplog.text


def test_a_client_that_asks_first_is_told_once_to_go_on(local: Local) -> None:
    addresses = local.server._transfers.addresses
    assert addresses is not None
    digest = hashlib.sha256(b"content").hexdigest()
    for kind, length, told in (("block", 7, b"100 Continue"), ("block", BLOCK_SIZE + 1, b"413 ")):
        url = urlsplit(addresses.url(Address("PUT", kind, digest)))
        head = f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n"
        with socket.create_connection((url.hostname, url.port), 30) as connection:
            connection.sendall(f"{head}Expect: 100-continue\r\nConnection: close\r\n\r\n".encode())
            answer = connection.recv(65536)
            assert answer.startswith(b"HTTP/1.1 " + told)
            if length == 7:
                connection.sendall(b"content")
            while more := connection.recv(65536):
                answer += more
        assert answer.count(b"100 Continue") == (length == 7)
        assert answer.count(b"200 OK") == (length == 7)


def test_a_command_that_waits_for_a_commit_does_not_start_when_its_sandbox_has_ended(local: Local) -> None:
    sandbox = local.create("sleep", "60", volumes={"/data": named(local)})
    (mounted,) = local.server._sandboxes._sandboxes[sandbox.object_id].volumes
    commands = local.server._sandboxes.commands
    local.loop.run(mounted._turn.acquire())  # as while another commit takes long
    with ThreadPoolExecutor(1) as pool:
        syncing = pool.submit(sandbox.exec, "sync", "/data")
        while not commands._starting:
            assert not syncing.done()
        sandbox.terminate()
        local.loop.run(_let_go(mounted._turn))
        with pytest.raises(modal.exception.Error, match="already shut down"):
            syncing.result(30)
    sandbox.wait(raise_on_termination=False)
    assert not (local.state_dir / "sandboxes" / sandbox.object_id).exists()


async def _let_go(turn: asyncio.Lock) -> None:
    turn.release()


def test_many_writers_at_once_lose_nothing(local: Local) -> None:
    volume = named(local)
    volume.hydrate()

    def write(number: int) -> None:
        put(volume, {f"/{number}/{inner}": b"%d" % number for inner in range(10)})

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([e for e in volume.iterdir("/") if e.type.name == "FILE"]) == 80
