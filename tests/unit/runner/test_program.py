"""The real bootstrap and program in a process that can import nothing of ours but what it is sent."""

import hashlib
import os
import random
import signal
import sys
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sandboxed import CELL, NONCE, Sandboxed, ran

from zenml_modal_nb.runner import cell, digests, frames
from zenml_modal_nb.runner.bootstrap import BOOTSTRAP


def test_the_first_line_is_hello_and_frames_come_in_order():
    run = ran("print('out'); import sys; print('err', file=sys.stderr)")
    assert run.stdout.raw.startswith(frames.PREFIX.encode())
    assert run.stdout.kinds() == ["hello", "begin", "result"]
    assert run.stderr.kinds() == ["begin", "end"]
    assert run.stdout.text.shown == "out\n"
    assert run.stderr.text.shown == "err\n"
    hello = run.stdout.first("hello").fields
    assert hello["python"] == ".".join(map(str, sys.version_info[:3]))
    assert hello["pid"] == run.process.pid
    assert run.result["stderr"] == len(run.stderr.raw)


def test_the_bootstrap_is_small():
    assert len(BOOTSTRAP) < 2500


def test_values_go_in_and_changed_values_come_back():
    run = ran("x += 1\ny = [x]", values={"x": 41}, outputs=["x", "y", "never"])
    assert run.result["names"] == ["x", "y"]
    assert (run.result["ok"], run.result["lost"], run.result["last"]) == (True, {}, False)
    assert run.values() == {"values": {"x": 42, "y": [42]}}


def test_the_input_may_arrive_in_any_pieces():
    with Sandboxed("y = len(x)", values={"x": "é" * 70_000}, outputs=["y"]) as run:
        run.hello()
        data, generator = run.input(), random.Random(1)
        while data:
            size = generator.choice([1, 2, 7, 4096, 65_537])
            os.write(run.process.stdin.fileno(), data[:size])
            data = data[size:]
        run.wait()
        assert run.values()["values"] == {"y": 70_000}
        assert run.acknowledge() == 0


def test_what_waits_in_a_volume_may_be_late_and_is_verified(tmp_path):
    block, rest = os.urandom(digests.BLOCK - 5) + bytes(5), os.urandom(1000)
    environment = {"ZENML_MODAL_NB_SHIPPED": str(tmp_path)}
    with Sandboxed("y = open(path, 'rb').read()", values={}, environment=environment, outputs=["y"]) as run:
        run.hello()
        names = digests.of_blocks([block + rest])
        segments = [{"size": 3}, {"size": len(block + rest), "blocks": names}, {"size": 2}]
        run.parts = {"runner.zip": run.parts["runner.zip"]}
        run.run["source"] = f"y = open({str(run.directory / 'in' / 'data')!r}, 'rb').read()"
        check = hashlib.sha256(b"abcde").hexdigest()
        (tmp_path / names[0]).write_bytes(block[:-1] + b"?")  # the right size, not yet the right content
        run.process.stdin.write(run.input({"name": "data", "sha256": check, "segments": segments}, b"abcde"))
        run.process.stdin.flush()
        run.expect(lambda: "begin" in run.stdout.kinds())
        (tmp_path / names[1]).write_bytes(rest)
        (tmp_path / names[0]).write_bytes(block[:-5])  # zeros at the end are left out
        run.wait()
        assert run.values()["values"] == {"y": b"abc" + block + rest + b"de"}
        assert run.acknowledge() == 0


def test_a_damaged_part_ends_the_process_and_says_which():
    with Sandboxed("") as run:
        run.hello()
        data = bytearray(run.input())
        data[-1] ^= 1
        run.process.stdin.write(data)
        run.process.stdin.flush()
        assert run.process.wait(10) == 1
        run.stderr.finish()
        assert b"payload.zmnb did not arrive as it was sent" in run.stderr.raw


def test_an_input_that_ends_early_ends_the_process():
    with Sandboxed("") as run:
        run.hello()
        run.process.stdin.write(run.input()[:1000])
        run.process.stdin.close()
        assert run.process.wait(10) == 1
        run.stderr.finish()
        assert b"ended before" in run.stderr.raw


