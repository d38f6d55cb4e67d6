"""numpy: values, types, layout, views that share memory."""

from __future__ import annotations

from corpus.case import Case

_NP = "import numpy as np"

CASES = (
    Case(
        "arrays in and out",
        "total = grid.sum(axis=0)\ntwice = grid * 2\nmean = grid.mean()",
        setup=(_NP, "grid = np.arange(6).reshape(2, 3)"),
        fast=True,
    ),
    Case(
        "types and shapes",
        """
        a = np.zeros((2, 0), 'f4')
        b = np.array(5)
        c = np.array([True])
        d = np.array(['x', 'yy'])
        e = np.datetime64('2026-01-01')
        f = np.arange(3, dtype='>i2')
        """,
        setup=(_NP,),
    ),
    Case(
        "numpy's own numbers",
        """
        a = np.float32(1.5)
        b = np.int8(3)
        c = np.bool_(True)
        d = grid.max()
        """,
        setup=(_NP, "grid = np.eye(2)"),
    ),
    Case(
        "a view and its array, both new",
        "base = np.zeros(4)\nview = base[1:3]\nflipped = base.reshape(2, 2).T",
        setup=(_NP,),
        then=("base[1] = 5\nprint(view, flipped)",),
    ),
    Case(
        "columns of Fortran order",
        "f = np.asfortranarray(np.arange(6.0).reshape(2, 3))\nt = f.T\ns = f[:, ::2].copy()",
        setup=(_NP,),
    ),
    Case(
        "an array that may not be written",
        "frozen = np.arange(3)\nfrozen.flags.writeable = False",
        setup=(_NP,),
    ),
    Case(
        "arrays that came back can be written",
        "small = np.zeros(3)\nlarge = np.zeros(100_000)",
        setup=(_NP,),
        then=("small[0] = large[0] = 1\nprint(small[0], large[0])",),
    ),
    Case(
        "arrays of objects",
        "mixed = np.array([{'a': 1}, None, 'x'], dtype=object)\ninner = mixed[0]",
        setup=(_NP,),
        then=("print(inner is mixed[0])",),
    ),
    Case(
        "structured arrays and records",
        """
        table = np.array([(1, 'a')], dtype=[('n', 'i4'), ('s', 'U3')])
        rec = table.view(np.recarray)
        n = rec.n
        """,
        setup=(_NP,),
    ),
    Case(
        "masked arrays", "masked = np.ma.array([1, 2, 3], mask=[0, 1, 0])\nmean = masked.mean()", setup=(_NP,)
    ),
    Case(
        "special values",
        "odd = np.array([np.nan, np.inf, -np.inf, -0.0])\nanything = np.isnan(odd).any()",
        setup=(_NP,),
    ),
    Case(
        "a large array",
        "back = big[::-1].copy()\nchecksum = int(back.sum())",
        setup=(_NP, "big = np.arange(50_000)"),
    ),
    Case(
        "an array in containers and attributes",
        "state = {'w': [w, w + 1], 'again': w2}\nw2 = w2",
        setup=(_NP, "w = np.ones(2)\nw2 = np.zeros(1)"),
    ),
    Case(
        "linear algebra",
        "q, r = np.linalg.qr(m)\nok = bool(np.allclose(q @ r, m))\ndet = round(float(np.linalg.det(m)), 6)",
        setup=(_NP, "m = np.array([[2.0, 1], [1, 3]])"),
    ),
    Case(
        "sparse matrices",
        """
        from scipy import sparse
        s = sparse.csr_matrix(np.eye(3))
        dense = (s @ s).toarray()
        nonzero = s.nnz
        del s
        """,
        setup=(_NP,),
    ),
    Case(
        "a vectorised function of the notebook",
        "out = f(np.arange(3))",
        setup=(_NP, "@np.vectorize\ndef f(x):\n    return x * 2 + OFFSET", "OFFSET = 1"),
    ),
    Case(
        "a subclass of arrays",
        "t = np.arange(3).view(Tagged)\nkind = type(t + 1) is Tagged",
        setup=(_NP, "class Tagged(np.ndarray): pass"),
    ),
    Case("the array module", "import array\na = array.array('d', [1, 2])\nm = memoryview(bytes(a)).nbytes"),
    Case(
        "a class of arrays with an attribute",
        """
        u.unit = "cm"
        u[0] = 5
        v = u * 2
        """,
        setup=(
            "import numpy as np",
            """
            class U(np.ndarray):
                def __new__(cls, a, unit=None):
                    o = np.asarray(a).view(cls)
                    o.unit = unit
                    return o
                def __array_finalize__(self, o):
                    self.unit = getattr(o, "unit", None)
            u = U([1.0, 2.0], "m")
            ul = u
            """,
        ),
        then=("print(ul.unit, v.unit, type(v) is U)",),
    ),
    Case(
        "arrays of infinite and of no numbers",
        """
        x = np.array([np.inf, 1.0])
        y = np.array([np.nan])
        z = np.array([])
        s = pd.Series([np.inf, -np.inf])
        d = pd.DataFrame({"a": [np.inf, 1]})
        w = np.array([1e308, 1e308])
        """,
        setup=(
            """
            import pandas as pd
            import numpy as np
            """,
        ),
        fast=True,
    ),
)
