"""Functions: helpers of other cells, closures, lambdas, decorators, recursion, `global`."""

from __future__ import annotations

from corpus.case import Case

CASES = (
    Case(
        "helpers that call helpers of other cells",
        "result = outer(3)",
        setup=("SCALE = 10", "def inner(x):\n    return x * SCALE", "def outer(x):\n    return inner(x) + 1"),
        fast=True,
    ),
    Case(
        "helpers defined in reverse order",
        "result = a(2)",
        setup=("def a(x): return b(x) + 1", "def b(x): return x * 2"),
    ),
    Case(
        "recursion",
        "facts = [factorial(n) for n in range(6)]",
        setup=("def factorial(n):\n    return 1 if n < 2 else n * factorial(n - 1)",),
    ),
    Case(
        "mutual recursion",
        "flags = [is_even(7), is_odd(7)]",
        setup=(
            "def is_even(n): return n == 0 or is_odd(n - 1)",
            "def is_odd(n): return n != 0 and is_even(n - 1)",
        ),
    ),
    Case(
        "recursion of the cell's own function",
        """
        def depth(tree):
            return 1 + max(map(depth, tree), default=0)
        deep = depth([[[]], []])
        """,
    ),
    Case(
        "a helper that assigns a global",
        "bump()\nbump()\nseen = counter",
        setup=(
            "counter = 0",
            "def bump():\n    global counter\n    counter += 1",
        ),
    ),
    Case(
        "a function of the cell that assigns a global",
        """
        def record(x):
            global latest
            latest = x
        record(5)
        """,
        setup=("latest = None",),
    ),
    Case(
        "a helper that binds a new global",
        "make()\ncopy = fresh",
        setup=("def make():\n    global fresh\n    fresh = [1]",),
    ),
    Case(
        "a helper that deletes a global",
        "drop()",
        setup=("doomed = 1", "def drop():\n    global doomed\n    del doomed"),
    ),
    Case(
        "a function returned uses the notebook's globals",
        "def scaled(x):\n    return x * factor\nnow = scaled(10)",
        setup=("factor = 2",),
        then=("factor = 5\nprint(scaled(10))",),
    ),
    Case(
        "a closure of another cell",
        "values = [add(1), add(2)]",
        setup=(
            """
        def adder(n):
            def add(x):
                return x + n
            return add
        """,
            "add = adder(10)",
        ),
    ),
    Case(
        "a closure made by the cell",
        "triple = multiplier(3)\nnine = triple(3)",
        setup=("def multiplier(n):\n    return lambda x: x * n",),
        then=("print(triple(5))",),
    ),
    Case(
        "a closure with a state of its own",
        """
        def counter():
            n = 0
            def step():
                nonlocal n
                n += 1
                return n
            return step
        tick = counter()
        first = tick(), tick()
        """,
        then=("print(tick())",),
    ),
    Case(
        "closures that share a variable",
        """
        def pair():
            n = 0
            def get(): return n
            def put(x):
                nonlocal n
                n = x
            return get, put
        get, put = pair()
        put(4)
        """,
        then=("put(9)\nprint(get())",),
    ),
    Case(
        "lambdas",
        "key = lambda row: row[1]\nordered = sorted(rows, key=key)",
        setup=("rows = [(1, 'b'), (2, 'a')]",),
    ),
    Case(
        "a lambda of another cell with a default",
        "result = power(3)",
        setup=("power = lambda x, n=2: x ** n",),
    ),
    Case(
        "late binding in a loop",
        "calls = [lambda: n for n in range(3)]\nresults = [call() for call in calls]",
    ),
    Case(
        "a decorator of another cell",
        """
        @twice
        def hello():
            return "hello"
        said = hello()
        """,
        setup=(
            """
        def twice(f):
            def inner():
                return f() + f()
            return inner
        """,
        ),
    ),
    Case(
        "a decorator with arguments and functools.wraps",
        """
        @repeat(3)
        def word(x: str) -> str:
            "Say it."
            return x
        said = word("ha")
        about = word.__name__, word.__doc__
        """,
        setup=(
            """
        import functools
        def repeat(n):
            def decorate(f):
                @functools.wraps(f)
                def inner(*args):
                    return f(*args) * n
                return inner
            return decorate
        """,
        ),
    ),
    Case(
        "a cached function",
        "results = [fib(20), fib(20)]\ninfo = fib.cache_info().currsize > 0",
        setup=(
            "from functools import lru_cache",
            "@lru_cache(None)\ndef fib(n):\n    return n if n < 2 else fib(n - 1) + fib(n - 2)",
        ),
    ),
    Case(
        "a cached function of the cell's own",
        """
        from functools import cache
        @cache
        def slow(n):
            return n * n
        nine = slow(3)
        """,
        then=("print(slow(4))",),
    ),
    Case(
        "a dispatched function",
        "results = [describe(1), describe('a'), describe(2.0)]",
        setup=(
            """
        from functools import singledispatch
        @singledispatch
        def describe(x): return "something"
        @describe.register
        def _(x: int): return "number"
        @describe.register
        def _(x: str): return "text"
        """,
        ),
    ),
    Case(
        "a partial function",
        "result = add_five(1)\nadd_six = partial(add, 6)",
        setup=("from functools import partial\ndef add(a, b): return a + b\nadd_five = partial(add, 5)",),
    ),
    Case(
        "defaults that are objects of other cells",
        "result = f()",
        setup=("DEFAULT = {'k': [1]}", "def f(x=DEFAULT): return x"),
    ),
    Case(
        "a default argument that changes",
        """
        def collect(x, seen=[]):
            seen.append(x)
            return seen
        first = len(collect(1))
        """,
        then=("print(collect(2))",),
    ),
    Case(
        "keyword-only, positional-only and collected parameters",
        """
        def f(a, /, b, *args, c=3, **kwargs):
            return a, b, args, c, kwargs
        result = f(1, 2, 9, 8, c=4, d=5)
        """,
    ),
    Case(
        "attributes of a function",
        "tagged.calls = tagged.calls + 1\ntagged = tagged",
        setup=("def tagged(): pass\ntagged.calls = 1",),
    ),
    Case(
        "functions nested three deep",
        """
        def one(a):
            def two(b):
                def three(c):
                    return a + b + c + base
                return three
            return two
        result = one(1)(2)(3)
        """,
        setup=("base = 100",),
    ),
    Case(
        "type hints of other cells' classes",
        """
        def first(rows: "list[Row]", default: Row | None = None) -> Row:
            return rows[0]
        got = first([Row(1)])
        hints = sorted(first.__annotations__)
        """,
        setup=("class Row:\n    def __init__(self, n): self.n = n",),
    ),
    Case(
        "hints resolved at run time",
        "import typing\nhints = typing.get_type_hints(f)\nnames = list(hints)",
        setup=(
            "class Row: pass",
            "def f(x: 'Row') -> 'list[Row]': return [x]",
        ),
    ),
    Case(
        "a function redefined",
        "def f(): return 'new'\nresult = f()",
        setup=("def f(): return 'old'", "def g(): return f()"),
        then=("print(g())",),
    ),
    Case(
        "a helper redefined as seen by another cell's function",
        "def helper(): return 2\nresult = caller()",
        setup=("def helper(): return 1", "def caller(): return helper()"),
    ),
    Case(
        "functions in containers",
        "results = {name: f(4) for name, f in table.items()}",
        setup=("def half(x): return x / 2\ntable = {'half': half, 'neg': lambda x: -x}",),
    ),
    Case(
        "a function passed to a library",
        "ordered = sorted(words, key=length)\ntotal = reduce(add, [1, 2, 3])",
        setup=(
            """
        from functools import reduce
        from operator import add
        words = ['ccc', 'a', 'bb']
        def length(w): return len(w)
        """,
        ),
    ),
    Case(
        "a generator function of another cell",
        "numbers = list(countdown(3))",
        setup=(
            """
        def countdown(n):
            while n:
                yield n
                n -= 1
        """,
        ),
    ),
    Case(
        "a context manager made of a generator",
        """
        with tagged("b") as tag:
            inside = tag
        """,
        setup=(
            """
        from contextlib import contextmanager
        log = []
        @contextmanager
        def tagged(name):
            yield f"<{name}>"
        """,
        ),
    ),
    Case(
        "a function whose docstring is code",
        '''
        def documented():
            """Say it.

            >>> documented()
            """
        doc = documented.__doc__
        ''',
    ),
)
