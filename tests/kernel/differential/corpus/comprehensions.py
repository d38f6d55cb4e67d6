"""Comprehensions and generators."""

from __future__ import annotations

from corpus.case import Case

CASES = (
    Case(
        "comprehensions of every kind",
        """
        squares = [n * n for n in numbers if n % 2]
        table = {n: str(n) for n in numbers}
        unique = {n % 2 for n in numbers}
        total = sum(n for n in numbers)
        """,
        setup=("numbers = [1, 2, 3]",),
        fast=True,
    ),
    Case(
        "nested comprehensions",
        """
        matrix = [[row * col for col in range(3)] for row in range(2)]
        flat = [x for row in matrix for x in row]
        """,
    ),
    Case("a comprehension's variable hides a name", "values = [n for n in range(3)]", setup=("n = 'mine'",)),
    Case(
        "a comprehension that calls a helper",
        "halves = [half(n) for n in numbers]",
        setup=("numbers = [2, 4]", "def half(n): return n / divisor", "divisor = 2"),
    ),
    Case(
        "a generator used inside",
        """
        gen = (n * 2 for n in range(5))
        first, second = next(gen), next(gen)
        rest = list(gen)
        del gen
        """,
    ),
    Case(
        "a pipeline of generators",
        """
        def read():
            yield from ["1", "x", "3"]
        def parse(lines):
            for line in lines:
                if line.isdigit():
                    yield int(line)
        numbers = list(parse(read()))
        """,
    ),
    Case(
        "a generator that is sent values",
        """
        def average():
            total = count = 0
            mean = None
            while True:
                value = yield mean
                total, count = total + value, count + 1
                mean = total / count
        running = average()
        next(running)
        means = [running.send(n) for n in (10, 20)]
        running.close()
        del running
        """,
    ),
    Case(
        "unpacking in calls and displays",
        "merged = {**left, 'b': 2}\njoined = [*left, *range(2)]\ntext = str.join(*args)",
        setup=("left = {'a': 1}\nargs = ('-', ['x', 'y'])",),
    ),
    Case(
        "iterators of the library",
        """
        import itertools
        pairs = list(itertools.pairwise(rows))
        first = list(itertools.islice(itertools.count(), 3))
        """,
        setup=("rows = [1, 2, 3]",),
    ),
    Case(
        "map, filter and zip",
        """
        doubled = list(map(lambda n: n * k, rows))
        big = list(filter(None, rows))
        pairs = dict(zip('ab', rows))
        """,
        setup=("rows, k = [0, 2], 3",),
    ),
    Case(
        "a comprehension in a class body",
        "class Table:\n    keys = [k.upper() for k in names]\nkeys = Table.keys",
        setup=("names = ['a', 'b']",),
    ),
)
