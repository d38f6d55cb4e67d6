"""A wall around a command: below the named directories it writes as it likes, elsewhere on the machine nothing.

Landlock, which Linux has for this since 5.19 (as it is needed here), needs no root, no namespace and no container,
and lets files be linked from one of these directories into another, as uv does. Reading and running stay free. What
it does not guard: permissions, owners and times of files that are the user's. Run as a program it walls itself in
and becomes the command:

    python -I -S wall.py DIRECTORY... -- COMMAND...
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterable, Sequence

LEAST_ABI = 2  # from which on files can be moved and linked between directories at all

# include/uapi/linux/landlock.h; the numbers of the calls are the same on all processors that Python has wheels for.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_TELL_VERSION, _PATH_BENEATH = 1, 1
_WRITE_FILE, _REMOVE, _MAKE, _REFER, _TRUNCATE = 1 << 1, 0b11 << 4, 0b1111111 << 6, 1 << 13, 1 << 14
_TRUNCATE_ABI, _NETWORK_ABI, _SIGNALS_ABI = 3, 4, 6
_SIGNALS = 1 << 1  # of processes outside
_NO_NEW_PRIVILEGES = 38  # of prctl; what Landlock asks for, and no sudo leads around the wall

# Written to without harm; /dev/shm is where multiprocessing has its locks.
_HARMLESS = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/shm")  # noqa: S108  no temporary files of ours


def abi() -> int:
    """The version of Landlock that this machine offers, 0 for none that is of use."""
    if sys.platform != "linux":
        return 0
    version: int = ctypes.CDLL(None).syscall(_CREATE_RULESET, None, 0, _TELL_VERSION)
    return version if version >= LEAST_ABI else 0


def behind(directories: Iterable[os.PathLike[str]], command: Sequence[str]) -> tuple[str, ...]:
    """The words that run `command` behind a wall around these directories, which exist."""
    return (sys.executable, "-I", "-S", __file__, *map(str, directories), "--", *command)


def _build(directories: Sequence[str]) -> None:
    """Wall this process in, and all it starts; raises OSError."""
    version = abi()
    files = _WRITE_FILE | (_TRUNCATE if version >= _TRUNCATE_ABI else 0)
    rights = files | _REMOVE | _MAKE | _REFER
    attributes = [rights]
    if version >= _NETWORK_ABI:
        attributes.append(0)
    if version >= _SIGNALS_ABI:
        attributes.append(_SIGNALS)
    packed = struct.pack(f"={len(attributes)}Q", *attributes)
    ruleset = _called(_CREATE_RULESET, packed, len(packed), 0)
    for path in (*directories, *filter(os.path.exists, _HARMLESS)):
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        allowed = rights if os.path.isdir(path) else files
        _called(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", allowed, place), 0)
        os.close(place)
    if ctypes.CDLL(None, use_errno=True).prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    _called(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def _called(*arguments: object) -> int:
    result: int = ctypes.CDLL(None, use_errno=True).syscall(*arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


if __name__ == "__main__":
    end = sys.argv.index("--")
    try:
        _build(sys.argv[1:end])
    except OSError as trouble:
        sys.exit(f"The command was not run, since nothing could keep it from the machine's files: {trouble}")
    os.execvp(sys.argv[end + 1], sys.argv[end + 1 :])  # noqa: S606  it is what this program is for
