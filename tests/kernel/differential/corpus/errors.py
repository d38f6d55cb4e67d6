"""Errors that the cell raises: type, message, and what it leaves behind."""

from __future__ import annotations

from corpus.case import Case

CASES = (
    Case("an error ends the cell where it is", "before = [1]\nratio = 1 / 0\nafter = 2", fast=True),
    Case(
        "what was printed and shown before stays", "print('printed')\ndisplay('shown')\nraise KeyError('k')"
    ),
    Case("an error of a helper", "check('x')", setup=("def check(v):\n    return int(v)",)),
    Case(
        "an error class of the notebook",
        "done = 1\nraise OwnError(7, 'seven')",
        setup=(
            """
        class OwnError(Exception):
            def __init__(self, code, text):
                super().__init__(f'{code}: {text}')
                self.code = code
        """,
        ),
        fast=True,
    ),
    Case("an error class of the cell", "class Fresh(ValueError): pass\nraise Fresh('new')"),
    Case("an error with several arguments", "raise OSError(2, 'No such thing', 'name')"),
    Case("a missing file", "open('not-there.csv')"),
    Case(
        "a missing key, index and attribute",
        """
        try:
            {}['a']
        except KeyError:
            [][1]
        """,
    ),
    Case("an attribute error with its suggestion", "value = 'text'\nvalue.uper()"),
    Case("a failed assertion", "n = 1\nassert n > 2, f'{n} is too small'"),
    Case(
        "an error from another error",
        """
        try:
            int('x')
        except ValueError as error:
            raise RuntimeError('outer') from error
        """,
    ),
    Case(
        "an error while handling an error",
        """
        try:
            int('x')
        except ValueError:
            {}['missing']
        """,
    ),
    Case(
        "an error with notes",
        "problem = TypeError('with a note')\nproblem.add_note('look here')\nraise problem",
    ),
    Case(
        "a group of errors",
        "def fail(): raise ExceptionGroup('all', [ValueError(1), TypeError('two')])\nfail()",
        then=("raise ExceptionGroup('own', [ValueError(1)])",),
    ),
    Case("an error in the last expression", "a = 1\na.missing"),
    Case("an error in a loop leaves its variables", "total = 0\nfor n in [1, 2, 0, 4]:\n    total += 10 / n"),
    Case(
        "an error after an import", "import json as codec\ncodec.loads('{')", then=("print(codec.dumps(1))",)
    ),
    Case("an error after a deletion", "del doomed\nraise ValueError('late')", setup=("doomed = 1",)),
    Case("an error in an await", "async def fail():\n    raise LookupError('async')\nawait fail()"),
    Case(
        "an error in a with",
        """
        with open('made.txt', 'w') as f:
            pass
            del f
            raise ValueError('inside')
        """,
    ),
    Case("an error without a message", "raise ValueError"),
    Case("an error with a message of other alphabets", "raise ValueError('žluťoučký 🦄')"),
    Case("a name that is bound later", "if flag:\n    value = 1\nprint(value)", setup=("flag = False",)),
    Case("an unbound local", "def f():\n    x += 1\nf()"),
    Case("stop of the iteration", "next(iter([]))"),
    # Where IPython shows SystemExit and asks how to leave, a cell in a sandbox has ended well.
    Case(
        "an exit",
        "done = 1\nimport sys\nsys.exit(0)\nlater = 2\nimport json as codec",
        here="done = 1\nimport sys",
    ),
    Case("an exit with a code", "done = 1\nimport sys\nsys.exit(3)"),
    Case("an exit with a message", "done = 1\nraise SystemExit('enough')"),
    Case(
        "an error class with arguments by name",
        "raise OwnError(7, text='seven')",
        setup=(
            """
        class OwnError(LookupError):
            def __init__(self, code, *, text):
                super().__init__(code)
                self.text = text
            def __str__(self): return f'{self.args[0]}: {self.text}'
        """,
        ),
    ),
    Case("an error before an import", "1 / 0\nimport json as codec", setup=("codec = 5",)),
    Case("an error after a star import", "from math import *\nfloor('x')"),
    Case("an error before a star import", "1 / 0\nfrom math import *"),
    Case("a keyboard interrupt of the cell's own", "raise KeyboardInterrupt"),
    Case("a syntax error", "x = 1\ny = = 2", refused="line 3: invalid syntax"),
    Case(
        "too deep a recursion",
        """
        def dive(n): return dive(n + 1)
        try:
            dive(0)
        except RecursionError as error:
            name = type(error).__name__
        """,
    ),
    Case(
        "an error of pandas and of numpy",
        """
        import numpy as np
        try:
            np.ones(2) + np.ones(3)
        except ValueError as e:
            why = str(e)
        import pandas as pd
        pd.DataFrame({'a': [1]})['b']
        """,
    ),
)
