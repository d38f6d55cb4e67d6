"""Whom the server waits for: orphans, and not what somebody else waits for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

# In a process of its own: what adopts orphans does so until it ends. A thread collects without a pause while
# commands are started, end with a code of their own, and leave orphans in other sessions behind.
PROGRAM = """
import asyncio, json, os, sys, threading
from pathlib import Path
import psutil
from zenml_modal_nb.emulator import orphans, processes
from zenml_modal_nb.emulator.state.output import Output, RecentBytes

done = threading.Event()

def collect():
    while not done.is_set():
        orphans.collect()

async def code(number):
    script = f"(setsid true &); setsid sh -c 'true &'; exit {number}"
    command = processes.Command(("sh", "-c", script), {"PATH": os.environ["PATH"]}, Path("/"))
    process = await processes.start(command, Output(RecentBytes(100)), Output(RecentBytes(100)))
    found = await process.wait()
    await process.drain()
    return found

async def main():
    orphans.adopt()
    thread = threading.Thread(target=collect)
    thread.start()
    codes = []
    for _ in range(6):
        codes += await asyncio.gather(*map(code, range(1, 21)))
    own = await asyncio.create_subprocess_exec("sh", "-c", "exit 7")  # in the server's own session
    codes.append(await own.wait())
    while psutil.Process().children():
        pass
    done.set()
    thread.join()
    print(json.dumps(codes))

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere orphans are the system's first process's")
def test_every_exit_code_reaches_whoever_waits_for_it_while_orphans_are_collected(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [*range(1, 21)] * 6 + [7]
