"""The text that starts a run inside a sandbox that holds nothing of ours: `python -u -c BOOTSTRAP NONCE`."""

from __future__ import annotations

# The command's arguments may have 65,536 characters in all, so this is short, and leaves to `program` what it can.
# Each part of the input has 15 minutes: a client that dies between hello and the last part must not leave a
# sandbox that waits, and bills, until its timeout (SIGALRM ends the process). What `program` and cloudpickle import of
# the standard library is imported while the input is on its way.
BOOTSTRAP = r"""
import hashlib, json, os, signal, sys, tempfile
nonce = sys.argv[-1]
sys.argv[:] = [""]
directory = tempfile.mkdtemp(prefix="zmnb-")
for name in "in", "out", "log":
    os.mkdir(os.path.join(directory, name))
hello = {"v": 1, "n": nonce, "s": 0, "at": 0, "k": "hello", "python": sys.version.split()[0],
         "directory": directory, "pid": os.getpid()}
hello = "\33]777;zmnb;" + json.dumps(hello)[:-1]
hello = (hello + ',"e":"%015d"}\7\n' % (len(hello) + 25)).encode()
os.write(1, hello)
import dataclasses, inspect, logging, pathlib, pickle, platform, shutil, subprocess, threading, traceback
def pull(size):
    data = b""
    while len(data) < size:
        piece = os.read(0, min(size - len(data), 1 << 16))
        if not piece:
            sys.exit("zenml_modal_nb: standard input ended before the run's input was complete")
        data += piece
    return data
signal.alarm(900)
header = json.loads(pull(int.from_bytes(pull(8), "big")))
for part in header["parts"]:
    signal.alarm(900)
    path = os.path.join(directory, "in", part["name"])
    check = hashlib.sha256()
    with open(path, "wb") as file:
        for segment in part["segments"]:
            left = 0 if "blocks" in segment else segment["size"]
            file.seek(segment["size"] - left, 1)
            while left:
                piece = pull(min(left, 1 << 16))
                check.update(piece)
                left -= file.write(piece)
        file.truncate()
    if check.hexdigest() != part["sha256"]:
        sys.exit("zenml_modal_nb: " + part["name"] + " did not arrive as it was sent")
signal.alarm(0)
null = os.open(os.devnull, os.O_RDONLY)
os.dup2(null, 0)
os.close(null)
header["position"] = len(hello)
sys.path.insert(0, os.path.join(directory, "in", "runner.zip"))
from zenml_modal_nb.runner.program import main
main(directory, nonce, header)
""".lstrip()