def test_the_cell_sees_a_clean_process():
    run = ran(
        "import os, sys\n"
        "facts = (sys.argv, __name__, sys.stdin.read(), os.read(0, 1), sys.stdout.isatty(), sys.stdout.fileno(),\n"
        "         type(sys.stdout).__name__, __import__('__main__').__dict__ is globals(), '__file__' in globals())",
        outputs=["facts"],
    )
    assert run.values()["values"]["facts"] == (
        [""],
        "__main__",
        "",
        b"",
        False,
        1,
        "TextIOWrapper",
        True,
        False,
    )


def test_the_last_expression_comes_back_and_none_does_not():
    assert ran("x = 1\nx + 1").values() == {"values": {}, "last": 2}
    assert ran("print('x')").values() == {"values": {}}


def test_a_semicolon_keeps_the_last_value_back():
    run = ran("print('done')\n1 + 1;  # quiet")
    assert run.values() == {"values": {}}
    assert run.stdout.text.shown == "done\n"


def test_top_level_await_shares_one_event_loop():
    source = (
        "from __future__ import annotations\n"
        "import asyncio\n"
        "loop = asyncio.get_running_loop()\n"
        "task = asyncio.create_task(asyncio.sleep(0, 'slept'))\n"
        "values = [i async for i in __import__('types').SimpleNamespace(__aiter__=None) or ()] if False else []\n"
        "same = None\n"
        "(await task, loop is asyncio.get_running_loop())\n"
    )
    assert ran(source).values()["last"] == ("slept", True)


def test_future_imports_hold_for_the_last_expression():
    run = ran("from __future__ import annotations\ndef f(x: Nowhere): pass\nf.__annotations__")
    assert run.values()["last"] == {"x": "Nowhere"}


def test_an_unfinished_line_comes_at_once_and_goes_on():
    with Sandboxed(
        "import os, pathlib, time\n"
        "print('wor', end='')\n"
        "while not os.path.exists(os.environ['TMPDIR'] + '/go'): time.sleep(0.005)\n"
        "print('king')\nprint('no end', end='')"
    ) as run:
        seen = run.stdout.text
        run.send()
        run.expect(lambda: seen.shown == "wor")
        (run.directory.parent / "go").touch()
        run.wait()
        assert run.acknowledge() == 0
        assert seen.shown == "working\nno end"
        assert [f.fields["text"] for f in run.stdout.frames if f.kind == "partial"] == ["wor", "no end"]


def test_a_rewritten_line_becomes_progress_and_one_plain_line():
    run = ran(
        "import sys, time\n"
        "for i in range(2001):\n"
        "    print(f'\\r{i / 20:.0f}%', end='', file=sys.stderr, flush=True)\n"
        "    if i % 20 == 0: time.sleep(0.003)\n"
        "print(file=sys.stderr)\n"
        "print('after', file=sys.stderr)"
    )
    states = run.stderr.text.states
    assert 2 <= len(states) <= 10 * (run.result["seconds"] + 0.2) + 1
    assert run.stderr.text.shown == "100%\nafter\n"
    assert b"100%\nafter\n" in run.stderr.raw


def test_children_write_into_the_same_stream():
    run = ran(
        "import os, subprocess, sys\n"
        "print('one', flush=True)\n"
        "subprocess.run(['printf', 'two\\\\377\\\\n'])\n"
        "os.system('echo e >&2')\n"
        "os.system('echo three')\n"
        "print('four')"
    )
    assert run.stdout.text.shown == "one\ntwo\ufffd\nthree\nfour\n"
    assert run.stderr.text.shown == "e\n"


def test_what_c_code_prints_is_not_lost():
    run = ran("import ctypes\nprint('python')\nctypes.CDLL(None).puts(b'c')")
    assert run.stdout.text.shown == "python\nc\n"


def test_a_segment_of_the_log_copy_is_full_before_the_next_begins():
    run = ran("print('x' * 999 + '\\n' + 'y' * 3000)\nfor _ in range(2500): print('z' * 999)")
    assert len(run.stdout.raw) > 2 * 2**20  # `finish` has compared the copy's segments


def test_a_child_that_goes_on_writing_does_not_hold_up_the_result():
    run = ran("import subprocess\nchild = subprocess.Popen(['yes'])\nx = 1", outputs=["x"])
    assert run.values()["values"] == {"x": 1}


