"""Runs the real bootstrap in a process of its own, over plain pipes, and reads it as a follower would."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from zenml_modal_nb.packaging.archive import runner_archive
from zenml_modal_nb.packaging.payload import pack
from zenml_modal_nb.packaging.returned import restore
from zenml_modal_nb.runner import digests, frames, pickling
from zenml_modal_nb.runner.bootstrap import BOOTSTRAP

NONCE = "0123456789abcdef"
CELL = "<cell 1>"
ZIP = runner_archive()


class Text:
    """A stream as a user would see it: open lines grow by pieces and are replaced by progress."""

    def __init__(self):
        self._pieces = []
        self.states = []  # every progress state

    @property
    def shown(self):
        return "".join(self._pieces)

    def add(self, text):
        self._pieces.append(text)

    def rewrite(self, state):
        shown = self.shown
        self._pieces = [shown[: shown.rfind("\n") + 1]]
        self.states.append(state)


class Reading:
    """Reads one stream's raw bytes to its end, checking every frame's sequence number and offset."""

    def __init__(self, file, changed, seen=lambda frame: None):
        self._raw = bytearray()
        self.frames = []
        self.text = Text()
        self._seen = seen
        self._changed = changed
        self.problems = []
        self._thread = threading.Thread(target=self._read, args=(file,))
        self._thread.start()

    @property
    def raw(self):
        return bytes(self._raw)

    def _read(self, file):
        raw = []
        at = 0
        for line in file:
            frame = self._take(line, at)
            raw.append(line)
            at += len(line)
            if frame is not None:
                self._raw += b"".join(raw)
                raw.clear()
                self._seen(frame)
            with self._changed:
                self._changed.notify_all()
        self._raw += b"".join(raw)

    def _take(self, line, at):
        frame = frames.decode(line, NONCE)
        if frame is None:
            if len(line) > frames.TEXT_LIMIT + 1:
                self.problems.append(f"a plain line of {len(line)} bytes")
            self.text.add(line.decode())
            return None
        if frame.at != at or frame.sequence != len(self.frames):
            self.problems.append(f"{frame} at {at}, number {len(self.frames)}")
        self.frames.append(frame)
        if frame.kind == "partial":
            self.text.add(frame.fields["text"])
        elif frame.kind == "progress":
            self.text.rewrite(frame.fields["text"])
        return frame

    def finish(self):
        self._thread.join()
        assert self.problems == []

    def kinds(self):
        return [
            frame.kind
            for frame in self.frames
            if frame.kind not in ("mark", "partial", "progress", "gpu", "resources")
        ]

    def first(self, kind):
        return next(frame for frame in self.frames if frame.kind == kind)


class Sandboxed:
    """A run of one cell; use as a context manager, `finish` acknowledges and waits."""

    def __init__(
        self,
        source,
        *,
        values=None,
        namespace=None,
        outputs=(),
        grace=600,
        environment=None,
        isolated=True,
        state=None,
        **run,
    ):
        self.namespace = {"__name__": "__main__"} if namespace is None else namespace
        packed = pack(values or {}, self.namespace, (), state)
        self.known = packed.known
        self.parts = {"runner.zip": runner_archive(), "payload.zmnb": bytes(packed.values)}
        self.run = {
            "source": source,
            "filename": CELL,
            "step": "step",
            "outputs": list(outputs),
            "grace": grace,
            **run,
        }
        self._home = tempfile.TemporaryDirectory()
        self.directory = None
        self.file = None  # the result's, once the run is finished
        self._hello = threading.Event()
        self.complete = threading.Event()
        self.changed = threading.Condition()
        self.work = Path(self._home.name, "work")
        self.work.mkdir()
        environment = {"PATH": os.environ["PATH"], "TMPDIR": self._home.name, **(environment or {})}
        # Isolated: neither this environment's packages nor the working directory can be imported.
        command = [sys.executable, *(["-I", "-S"] if isolated else []), "-u", "-c", BOOTSTRAP, NONCE]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=self.work,
            bufsize=-1,
        )
        self.stdout = Reading(self.process.stdout, self.changed, self._saw)
        self.stderr = Reading(self.process.stderr, self.changed)

    def _saw(self, frame):
        if frame.kind == "hello":
            self.directory = Path(frame.fields["directory"])
            self._hello.set()
        if frame.kind in ("result", "abandoned"):
            self.complete.set()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self._home.cleanup()
        for reading in (self.stdout, self.stderr):
            reading._thread.join()
        self.process.stdout.close()
        self.process.stderr.close()

    def input(self, *more):
        """The bytes of the standard input; `more` are a further part's entry in the header and its bytes."""
        parts = [
            {"name": name, "sha256": hashlib.sha256(data).hexdigest(), "segments": [{"size": len(data)}]}
            for name, data in self.parts.items()
        ] + list(more[:1])
        header = json.dumps({"version": 1, "parts": parts, "run": self.run}).encode()
        return len(header).to_bytes(8, "big") + header + b"".join([*self.parts.values(), *more[1:]])

    def hello(self):
        assert self._hello.wait(10)

    def send(self):
        self.hello()
        self.process.stdin.write(self.input())
        self.process.stdin.flush()
        return self

    def wait(self):
        assert self.complete.wait(30), self.stderr.raw.decode(errors="replace")
        return self

    def expect(self, condition):
        """Wait until what has been read satisfies the condition."""
        with self.changed:
            assert self.changed.wait_for(condition, 10)

    def acknowledge(self):
        (self.directory / "ack").touch()
        code = self.process.wait(10)
        self.stdout.finish()
        self.stderr.finish()
        return code

    def finish(self):
        """Send the input, wait for the result, check the log copies, acknowledge; returns self."""
        self.send().wait()
        if "file" in self.result:
            self.file = (self.directory / self.result["file"]).read_bytes()
        assert self.acknowledge() == 0
        self.check_logs()
        return self

    def check_logs(self):
        for name, reading in (("stdout", self.stdout), ("stderr", self.stderr)):
            paths = sorted((self.directory / "log").glob(f"{name}.*"))
            assert all(path.stat().st_size == 2**20 for path in paths[:-1])
            copy = b"".join(path.read_bytes() for path in paths)
            assert copy == reading.raw[reading.first("begin").at :]

    @property
    def result(self):
        return self.stdout.first("result").fields

    @property
    def error(self):
        return self.stdout.first("error").fields

    def exception(self):
        """The pickled exception, restored into this process as the notebook does."""
        return pickling.load(base64.b64decode(self.error["pickled"]), self.namespace)

    def values(self):
        """What was bound and the last value, restored into this process as the notebook does."""
        returned = self.returned()
        assert returned.lost == self.result["lost"]
        return {"values": returned.named} | ({} if returned.last is None else {"last": returned.last})

    def returned(self):
        """All that came back, restored into this process as the notebook does."""
        fields = self.result
        if "inline" in fields:
            data = base64.b64decode(fields["inline"])
        else:
            data = self.file or (self.directory / fields["file"]).read_bytes()
            assert (len(data), digests.of_content([data])) == (fields["size"], fields["sha256"])
        return restore(data, self.namespace, self.known)


def ran(source, **options):
    """Run a cell to its acknowledged end; its directory is gone, its frames are there."""
    with Sandboxed(source, **options) as sandboxed:
        return sandboxed.finish()
