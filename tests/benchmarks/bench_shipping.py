"""How fast a large array gets to a sandbox and back; prints figures, asserts nothing.

In one run, on one local Modal API: a plain copy of a file, the raw SDK's own put and get of a volume, the raw SDK doing
what a cell does (put, and a sandbox that loads the array from the volume; a sandbox that saves it there, and get), a
cell's way in and out, the same array a second time, and ipyparallel's push and pull. Of sandboxes and cells it is the
time with the array less that without. No block is there before. Give the array's size in MB, 1000 by default, and the
repetitions, 3 by default.

Beside the seconds on the clock stand those of processors, of this process, the server and its sandboxes: on a machine
that does other things as well they say more.

A virtual machine may have handed its free memory back to its host, and a page costs it many times as much then as
one that it still has. So before anything is timed, as much memory is touched as it can want.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent / "wire"))

import modal
import numpy as np
import psutil
from followed import Followed, Modal, strict_modal

TINY = np.arange(8.0)
PAGE = 4096  # bytes


class Seconds(NamedTuple):
    """What something takes: on the clock, and of all processors together."""

    clock: float
    processors: float

    def less(self, *others: Seconds) -> Seconds:
        """What remains without others."""
        return Seconds(*(own - sum(rest) for own, *rest in zip(self, *others, strict=True)))


def timed(act: Callable[[], object], memory: int) -> Seconds:
    """Seconds that it takes; those of a process count when its parent has waited for it.

    `memory` is what it may want, in bytes.
    """
    os.sync()  # what was written before is not on its account
    np.zeros(min(memory, psutil.virtual_memory().available // 2), np.uint8)[::PAGE] = 1
    used, began = used_by_all(), time.perf_counter()
    act()
    return Seconds(time.perf_counter() - began, used_by_all() - used)


def used_by_all() -> float:
    """Seconds of processors that this process and those below it have used."""
    here = psutil.Process()
    return sum(sum(each.cpu_times()[:4]) for each in (here, *here.children(recursive=True)))


def cell(place: Modal, source: str, value: Any, outputs: tuple[str, ...] = ()) -> Callable[[], None]:
    """A cell from its packaging to its verified and restored result."""

    def act() -> None:
        run: Followed = place.follow(
            source, values={"x": value}, outputs=outputs, large_results=True, cpu=2.0
        )
        run.begin().values()
        assert run.gone()

    return act


class Raw:
    """The raw SDK and one array in a file; its way into the file, or out of it, does not count."""

    def __init__(self, place: Modal, directory: Path) -> None:
        self._place = place
        self._volume = self._new_volume()
        self._directory = directory
        self._path = directory / "array.npy"

    def hold(self, array: Any) -> None:
        """Have another array in the file."""
        np.save(self._path, array)

    def copy(self) -> None:
        """Copy the file."""
        shutil.copyfile(self._path, self._directory / "copy")

    def put(self) -> None:
        """Put it into the volume."""
        with self._volume.batch_upload() as batch:
            batch.put_file(self._path, "/array.npy")

    def get(self) -> None:
        """Get it from the volume."""
        with (self._directory / "back.npy").open("wb") as file:
            for chunk in self._volume.read_file("/array.npy"):
                file.write(chunk)

    def load(self) -> None:
        """Put it into a volume, and load it in a sandbox."""
        self._volume = self._new_volume()
        self.put()
        self._sandbox("np.load('/data/array.npy')", self._volume.with_mount_options(read_only=True))

    def save(self, make: str) -> None:
        """Make the array in a sandbox that saves it in a volume, and get it."""
        self._volume = self._new_volume()
        self._sandbox(f"np.save('/data/array.npy', {make})", self._volume)
        self.get()

    def nothing(self) -> None:
        """Run a sandbox that does nothing with the volume."""
        self._sandbox("pass", self._new_volume())

    def _new_volume(self) -> modal.Volume:
        return modal.Volume.from_name(
            f"raw-{os.urandom(4).hex()}",
            create_if_missing=True,
            version=2,
            environment_name="local",
            client=self._place.client,
        )

    def _sandbox(self, source: str, volume: Any) -> None:
        sandbox = modal.Sandbox.create(
            "python",
            "-c",
            f"import numpy as np\n{source}",
            app=self._place.app,
            image=self._place.image,
            client=self._place.client,
            volumes={"/data": volume},
            cpu=2.0,
        )
        sandbox.wait()
        if sandbox.returncode != 0:
            raise SystemExit(sandbox.stderr.read())


def ipyparallel(array: Any, repetitions: int, memory: int) -> tuple[list[Seconds], list[Seconds]]:
    """Push and pull of an engine on this machine."""
    import ipyparallel

    with ipyparallel.Cluster(n=1, log_level=40) as clients:
        engine = clients[0]
        engine.push({"warm": TINY}, block=True)
        pushes = [timed(lambda: engine.push({"x": array}, block=True), memory) for _ in range(repetitions)]
        pulls = [timed(lambda: engine.pull("x", block=True), memory) for _ in range(repetitions)]
    return pushes, pulls


def main() -> None:
    """Measure and print."""
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    repetitions = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    gigabytes = megabytes / 1000
    # Bytes: the array here and there, on the local Modal API's disk and in its mounts.
    memory = 6_000_000 * megabytes

    def numbers(seed: int) -> Any:
        return np.random.default_rng(seed).random(megabytes * 125_000)

    def made_by(seed: int) -> str:
        return f"np.random.default_rng({seed}).random({megabytes * 125_000})"

    found: dict[str, list[Seconds]] = {}

    def note(name: str, seconds: Seconds) -> None:
        found.setdefault(name, []).append(seconds)

    with (
        tempfile.TemporaryDirectory(prefix="bench-") as made,
        strict_modal(log_retention=1 << 20, read_delay=0.0, read_size=1 << 20) as place,
    ):
        cell(place, "pass", TINY)()
        for number in range(repetitions):
            seeds = iter(range(5 * number, 5 * number + 5))
            raw = Raw(place, Path(made))
            raw.hold(numbers(next(seeds)))
            note("plain copy of a file", timed(raw.copy, memory))
            note("raw SDK, volume put", timed(raw.put, memory))
            note("raw SDK, volume get", timed(raw.get, memory))
            nothing = timed(raw.nothing, memory)
            raw.hold(numbers(next(seeds)))
            note("raw SDK, array in", timed(raw.load, memory).less(nothing))
            making = timed(lambda: numbers(0), memory)
            save = partial(raw.save, made_by(next(seeds)))
            note("raw SDK, array out", timed(save, memory).less(nothing, making))
            alone = timed(cell(place, "pass", TINY), memory)
            note("a cell without it", alone)
            array = numbers(next(seeds))
            note("a cell, array in", timed(cell(place, "pass", array), memory).less(alone))
            note("a cell, the same array again", timed(cell(place, "pass", array), memory).less(alone))
            back = cell(place, f"import numpy as np\ny = {made_by(next(seeds))}", TINY, ("y",))
            note("a cell, array out", timed(back, memory).less(alone, making))
        found["ipyparallel, push"], found["ipyparallel, pull"] = ipyparallel(array, repetitions, memory)

    print(f"{megabytes} MB, medians of {repetitions}")
    medians = {
        name: Seconds(*(statistics.median(each) for each in zip(*seconds, strict=True)))
        for name, seconds in found.items()
    }
    for name, (clock, processors) in medians.items():
        rate = "" if name == "a cell without it" else f"{gigabytes / clock:6.2f} GB/s"
        print(f"  {name:<30} {clock:7.3f} s {processors:7.2f} s of processors {rate}")
    for way, other in (("in", "volume put"), ("in", "array in"), ("out", "volume get"), ("out", "array out")):
        theirs, ours = medians[f"raw SDK, {other}"], medians[f"a cell, array {way}"]
        shares = f"{theirs.clock / ours.clock:5.2f}, of processors {theirs.processors / ours.processors:5.2f}"
        print(f"  {way}, as a share of the raw SDK's {other + ':':<11} {shares}")


if __name__ == "__main__":
    main()
