"""Objects that several names or containers share are still shared after."""

from __future__ import annotations

from corpus.case import Case

CASES = (
    Case(
        "two new names of one object",
        "a = [1]\nb = a\nc = {'inside': a}",
        then=("a.append(2)\nprint(b, c)",),
        fast=True,
    ),
    Case("equal but separate objects stay separate", "a = [1]\nb = [1]", then=("a.append(2)\nprint(b)",)),
    Case(
        "an object inside a tuple and under a name",
        "row = [1]\npair = (row, row)",
        then=("row.append(2)\nprint(pair)",),
    ),
    Case(
        "an object that contains itself",
        """
        loop = [1]
        loop.append(loop)
        ring = {}
        ring['ring'] = ring
        """,
    ),
    Case(
        "two inputs that share an object, both rebound",
        "a, b = b, a",
        setup=("shared = [0]\na, b = [shared, 1], [shared, 2]\ndel shared",),
        then=("a[0].append(5)\nprint(b)",),
    ),
    Case(
        "an instance and its attribute",
        "holder.items.append(1)\nitems = holder.items\nholder = holder",
        setup=("class Holder:\n    def __init__(self): self.items = []\nholder = Holder()",),
    ),
    Case(
        "parent and child refer to each other",
        """
        class Node:
            def __init__(self, parent=None):
                self.parent, self.children = parent, []
                if parent: parent.children.append(self)
        root = Node()
        child = Node(root)
        """,
        then=("print(child.parent is root, root.children[0] is child)",),
    ),
    Case("one default list of many rows", "rows = [[0] * 2] * 3", then=("rows[0][0] = 1\nprint(rows)",)),
    Case(
        "a function and the list it closes over",
        """
        log = []
        def note(x):
            log.append(x)
        note(1)
        """,
        then=("note(2)\nprint(log)",),
    ),
    Case(
        "a function, its class and its instance",
        "f = Thing.method\ng = thing",
        setup=("class Thing:\n    def method(self): return 1\nthing = Thing()",),
        then=("print(f is Thing.method, g is thing, type(g) is Thing)",),
    ),
    Case(
        "an input of functions under a second name",
        "again = helper\nsame = again is helper",
        setup=("def helper(): return 1",),
        then=("print(again is helper)",),
    ),
    Case(
        "the value of the last expression is the variable",
        "data = {'k': [1]}\ndata",
        then=("_['k'].append(2)\nprint(data)",),
    ),
    Case(
        "singletons",
        "a, b, c, d = None, ..., NotImplemented, True",
        then=("print(a is None, b is ..., c is NotImplemented, d is True)",),
    ),
    Case(
        "a module's own objects",
        "import math, string\nf = math.sqrt\nletters = string.ascii_letters",
        then=("print(f is math.sqrt)",),
    ),
    Case(
        "weak references",
        """
        import weakref
        class Owner: pass
        owner = Owner()
        known = weakref.ref(owner)() is owner
        """,
    ),
    Case(
        "an output that is an input",
        "b = a\nc = [a]",
        setup=("a = [1]",),
        then=("a.append(2)\nprint(b is a, c)",),
        fast=True,
    ),
    Case(
        "an input inside an output",
        "report = {'rows': rows, 'n': len(rows)}",
        setup=("rows = [[1], [2]]",),
        then=("rows[0].append(5)\nprint(report, report['rows'] is rows)",),
    ),
    Case(
        "an input exchanged with another",
        "a, b = b, a",
        setup=("a, b = [1], [2]\nfirst = a",),
        then=("print(b is first)",),
    ),
    Case(
        "an input's part under a new name",
        "part = table['inner']\nrow = table['rows'][0]",
        setup=("table = {'inner': [1], 'rows': [{'k': 1}]}",),
        then=("part.append(2)\nrow['k'] = 9\nprint(table)",),
    ),
    Case(
        "a view made of an input",
        "view = grid[1:]\nflipped = grid.T",
        setup=("import numpy as np\ngrid = np.zeros((2, 2))",),
        then=("grid[1, 0] = 5\nprint(view, flipped)",),
    ),
)
