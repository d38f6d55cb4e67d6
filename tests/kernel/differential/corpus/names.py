"""Names that come from other cells, go back to the notebook, are rebound or deleted."""

from __future__ import annotations

from corpus.case import Case

CASES = (
    Case(
        "names of several other cells",
        """
        total = first + second["n"] + sum(third)
        label = f"{first}-{total}"
        """,
        setup=("first = 1", "second = {'n': 2}", "third = [3, 4]"),
        fast=True,
    ),
    Case(
        "a name that the cell does not touch stays",
        "used = kept + 1",
        setup=("kept, other = 1, 'still here'",),
    ),
    Case("a rebound name has its new value", "rows = [row * 2 for row in rows]", setup=("rows = [1, 2]",)),
    Case("a name of another type", "value = str(value)", setup=("value = 5",)),
    Case("augmented assignment to a number", "count += 5\ncount *= 2", setup=("count = 1",)),
    Case("augmented assignment to a text", "text += ' and more'", setup=("text = 'some'",)),
    Case("augmented assignment to a tuple", "pair += (3,)", setup=("pair = (1, 2)",)),
    Case(
        "augmented assignment to an item", "table['a'] += 1\ntable = dict(table)", setup=("table = {'a': 1}",)
    ),
    Case("a deleted name", "kept = doomed + 1\ndel doomed", setup=("doomed = 1",), fast=True),
    Case("a name deleted and bound again", "del name\nname = 'new'", setup=("name = 'old'",)),
    Case("a name deleted on one path", "if flag:\n    del doomed", setup=("flag, doomed = True, 1",)),
    Case(
        "a name not deleted on the other path", "if flag:\n    del doomed", setup=("flag, doomed = False, 1",)
    ),
    Case("several names deleted at once", "del a, b", setup=("a, b, c = 1, 2, 3",)),
    Case("a name of the cell's own, deleted again", "temporary = 1\nresult = temporary + 1\ndel temporary"),
    Case(
        "a name bound on the path taken",
        """
        if flag:
            yes = 1
        else:
            no = 2
        """,
        setup=("flag = True",),
    ),
    Case(
        "a name bound by a previous cell or by this one",
        "if flag:\n    q = 1\nprint(q)",
        setup=("flag, q = False, 9",),
    ),
    Case("several targets of one value", "a = b = c = 7"),
    Case("unpacking with a star", "first, *middle, last = numbers", setup=("numbers = range(5)",)),
    Case("nested unpacking", "(a, (b, [c, *d])), e = (1, (2, [3, 4, 5])), 6"),
    Case("names exchanged", "a, b = b, a", setup=("a, b = 1, 'two'",)),
    Case(
        "unpacking into items and attributes",
        """
        box = Box()
        box.x, pair[0], pair[1] = 1, 2, 3
        pair = list(pair)
        """,
        setup=("class Box: pass\npair = [0, 0]",),
    ),
    Case(
        "underscore names",
        """
        _private = _hidden + 1
        __dunder = 2
        _x_ = 3
        """,
        setup=("_hidden = 1",),
    ),
    Case("IPython's own name bound by the cell", "for _ in range(3):\n    pass\nseen = _"),
    Case(
        "names of other alphabets",
        "größe = π * 2\n変数 = [größe]\nµ = 'micro'",
        setup=("π = 3.14",),
    ),
    Case(
        "a name that hides a builtin",
        "sum = sum([1, 2])\nlist = [sum]",
        then=("del sum, list\nprint(sum([4, 5]))",),
    ),
    Case(
        "a builtin that the notebook has replaced",
        "longest = max([1, 2])",
        setup=("def max(values): return 'mine'",),
    ),
    Case("the module's name", "where = __name__\nis_main = __name__ == '__main__'"),
    Case("code under the main guard", "if __name__ == '__main__':\n    ran = True"),
    Case("the latest result", "doubled = _ * 2", setup=("21",)),
    Case("a numbered result", "again = Out[1] + _2", setup=("20", "22")),
    Case("names read through globals()", "found = globals()['hidden']\nhidden", setup=("hidden = 5",)),
    Case("names bound through globals()", "globals()['made'] = 1\nmade = globals()['made'] + 1"),
    Case("names asked for", "known = 'here' in globals()\nhere", setup=("here = 1",)),
    Case(
        "names in code given as text",
        "result = eval('a + b')\nexec('c = a * 10')\nc = c",
        setup=("a, b = 1, 2",),
    ),
    Case(
        "a type alias", "Vector = list[float]\nPair = tuple[Vector, int | None]\nvalue: Pair = ([1.0], None)"
    ),
    Case("annotations of names", "x: int = 1\ny: 'list[int]' = [2]\nz: float", setup=()),
    Case(
        "an annotation of another cell's class",
        "p: Point = Point()\nq: 'Point' = p",
        setup=("class Point: pass",),
    ),
    Case(
        "futures of the cell",
        """
        from __future__ import annotations
        def f(x: Undefined) -> "Nothing":
            return x
        result = f(1)
        """,
        then=("def g(x: AlsoUndefined): pass\nprint(g.__annotations__)",),
    ),
    Case("a cell of comments", "# nothing here\n\n# at all"),
    Case(
        "a name that only a nested function reads",
        """
        def outer():
            def inner():
                return base * 2
            return inner()
        value = outer()
        """,
        setup=("base = 4",),
    ),
    Case("a semicolon between statements", "a = 1; b = a + 1; a, b"),
    Case("a last line without a newline and with trailing space", "a = 1\na   "),
    Case(
        "an undefined name",
        "print('never')\nvalue = undefined_name",
        refused="'undefined_name' is not defined",
    ),
)