def test_a_flood_is_complete_and_its_copy_equal():
    lines = 60_000
    run = ran(
        f"for i in range({lines}): print(i, 'of a flood of lines of an ordinary length, with an umlaut: ü', i)"
    )
    text = "".join(
        f"{i} of a flood of lines of an ordinary length, with an umlaut: ü {i}\n" for i in range(lines)
    )
    assert run.stdout.text.shown == text
    assert len(run.stdout.raw) > 4_000_000
    offsets = [frame.at for frame in run.stdout.frames]
    assert max(later - earlier for earlier, later in pairwise(offsets)) <= 4096 + 200


def test_a_flood_without_line_ends_is_complete():
    run = ran("import sys\nfor i in range(100): sys.stdout.write('\\u20ac' * 20_000)\n")
    assert run.stdout.text.shown == "€" * 2_000_000


@settings(max_examples=12)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.sampled_from(
                [b"\n", b"\r", b"\r\n", b"\xe2\x82", b"\xac", b"x" * 9000, b"\xff" * 5000, b"\x1b[1m"]
            ),
            st.just(
                frames.PREFIX.encode() + b'{"v":1,"n":"' + NONCE.encode() + b'","s":3,"at":0,"k":"end"}\x07\n'
            ),
        ),
        max_size=60,
    )
)
def test_whatever_is_written_every_offset_is_right(pieces):
    run = ran(
        "import os\nfor piece in pieces:\n    if piece: os.write(1, piece); os.write(2, piece)",
        values={"pieces": pieces},
    )
    run.stdout.raw.decode()  # strict
    assert run.stdout.kinds() == ["hello", "begin", "result"]
    assert run.stderr.kinds() == ["begin", "end"]
    written = b"".join(pieces)
    if b"\r" not in written:
        shown = written.decode("utf-8", "replace")
        shown = shown.replace(frames.PREFIX, frames.PREFIX.replace("\x1b", "␛")) if NONCE in shown else shown
        assert run.stdout.text.shown.replace("␛", "\x1b") == shown.replace("␛", "\x1b")


def test_text_that_looks_like_a_frame_of_this_run_is_text():
    forged = frames.encode(NONCE, "result", 2, 270, {"ok": True}).decode()
    run = ran(
        f"import sys; sys.stdout.write({forged!r}); print('x' * 5000); sys.stdout.write({forged!r} * 2)"
    )
    assert run.stdout.kinds() == ["hello", "begin", "result"]
    assert run.stdout.text.shown.count("␛]777;zmnb;") == 3


def test_an_error_tells_its_place_and_the_values_bound_so_far():
    source = "a = 1\ndef f(n):\n    return n / 0\nb = f(a)\nc = 2\n"
    run = ran(source, outputs=["a", "b", "c"])
    assert (run.result["ok"], run.result["names"]) == (False, ["a"])
    assert run.values() == {"values": {"a": 1}}
    assert run.stdout.kinds() == ["hello", "begin", "error", "result"]
    error = run.error
    assert (error["ename"], error["evalue"]) == ("ZeroDivisionError", "division by zero")
    assert error["frames"] == [
        {"file": CELL, "line": 4, "name": "<module>", "text": "b = f(a)"},
        {"file": CELL, "line": 3, "name": "f", "text": "return n / 0"},
    ]
    restored = run.exception()
    assert type(restored) is ZeroDivisionError
    assert restored.args == ("division by zero",)


@pytest.mark.parametrize(("code", "ok"), [("", True), ("0", True), ("3", False), ("'stopped'", False)])
def test_leaving_the_cell_early_is_an_end_or_an_error(code, ok):
    run = ran(f"import sys\nx = 1\nsys.exit({code})\nx = 2", outputs=["x"])
    assert run.result["ok"] is ok
    assert run.values()["values"] == {"x": 1}
    if not ok:
        assert run.error["ename"] == "SystemExit"


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGTERM, "Terminated"), (signal.SIGINT, "KeyboardInterrupt")]
)
def test_a_signal_to_the_cell_is_its_error(number, name):
    with Sandboxed("x = 1\nprint('up')\nimport time\ntime.sleep(60)", outputs=["x"]) as run:
        run.send()
        run.expect(lambda: run.stdout.text.shown == "up\n")
        run.process.send_signal(number)
        run.wait()
        assert run.error["ename"] == name
        assert run.values()["values"] == {"x": 1}
        assert run.acknowledge() == 0


