"""Inputs that the cell changes in place: whoever else refers to them sees the change."""

from __future__ import annotations

from corpus.case import Case

_NP = "import numpy as np"
_PD = "import pandas as pd"
_BOX = "class Box:\n    def __init__(self, **kw): self.__dict__.update(kw)"

CASES = (
    Case(
        "a list extended through its name",
        "rows += [3]\ncount = len(rows)",
        setup=("rows = [1, 2]\nalias = rows",),
    ),
    Case("a set united through its name", "seen |= {'b'}", setup=("seen = {'a'}\nalias = seen",)),
    Case(
        "a dictionary united through its name",
        "table |= {'b': 2}",
        setup=("table = {'a': 1}\nalias = table",),
    ),
    Case("an array scaled through its name", "grid *= 2", setup=(_NP, "grid = np.arange(4.0)\nalias = grid")),
    Case(
        "a list that a method changes",
        "history.append(2)\nhistory.sort(reverse=True)\nlength = len(history)",
        setup=("history = [1]\nalias = history\nholder = {'h': history}",),
        then=("alias.append(9)\nprint(history, holder)",),
        fast=True,
    ),
    Case("a list emptied", "rows.clear()", setup=("rows = [1, 2]\nalias = rows",)),
    Case(
        "items of a list",
        "rows[0] = 'new'\nrows[1:3] = []\ndel rows[-1]",
        setup=("rows = list(range(5))\nalias = rows",),
    ),
    Case(
        "a dictionary that methods change",
        "table['b'] = 2\ntable.update(c=3)\ndel table['a']\ntable.setdefault('d', []).append(1)",
        setup=("table = {'a': 1}\nalias = table",),
    ),
    Case(
        "the order of a dictionary",
        "table['a'] = table.pop('a')",
        setup=("table = {'a': 1, 'b': 2}\nalias = table",),
    ),
    Case(
        "a set that methods change", "seen.add('b')\nseen.discard('a')", setup=("seen = {'a'}\nalias = seen",)
    ),
    Case(
        "an attribute of an object",
        "box.size = 5\nbox.items.append(1)\ndel box.old",
        setup=(
            _BOX,
            "items = []\nbox = Box(items=items, old=1)\nalias = box",
        ),
    ),
    Case(
        "slots of an object",
        "p.a += 1",
        setup=(
            "class Slotted:\n    __slots__ = ('a',)\n    def __init__(self, a): self.a = a",
            "p = Slotted(1)\nalias = p",
        ),
    ),
    Case(
        "an object changed by its own method",
        "counter.step()\ncounter.step()",
        setup=(
            "class Counter:\n    n = 0\n    def step(self): self.n += 1",
            "counter = Counter()\nalias = counter",
        ),
    ),
    Case(
        "an object changed by a helper",
        "fill(rows)",
        setup=("rows = []\nalias = rows\ndef fill(what): what.extend('ab')",),
    ),
    Case(
        "an object that a helper changes through its own global",
        "remember(1)\nremember(2)",
        setup=("log = []\nalias = log\ndef remember(x): log.append(x)",),
    ),
    Case(
        "an object deep inside others",
        "state['a'][0].items['k'] = 'deep'",
        setup=(
            _BOX,
            "inner = Box(items={})\nstate = {'a': [inner]}",
        ),
        then=("print(inner.items)",),
    ),
    Case(
        "items of an array",
        "grid[0, 0] = 9\ngrid[:, 1] += 1",
        setup=(_NP, "grid = np.zeros((2, 2))\nalias = grid"),
        fast=True,
    ),
    Case(
        "a view of an array",
        "view[:] = 7",
        setup=(_NP, "grid = np.zeros(4)\nview = grid[1:3]"),
        then=("print(grid)",),
    ),
    Case(
        "an array sorted and filled",
        "a.sort()\nb.fill(3)",
        setup=(_NP, "a = np.array([3, 1, 2])\nb = np.empty(2)\nalias = a"),
    ),
    Case(
        "a new column of a frame",
        "df['b'] = df.a * 2",
        setup=(_PD, "df = pd.DataFrame({'a': [1, 2]})\nalias = df"),
    ),
    Case(
        "cells and rows of a frame",
        "df.loc[0, 'a'] = 10\ndf.loc[5] = [7]\ndf.drop(index=1, inplace=True)",
        setup=(
            _PD,
            "df = pd.DataFrame({'a': [1, 2]})\nalias = df",
        ),
    ),
    Case(
        "a frame renamed in place",
        "df.rename(columns={'a': 'A'}, inplace=True)\ndf.index.name = 'row'",
        setup=(
            _PD,
            "df = pd.DataFrame({'a': [1, 2]})\nalias = df",
        ),
    ),
    Case(
        "items of a series",
        "s['x'] = 5\ns['z'] = 1",
        setup=(_PD, "s = pd.Series({'x': 1, 'y': 2})\nalias = s"),
    ),
    Case(
        "a frame with a new column, rebound",
        "df['b'] = df.a * 2\ndf = df[df.a > 1]",
        setup=(
            _PD,
            "df = pd.DataFrame({'a': [1, 2, 3]})\nalias = df",
        ),
    ),
    Case(
        "other collections that methods change",
        "q.append(3)\nc.update('ab')\nd['new'].append(1)\nb.extend(b'xy')",
        setup=(
            "from collections import Counter, defaultdict, deque",
            "q, c, d, b = deque([1, 2], maxlen=2), Counter('a'), defaultdict(list), bytearray(b'a')",
            "alias = [q, c, d, b]",
        ),
    ),
    Case(
        "a generator of random numbers that is drawn from",
        "draws = rng.random(3)",
        setup=(
            _NP,
            "rng = np.random.default_rng(7)\nalias = rng",
        ),
        then=("print(rng.random(2), alias is rng)",),
    ),
    Case(
        "a random source that is drawn from",
        "draw = source.random()",
        setup=("import random\nsource = random.Random(3)\nalias = source",),
        then=("print(alias.random())",),
    ),
    Case(
        "an estimator that is fitted",
        "model.fit(X, y);",
        setup=(
            _NP,
            "from sklearn.linear_model import Ridge\nX, y = np.arange(6.0).reshape(3, 2), np.arange(3.0)",
            "model = Ridge()\nalias = model",
        ),
        then=("print(alias.predict(X).round(3))",),
    ),
    Case(
        "an attribute of a class",
        "Config.size = 5\nConfig.names.append('b')",
        setup=(
            "class Config:\n    size = 1\n    names = ['a']",
            "config = Config()",
        ),
        then=("print(config.size, Config.names)",),
    ),
    Case(
        "a new method of a class",
        "def double(self): return self.n * 2\nThing.double = double",
        setup=(
            "class Thing:\n    n = 4",
            "thing = Thing()",
        ),
        then=("print(thing.double())",),
    ),
    Case(
        "an attribute of a function",
        "helper.calls += 1",
        setup=("def helper(): pass\nhelper.calls = 0\nalias = helper",),
    ),
    Case(
        "the variable of a closure",
        "one = tick(), tick()",
        setup=(
            """
            def make():
                n = 0
                def tick():
                    nonlocal n
                    n += 1
                    return n
                return tick
            """,
            "tick = make()",
        ),
        then=("print(tick())",),
    ),
    Case(
        "an input changed before the cell fails",
        "rows.append(1)\ntable['k'] = 1 / 0",
        setup=("rows, table = [], {}\nalias = rows",),
    ),
    Case("an input changed and deleted", "rows.append(1)\ndel rows", setup=("rows = []\nalias = rows",)),
    Case(
        "an input changed and rebound",
        "old = rows\nrows.append(1)\nrows = [*rows, 2]",
        setup=("rows = []\nalias = rows",),
    ),
    Case(
        "two inputs that refer to each other",
        "a['b']['n'] = 1\nb['m'] = 2",
        setup=("a = {}\nb = {'a': a}\na['b'] = b",),
    ),
    Case(
        "a list changed while it is displayed",
        "rows.append(3)\nrows",
        setup=("rows = [1]\nalias = rows",),
        then=("print(_ is rows)",),
    ),
    Case(
        "text in memory that is written to",
        "buffer.write('def')\nsize = buffer.tell()",
        setup=("import io\nbuffer = io.StringIO()\n_n = buffer.write('abc')",),
        then=("print(buffer.getvalue())",),
    ),
    Case(
        "an input read and left as it was",
        "total = sum(rows)\ncopy = sorted(rows)",
        setup=("rows = [3, 1]\nalias = rows",),
    ),
    Case(
        "a counter of itertools",
        "r = next(ids), next(ids)",
        setup=(
            """
            import itertools
            ids = itertools.count(5)
            box = [ids]
            """,
        ),
        then=("print(next(ids), next(box[0]))",),
    ),
    Case(
        "elements of XML",
        """
        root.set("k", "v")
        ch = ET.SubElement(root, "c")
        ch.text = "t"
        """,
        setup=(
            """
            import xml.etree.ElementTree as ET
            root = ET.fromstring("<r><a/></r>")
            al = root
            a = root[0]
            """,
        ),
        then=("print(ET.tostring(al), al[1] is ch, al[0] is a)",),
    ),
)
