"""What a cell leaves behind by the way: files, pools, tasks, handles. What is over comes back; what is not is told."""

from __future__ import annotations

from corpus.case import Case

_TASK = """
import asyncio
async def fetch(n): return n
task = asyncio.create_task(fetch(5))
result = await task
"""

CASES = (
    Case(
        "a file of a with statement",
        """
        with open('made.txt', 'w') as fh:
            n = fh.write('text')
        with open('made.txt', 'rb') as raw:
            size = len(raw.read())
        """,
        then=("print(fh.closed, fh.name, fh.mode, raw.closed, raw.name)\nfh.write('more')",),
        fast=True,
    ),
    Case(
        "a closed file of another cell",
        "name, closed = old.name, old.closed",
        setup=("with open('before.txt', 'w') as old: pass",),
    ),
    Case(
        "a file that stays open",
        "log = open('made.log', 'w')\nlog.write('line')\nn = 1",
        setup=("log, kept = 'an older one', 1",),
        then=("print(n, kept)",),
        stays=("log",),
        fast=True,
    ),
    Case(
        "a pool that was shut down and its futures",
        """
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(2) as ex:
            futures = [ex.submit(pow, 2, n) for n in range(3)]
            bad = ex.submit(int, 'x')
        values = [each.result() for each in futures]
        """,
        then=("print([each.result() for each in futures], bad.exception())\nex.submit(print)",),
    ),
    Case(
        "a pool that still takes work",
        """
        from concurrent.futures import ThreadPoolExecutor
        ex = ThreadPoolExecutor(1)
        n = ex.submit(len, 'ab').result()
        """,
        stays=("ex",),
    ),
    Case("a task that has ended", _TASK, stays=("task",)),
    Case("a lock among other names", "import threading\nlock = threading.Lock()\nn = 1", stays=("lock",)),
    Case(
        "a lock bound on one path",
        "import threading\nif flag:\n    lock = threading.Lock()\nn = 1",
        setup=("flag, lock = True, None",),
        stays=("lock",),
    ),
    Case("a generator", "gen = (n for n in range(3))\nfirst = next(gen)", stays=("gen",)),
    Case(
        "a lock bound before an error",
        "import threading\nlock = threading.Lock()\nn = 1\nraise ValueError('late')",
        setup=("lock = 'older'",),
        stays=("lock",),
    ),
    Case("a lock that goes before the end", "import threading\nlock = threading.Lock()\ndel lock\nn = 1"),
    Case("an unused result", "head, *_ = [1, 2, 3]\nfor _ in range(2): pass"),
    Case(
        "a handle of a display",
        "h = display('first', display_id=True)\nh.update('second')",
        then=("h.update('third')\nprint(type(h).__module__)",),
        fast=True,
    ),
    Case(
        "a display updated by its name",
        """
        from IPython.display import display, update_display
        display('first', display_id='by-name')
        update_display('second', display_id='by-name');
        """,
    ),
    Case(
        "a handle of another cell", "h.update('from there')", setup=("h = display('here', display_id=True)",)
    ),
)
