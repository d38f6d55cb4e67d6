"""Statements: conditions, loops, try, with, match, the walrus."""

from __future__ import annotations

from corpus.case import Case

CASES = (
    Case(
        "if, elif, else",
        """
        if n > 5:
            size = 'big'
        elif n > 2:
            size = 'middle'
        else:
            size = 'small'
        """,
        setup=("n = 3",),
    ),
    Case(
        "a loop leaves its variables",
        "for i, (a, b) in enumerate(pairs):\n    last = a + b",
        setup=("pairs = [(1, 2), (3, 4)]",),
        fast=True,
    ),
    Case("a loop over nothing", "for x in []:\n    seen = x\ndone = True"),
    Case(
        "break, continue and else",
        """
        found = None
        for n in range(10):
            if n % 2: continue
            if n > 4:
                found = n
                break
        else:
            missing = True
        """,
    ),
    Case(
        "the else of a loop that ends by itself",
        """
        for n in range(2):
            pass
        else:
            ended = n
        """,
    ),
    Case(
        "while with the walrus",
        """
        total = 0
        while (n := numbers.pop()) > 1:
            total += n
        numbers = list(numbers)
        """,
        setup=("numbers = [1, 2, 3]",),
    ),
    Case(
        "the walrus in conditions and calls",
        "if (m := len(text)) > 2 and (k := m + 1):\n    print(m, k)",
        setup=("text = 'abc'",),
    ),
    Case(
        "the walrus in a comprehension",
        "lengths = [size for w in words if (size := len(w)) > 1]\nlongest = size",
        setup=("words = ['aa', 'b', 'ccc']",),
    ),
    Case(
        "try and except",
        """
        try:
            value = int(text)
        except ValueError as error:
            value, why = -1, str(error)
        """,
        setup=("text = 'no number'",),
    ),
    Case(
        "try, else and finally",
        """
        steps = []
        try:
            steps.append("try")
        except KeyError:
            steps.append("except")
        else:
            steps.append("else")
        finally:
            steps.append("finally")
        """,
    ),
    Case(
        "errors in groups",
        """
        try:
            raise ExceptionGroup("several", [ValueError("a"), TypeError("b")])
        except* ValueError as group:
            values = [str(e) for e in group.exceptions]
        except* TypeError:
            types = True
        """,
    ),
    Case(
        "a name that is missing and caught",
        """
        try:
            known = undefined_thing
        except NameError:
            known = 'default'
        """,
    ),
    Case(
        "a missing import caught",
        """
        try:
            import not_a_module
        except ImportError:
            not_a_module = None
        """,
    ),
    Case(
        "an error raised again from another",
        """
        try:
            try:
                1 / 0
            except ZeroDivisionError as e:
                raise RuntimeError("outer") from e
        except RuntimeError as error:
            cause = type(error.__cause__).__name__
        """,
    ),
    Case(
        "with a file",
        """
        with open("note.txt", "w") as file:
            file.write("line")
        with open("note.txt") as file:
            text = file.read()
        del file
        """,
    ),
    Case(
        "with a temporary directory",
        """
        import os, tempfile
        with tempfile.TemporaryDirectory() as place:
            inside = os.path.isdir(place)
        after = os.path.isdir(place)
        del place
        """,
    ),
    Case(
        "with several managers",
        """
        from contextlib import ExitStack, suppress
        calls = []
        with suppress(KeyError), ExitStack() as stack:
            stack.callback(calls.append, "closed")
            {}["missing"]
        del stack
        """,
    ),
    Case(
        "with a manager of the notebook",
        "with Timer() as t:\n    work = 1\nended = t.ended",
        setup=(
            """
        class Timer:
            ended = False
            def __enter__(self): return self
            def __exit__(self, *_): self.ended = True
        """,
        ),
    ),
    Case(
        "match on values and sequences",
        """
        results = []
        for command in ["quit", ["go", "north"], ["drop", "a", "b"], {"k": 1, "x": 2}, 5]:
            match command:
                case "quit":
                    results.append("bye")
                case ["go", direction]:
                    results.append(direction)
                case ["drop", *things]:
                    results.append(things)
                case {"k": value, **rest}:
                    results.append((value, rest))
                case int(n) if n > 3:
                    results.append(n)
        """,
    ),
    Case(
        "match on a class",
        """
        match shape:
            case Circle(r=radius):
                kind = "circle"
            case _:
                kind = "other"
        """,
        setup=(
            """
        from dataclasses import dataclass
        @dataclass
        class Circle:
            r: int
        shape = Circle(4)
        """,
        ),
    ),
    Case("an assertion that holds", "assert n > 0, 'must be positive'\nchecked = True", setup=("n = 1",)),
    Case(
        "conditional expressions and chained comparisons",
        "size = 'big' if 1 < n <= 10 else 'other'",
        setup=("n = 5",),
    ),
    Case(
        "a loop over a generator of another cell",
        "total = 0\nfor n in squares(4):\n    total += n",
        setup=("def squares(n):\n    for i in range(n):\n        yield i * i",),
    ),
    Case(
        "an endless loop left by break",
        """
        n = 0
        while True:
            n += 1
            if n == 5: break
        """,
    ),
    Case(
        "statements after a line continuation",
        """
        total = 1 + \\
            2
        long = (1 +
            3)
        """,
    ),
)
