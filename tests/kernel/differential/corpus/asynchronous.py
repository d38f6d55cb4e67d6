"""Top-level await, asynchronous loops, managers and comprehensions."""

from __future__ import annotations

from corpus.case import Case

_AIO = """
import asyncio
async def fetch(n):
    await asyncio.sleep(0)
    return n * 10
async def ticks(n):
    for i in range(n):
        await asyncio.sleep(0)
        yield i
"""

CASES = (
    Case("await at top level", "value = await fetch(2)\nvalue", setup=(_AIO,), fast=True),
    Case("await of several", "values = await asyncio.gather(*(fetch(n) for n in range(3)))", setup=(_AIO,)),
    Case("async for", "seen = []\nasync for n in ticks(3):\n    seen.append(n)", setup=(_AIO,)),
    Case(
        "async with",
        "async with lock:\n    inside = lock.locked()\ndel lock",
        setup=(
            """
            class Lock:
                held = False
                async def __aenter__(self): self.held = True
                async def __aexit__(self, *_): self.held = False
                def locked(self): return self.held
            lock = Lock()
            """,
        ),
    ),
    Case(
        "an asynchronous comprehension",
        "doubled = [n * 2 async for n in ticks(3)]\nlate = [await fetch(n) for n in range(2)]",
        setup=(_AIO,),
    ),
    Case("await in the last expression", "await fetch(4)", setup=(_AIO,)),
    Case(
        "tasks of the cell's own loop",
        "task = asyncio.create_task(fetch(5))\nresult = await task\ndel task",
        setup=(_AIO,),
    ),
    Case(
        "a coroutine function of the cell",
        "async def work():\n    return await fetch(1)\nresult = await work()",
        setup=(_AIO,),
        then=("print(await work())",),
    ),
    Case(
        "a timeout",
        """
        try:
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        except TimeoutError:
            late = True
        """,
        setup=(_AIO,),
    ),
    Case(
        "await under a condition",
        """
        if True:
            x = await fetch(1)
        else:
            x = 0
        """,
        setup=(_AIO,),
    ),
)
