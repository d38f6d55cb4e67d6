"""How fast a large array gets to a sandbox and back; prints figures, asserts nothing.

In one run, on one local Modal API: a plain copy of a file, the raw SDK's own put and get of a volume, a cell's way in
and out (the time of a cell with the array less that of one without), the same array a second time, and ipyparallel's
push and pull. Give the array's size in MB, 1000 by default, and the repetitions, 3 by default.

Beside the seconds on the clock stand those of processors, of this process, the server and its sandboxes: on a machine
that does other things as well they say more.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent / "wire"))

import modal
import numpy as np
import psutil
from followed import Followed, Modal, strict_modal

TINY = np.arange(8.0)


class Seconds(NamedTuple):
    """What something takes: on the clock, and of all processors together."""

    clock: float
    processors: float

    def less(self, *others: Seconds) -> Seconds:
        """What remains without others."""
        return Seconds(*(own - sum(rest) for own, *rest in zip(self, *others, strict=True)))


def timed(act: Callable[[], object]) -> Seconds:
    """Seconds that it takes; those of a process count when its parent has waited for it."""
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


def raw(place: Modal, array: Any, directory: Path) -> tuple[Seconds, Seconds, Seconds]:
    """A file copied; put into a volume, and got from it, with the raw SDK. The saving of the array does not count."""
    volume = modal.Volume.from_name(
        f"raw-{os.urandom(4).hex()}",
        create_if_missing=True,
        version=2,
        environment_name="local",
        client=place.client,
    )
    path = directory / "array.npy"
    np.save(path, array)

    def put() -> None:
        with volume.batch_upload() as batch:
            batch.put_file(path, "/array.npy")

    def get() -> None:
        with (directory / "back.npy").open("wb") as file:
            for chunk in volume.read_file("/array.npy"):
                file.write(chunk)

    return timed(lambda: shutil.copyfile(path, directory / "copy")), timed(put), timed(get)


def ipyparallel(array: Any, repetitions: int) -> tuple[list[Seconds], list[Seconds]]:
    """Push and pull of an engine on this machine."""
    import ipyparallel

    with ipyparallel.Cluster(n=1, log_level=40) as clients:
        engine = clients[0]
        engine.push({"warm": TINY}, block=True)
        pushes = [timed(lambda: engine.push({"x": array}, block=True)) for _ in range(repetitions)]
        pulls = [timed(lambda: engine.pull("x", block=True)) for _ in range(repetitions)]
    return pushes, pulls


def main() -> None:
    """Measure and print."""
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    repetitions = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    gigabytes = megabytes / 1000
    found: dict[str, list[Seconds]] = {}

    def note(name: str, seconds: Seconds) -> None:
        found.setdefault(name, []).append(seconds)

    with (
        tempfile.TemporaryDirectory(prefix="bench-") as made,
        strict_modal(log_retention=1 << 20, read_delay=0.0, read_size=1 << 20) as place,
    ):
        cell(place, "pass", TINY)()
        for number in range(repetitions):
            array = np.random.default_rng(number).random(megabytes * 125_000)
            copy, put, get = raw(place, array, Path(made))
            note("plain copy of a file", copy)
            note("raw SDK, volume put", put)
            note("raw SDK, volume get", get)
            alone = timed(cell(place, "pass", TINY))
            note("a cell without it", alone)
            note("a cell, array in", timed(cell(place, "pass", array)).less(alone))
            note("a cell, the same array again", timed(cell(place, "pass", array)).less(alone))
            make = f"import numpy as np\ny = np.random.default_rng({number}).random({megabytes * 125_000})"
            making = timed(lambda: np.random.default_rng(number).random(megabytes * 125_000))  # noqa: B023
            note("a cell, array out", timed(cell(place, make, TINY, ("y",))).less(alone, making))
        found["ipyparallel, push"], found["ipyparallel, pull"] = ipyparallel(array, repetitions)

    print(f"{megabytes} MB, medians of {repetitions}")
    medians = {
        name: Seconds(*(statistics.median(each) for each in zip(*seconds, strict=True)))
        for name, seconds in found.items()
    }
    for name, (clock, processors) in medians.items():
        rate = "" if name == "a cell without it" else f"{gigabytes / clock:6.2f} GB/s"
        print(f"  {name:<30} {clock:7.3f} s {processors:7.2f} s of processors {rate}")
    for way, other in (("in", "put"), ("out", "get")):
        theirs, ours = medians[f"raw SDK, volume {other}"], medians[f"a cell, array {way}"]
        shares = f"{theirs.clock / ours.clock:5.2f}, of processors {theirs.processors / ours.processors:5.2f}"
        print(f"  {way}, as a share of the raw SDK's {other}: {shares}")


if __name__ == "__main__":
    main()
