"""Values of every kind: what travels, and what is refused."""

from __future__ import annotations

from corpus.case import Case

CASES = (
    Case(
        "the basic types",
        """
        values = [True, None, 1, -2.5, 3j, 'text', b'bytes', bytearray(b'x'), (1,), {1}, frozenset({2})]
        values += [range(3), slice(1, 2), complex, len]
        """,
        fast=True,
    ),
    Case(
        "an ellipsis in a list",
        "marks = [..., NotImplemented]",
    ),
    Case(
        "very large and very small numbers",
        """
        big = 10 ** 400
        small = 5e-324
        neg = -0.0
        inf = float('inf')
        nan = float('nan')
        """,
    ),
    Case(
        "collections of the library",
        """
        from collections import defaultdict, Counter, deque, OrderedDict, ChainMap
        d = defaultdict(list, a=[1])
        c = Counter('aab')
        q = deque([1, 2], maxlen=2)
        o = OrderedDict(b=1, a=2)
        """,
        then=("d['new'].append(1)\nq.append(3)\nprint(d, q)",),
    ),
    Case(
        "a defaultdict of the notebook's function",
        "d = defaultdict(make)\nd['a'].append(1)",
        setup=("from collections import defaultdict\ndef make(): return ['start']",),
        then=("print(d['b'])",),
    ),
    Case(
        "paths, dates, patterns and identifiers",
        """
        from pathlib import Path
        import re, uuid, datetime as dt, ipaddress
        p = Path('a') / 'b'
        r = re.compile('a+', re.I)
        u = uuid.UUID(int=5)
        t = dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc)
        i = ipaddress.ip_address('::1')
        """,
    ),
    Case(
        "texts of other alphabets",
        "words = text.split()\nback = text[::-1]\nsize = len(text.encode())",
        setup=("text = 'žluťoučký kůň 🦄 漢字 עברית'",),
    ),
    Case("half a surrogate and a zero byte", "odd = '\\ud800'\nzero = 'a\\0b'\nraw = bytes(range(256))"),
    Case("deep nesting", "deep = []\nfor _n in range(100):\n    deep = [deep]"),
    Case(
        "a dictionary with odd keys",
        "odd = {None: 1, (1, 'a'): 2, 1.5: 3, frozenset({1}): 4, True: 5}\nkeys = len(odd)",
    ),
    Case("order of a dictionary", "d = {'z': 1, 'a': 2}\nd['m'] = 3\nkeys = list(d)"),
    Case(
        "a large text and a large list",
        "text = 'abc' * 200_000\nnumbers = list(range(30_000))\ntotal = sum(given)",
        setup=("given = list(range(20_000))",),
    ),
    Case(
        "one name for many megabytes",
        "back = bytes(reversed(blob))\nsize = len(back)\ndel back",
        setup=("blob = bytes(3_000_000)",),
    ),
    Case(
        "a namespace and a mapping proxy",
        "from types import SimpleNamespace\nns = SimpleNamespace(a=1, b=[2])\nns.c = ns.b",
        then=("print(ns.c is ns.b)",),
    ),
    Case(
        "an attrs and a pydantic class",
        """
        import attrs, pydantic
        @attrs.define
        class A:
            n: int
        class P(pydantic.BaseModel):
            n: int = 1
        a, p = A(1), P(n='2')
        """,
        then=("print(a, p, type(a) is A, type(p) is P)",),
    ),
    Case(
        "a simulated module of settings",
        "rate = config.rate * 2",
        setup=("import types\nconfig = types.ModuleType('config')\nconfig.rate = 3",),
    ),
    Case(
        "a logger",
        """
        import logging
        log = logging.getLogger('mine')
        log.setLevel('INFO')
        name = log.name
        """,
        then=("print(log is logging.getLogger('mine'))",),
    ),
    Case(
        "text in memory",
        """
        import io
        buffer = io.StringIO()
        buffer.write('abc')
        text = buffer.getvalue()
        """,
        then=("buffer.write('d')\nprint(buffer.getvalue())",),
    ),
    Case(
        "a counter of itertools used inside",
        """
        import itertools
        ids = itertools.count(5)
        first = next(ids), next(ids)
        del ids
        """,
    ),
    Case(
        "a lock", "with lock:\n    pass", setup=("import threading\nlock = threading.Lock()",), refused="lock"
    ),
    Case("an open file", "text = file.read()", setup=("file = open('given.txt', 'w+')",), refused="file"),
    Case(
        "a generator of another cell",
        "rest = list(gen)",
        setup=("gen = (n for n in range(3))",),
        refused="gen",
    ),
    Case("a socket", "name = sock.family", setup=("import socket\nsock = socket.socket()",), refused="sock"),
    Case(
        "a lock inside a container",
        "n = state['n']",
        setup=("import threading\nstate = {'n': 1, 'lock': threading.Lock()}",),
        refused="state",
    ),
    Case(
        "a thread",
        "alive = thread.is_alive()",
        setup=("import threading\nthread = threading.Thread(target=print)",),
        refused="thread",
    ),
    Case(
        "a lock that the cell does not use",
        "n = 1 + one",
        setup=(
            """
        import threading
        lock = threading.Lock()
        one = 1
        del threading
        """,
        ),
    ),
    Case(
        "parsers of arguments and of configurations",
        """
        cp["a"]["y"] = "2"
        cp.add_section("b")
        ns = ap.parse_args(["--n", "3"])
        """,
        setup=(
            """
            import argparse, configparser
            cp = configparser.ConfigParser()
            cp.read_dict({"a": {"x": "1"}})
            al = cp
            ap = argparse.ArgumentParser()
            ap.add_argument("--n", type=int)
            """,
        ),
        then=('print(dict(al["a"]), al.sections(), ns.n)',),
    ),
)
