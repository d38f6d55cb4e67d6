"""Random numbers and settings that a cell makes or reads by itself."""

from __future__ import annotations

from corpus.case import Case

CASES = (
    Case(
        "a generator seeded in the cell",
        "import numpy as np\nrng = np.random.default_rng(7)\ndraws = rng.random(3)",
        then=("print(rng.random(2))",),
        fast=True,
    ),
    Case(
        "a generator of another cell, given back",
        "draws = rng.random(3)\nrng = rng",
        setup=("import numpy as np\nrng = np.random.default_rng(7)",),
        then=("print(rng.random(2))",),
    ),
    Case(
        "a random source of the standard library",
        "draws = [source.random() for _ in range(3)]\nsource = source",
        setup=("import random\nsource = random.Random(3)",),
        then=("print(source.random())",),
    ),
    Case("numpy seeded in the cell", "import numpy as np\nnp.random.seed(0)\ndraws = np.random.rand(3)"),
    Case(
        "Python seeded in the cell",
        "import random\nrandom.seed(0)\ndraws = [random.random(), random.choice('abc')]",
    ),
    Case(
        "a warning silenced for a while",
        """
        import warnings
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            warnings.warn('unseen')
        quiet = True
        """,
    ),
    Case(
        "warnings recorded",
        """
        import warnings
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always')
            warnings.warn('seen')
        texts = [str(w.message) for w in caught]
        del caught
        """,
    ),
    Case(
        "an option of pandas for a while",
        """
        import pandas as pd
        with pd.option_context('display.max_rows', 4):
            print(pd.DataFrame({'a': range(10)}))
        """,
    ),
    Case(
        "numpy's print options for a while",
        "import numpy as np\nwith np.printoptions(precision=2):\n    print(np.array([1 / 3]))",
    ),
    Case(
        "decimals with a precision of their own",
        """
        from decimal import Decimal, localcontext
        with localcontext() as ctx:
            ctx.prec = 4
            third = Decimal(1) / 3
        del ctx
        """,
    ),
    Case("hashes of numbers and tuples", "h = hash((1, 2.5, None is None))\nkeys = list({3: 'a', 1: 'b'})"),
)
