"""Inputs that the cell changes in place, under a name that it binds again."""

from __future__ import annotations

from corpus.case import Case

CASES = (
    Case(
        "a list extended through its name",
        "rows += [3]\ncount = len(rows)",
        setup=("rows = [1, 2]",),
        fast=True,
    ),
    Case("a set united through its name", "seen |= {'b'}", setup=("seen = {'a'}",)),
    Case("a dictionary united through its name", "table |= {'b': 2}", setup=("table = {'a': 1}",)),
    Case(
        "an array scaled through its name", "grid *= 2", setup=("import numpy as np\ngrid = np.arange(4.0)",)
    ),
    Case(
        "a frame with a new column, rebound",
        "df['b'] = df.a * 2\ndf = df[df.a > 1]",
        setup=("import pandas as pd\ndf = pd.DataFrame({'a': [1, 2, 3]})",),
    ),
    Case("a list sorted and given back", "words.sort()\nwords = words", setup=("words = ['b', 'a']",)),
    Case(
        "an input read and left as it was",
        "total = sum(rows)\ncopy = sorted(rows)",
        setup=("rows = [3, 1]\nalias = rows",),
    ),
    Case(
        "an attribute set on an object given back",
        "box.size = 5\nbox = box",
        setup=("class Box: pass\nbox = Box()",),
    ),
)