def test_what_cannot_come_back_is_named_with_its_place_and_the_rest_comes():
    source = "import threading\nstate = {'n': [1, threading.Lock()]}\ngen = (i for i in ())\nfine = [1]\nalso = fine"
    run = ran(source, outputs=["state", "gen", "fine", "also"])
    assert run.result["names"] == ["fine", "also"]
    assert run.result["lost"]["state"] == "state[\"n\"][1]: TypeError: cannot pickle '_thread.lock' object"
    assert run.result["lost"]["gen"].startswith("TypeError: cannot pickle 'generator' object")
    values = run.values()["values"]
    assert values == {"fine": [1], "also": [1]}
    assert values["fine"] is values["also"]


def test_a_last_value_that_cannot_come_back_is_shown():
    run = ran("(i for i in ())")
    assert (run.result["last"], run.result["lost"]) == (False, {})
    assert run.stdout.first("display").fields["data"]["text/plain"].startswith("<generator object")


def test_a_payload_that_cannot_be_restored_is_an_error_that_says_so():
    class Refuses:
        def __reduce__(self):
            return (int, ("no number",))

    run = ran("x = 1", values={"v": Refuses()}, outputs=["x"])
    assert run.error["ename"] == "ValueError"
    assert run.error["notes"] == ["while the notebook's values were restored in the sandbox"]
    assert run.error["frames"] == []  # none of ours, which the user could do nothing about


def test_a_large_result_is_a_file():
    run = Sandboxed("x = bytes(range(256)) * 1000", outputs=["x"])
    with run:
        run.send().wait()
        assert run.result["file"] == "out/result.zmnb"
        assert run.values()["values"]["x"] == bytes(range(256)) * 1000
        assert run.acknowledge() == 0


def test_a_thousand_names_still_make_a_result():
    names = [f"a_rather_long_name_of_a_variable_{i}" for i in range(1000)]
    with Sandboxed("\n".join(f"{name} = 1" for name in names), outputs=names) as run:
        run.send().wait()
        assert run.result["names"] == []
        assert run.values()["values"] == dict.fromkeys(names, 1)
        assert run.acknowledge() == 0


def test_asking_for_input_is_refused_with_a_reason():
    for source in ("input('name?')", "import getpass; getpass.getpass()"):
        run = ran(source)
        assert run.error["ename"] == "RuntimeError"
        assert run.error["evalue"].startswith("input() is not available in a sandbox")
        assert [frame["text"] for frame in run.error["frames"]] == [source]


@pytest.mark.parametrize(
    "source", ["breakpoint()", "import pdb\npdb.set_trace()", "from pdb import *\nset_trace()"]
)
def test_a_debugger_is_refused_at_the_line_that_calls_it(source):
    run = ran(f"done = 1\n{source}", outputs=["done"])
    assert run.error["ename"] == "RuntimeError"
    assert run.error["evalue"].startswith("A debugger is not available in a sandbox")
    assert run.error["frames"][0]["text"].strip() == source.splitlines()[-1]
    assert not [frame for frame in run.error["frames"] if "zenml_modal_nb" in frame["file"]]
    assert run.stdout.text.shown == ""


def test_a_run_without_a_client_ends_itself():
    with Sandboxed("import time; time.sleep(60)", grace=0.4) as run:
        run.send().wait()
        assert run.process.wait(10) == 75
        run.stdout.finish()
        assert run.stdout.kinds()[-1] == "abandoned"


def test_a_result_that_nobody_takes_ends_the_process():
    with Sandboxed("x = 1", grace=0.4) as run:
        run.send().wait()
        assert run.process.wait(10) == 75
        run.stdout.finish()
        assert run.stdout.kinds()[-1] == "result"


def test_signs_of_life_keep_a_run_going():
    with Sandboxed("import time; time.sleep(1.2)", grace=0.5) as run:
        run.send()
        for number in range(200):
            (run.directory / "alive").write_text(str(number))
            if run.complete.wait(0.05):
                break
        assert run.stdout.kinds()[-1] == "result"
        assert run.acknowledge() == 0


