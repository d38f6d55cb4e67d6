"""Progress bars: what they draw, and the bar itself afterwards."""

from __future__ import annotations

from corpus.case import Case

_IMPORT = "from tqdm import tqdm\n"
_LOOK = "print(bar.n, bar.total, bar.disable, bar.desc)"
_FORMAT = "bar_format='{desc}{n}/{total}', mininterval=0"

CASES = (
    Case(
        "a bar around a loop",
        f"{_IMPORT}total = 0\nfor n in tqdm([1, 2, 3], {_FORMAT}):\n    total += n",
        fast=True,
    ),
    Case(
        "a bar with a name",
        f"{_IMPORT}bar = tqdm(range(3), desc='work', {_FORMAT})\nfor n in bar:\n    bar.set_postfix_str(str(n))",
        then=(_LOOK, "bar.close()"),
        fast=True,
    ),
    Case(
        "a bar over a generator",
        f"{_IMPORT}bar = tqdm((n for n in range(3)), total=3, {_FORMAT})\nvalues = list(bar)",
        then=(_LOOK,),
    ),
    Case(
        "a bar updated by hand",
        f"{_IMPORT}with tqdm(total=10, {_FORMAT}) as bar:\n    for _ in range(5):\n        bar.update(2)",
        then=(_LOOK,),
    ),
    Case(
        "a bar that goes on here",
        f"{_IMPORT}bar = tqdm(total=4, disable=True)\nbar.update(2)\nwhere = bar.n",
        then=("bar.update(1)\nprint(bar.n, bar.total)",),
    ),
    Case(
        "a bar of another cell",
        "bar.update(3)\nwhere = bar.n",
        setup=(f"import io\n{_IMPORT}bar = tqdm(total=5, file=io.StringIO(), {_FORMAT})",),
        then=(_LOOK,),
    ),
    Case(
        "nested bars and trange",
        f"from tqdm import trange\ncount = 0\nfor i in trange(2, {_FORMAT}, leave=False):\n    count += i",
    ),
    Case(
        "the bar for notebooks",
        f"bar = tqdm(range(2), {_FORMAT})\nseen = list(bar)",
        setup=("from tqdm.auto import tqdm",),
        # A widget could not be seen in a sandbox: there it is what tqdm draws where there is no notebook.
        here=f"bar = __import__('tqdm.asyncio').asyncio.tqdm_asyncio(range(2), {_FORMAT})\nseen = list(bar)",
    ),
    Case(
        "a line written above a bar",
        f"{_IMPORT}for n in tqdm(range(2), disable=True):\n    tqdm.write(f'at {{n}}')",
    ),
)