def test_a_thread_of_the_cell_does_not_keep_the_process():
    run = ran(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()\nx = 1",
        outputs=["x"],
    )
    assert run.values()["values"] == {"x": 1}


def test_nothing_follows_the_result():
    with Sandboxed(
        "import threading\n"
        "def talk():\n    while True: print('x' * 100)\n"
        "threading.Thread(target=talk, daemon=True).start()"
    ) as run:
        run.send().wait()
        assert run.acknowledge() == 0
        assert frames.decode(run.stdout.raw.splitlines()[-1], NONCE).kind == "result"


def test_a_forked_process_sends_nothing_of_its_own():
    run = ran(
        "import os\nprint('before', end=' ')\npid = os.fork()\n"
        "if pid: os.waitpid(pid, 0)\nelse: print('child'); display('shown by the child')\nx = bool(pid)",
        outputs=["x"],
    )
    assert run.stdout.kinds() == ["hello", "begin", "result"]
    assert run.values()["values"] == {"x": True}
    assert run.stdout.text.shown == "before child\n'shown by the child'\n"


def test_the_gpu_is_reported_without_delaying_the_cell(tmp_path):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nsleep 0.2\necho 'NVIDIA A100-SXM4-40GB'\necho 'NVIDIA A100-SXM4-40GB'\n")
    tool.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    run = ran("import time\nprint('first')\ntime.sleep(0.6)", environment={"PATH": path})
    kinds = [frame.kind for frame in run.stdout.frames]
    assert run.stdout.first("gpu").fields["name"] == "NVIDIA A100-SXM4-40GB, NVIDIA A100-SXM4-40GB"
    assert kinds == ["hello", "begin", "gpu", "result"]
    assert run.stdout.raw.index(b"first\n") < run.stdout.first("gpu").at


def test_a_traceback_printed_in_the_sandbox_shows_source_of_every_cell():
    namespace = {"__name__": "__main__"}
    other = "def g():\n    raise KeyError('k')  # in another cell\n"
    exec(compile(other, "<cell 0>", "exec"), namespace)
    run = ran(
        "import traceback\ntry:\n    g()\nexcept KeyError:\n    traceback.print_exc()",
        namespace=namespace,
        values={"g": namespace["g"]},
        sources={"<cell 0>": other},
    )
    assert "raise KeyError('k')  # in another cell" in run.stderr.text.shown
    assert "    g()\n" in run.stderr.text.shown


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="what a process uses is read from /proc")
def test_what_the_cell_and_its_children_use_is_said_while_it_runs(tmp_path):
    gate = str(tmp_path / "gate")
    os.mkfifo(gate)
    source = (
        "import subprocess, sys\n"
        "mine = b'x' * 100_000_000\n"
        "hold = \"import sys; held = b'x' * 150_000_000; open(sys.argv[1]).close()\"\n"
        f"child = subprocess.Popen([sys.executable, '-c', hold, {gate!r}])\n"
        "while child.poll() is None:\n"
        "    pass"
    )
    with Sandboxed(source) as run:
        run.send()

        def used():
            return [frame.fields for frame in run.stdout.frames if frame.kind == "resources"]

        run.expect(lambda: any(each["memory"] > 250_000_000 and each["cpu"] > 0.05 for each in used()))
        open(gate, "w").close()
        run.wait()
        assert run.acknowledge() == 0
        assert run.result["ok"]
        assert all(each["cpu"] <= (os.cpu_count() or 1) * 1.2 for each in used())


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("x", True),
        ("x = 1", False),
        ("x;", False),
        ("x ;  # why", False),
        ("x  # why;", True),
        ("'é';", False),
        ("f(1,\n  2)", True),
        ("if x: x", False),
        ("", False),
        ("# nothing", False),
    ],
)
def test_a_last_expression_has_a_value_unless_it_is_silenced(source, shown):
    run = cell.Run(source, "<cell>", "step", (), None)
    outcome = cell.execute(run, {"x": 1, "f": lambda *given: given})
    assert outcome.error is None
    assert (outcome.last is not None) is shown
