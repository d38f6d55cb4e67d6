"""pandas: frames, series, indexes, types."""

from __future__ import annotations

from corpus.case import Case

_PD = "import pandas as pd\nimport numpy as np"
_DF = "df = pd.DataFrame({'g': ['a', 'b', 'a'], 'x': [1.0, 2.0, np.nan], 'n': [1, 2, 3]})"

CASES = (
    Case(
        "a frame in and out",
        "clean = df.dropna().assign(y=lambda d: d.x * 2)\nshape = df.shape",
        setup=(_PD, _DF),
        fast=True,
    ),
    Case("a frame rebound", "df = df.dropna().reset_index(drop=True)", setup=(_PD, _DF)),
    Case(
        "groups",
        """
        means = df.groupby('g').mean(numeric_only=True)
        sizes = df.groupby('g').size()
        rows = [(k, len(v)) for k, v in df.groupby('g')]
        """,
        setup=(_PD, _DF),
    ),
    Case(
        "a query with the notebook's names",
        "big = df.query('n > @limit')\nsame = df.eval('n * 2')",
        setup=(_PD, _DF, "limit = 1"),
    ),
    Case(
        "a function applied to rows",
        "df['label'] = df.apply(label, axis=1)\ndf = df",
        setup=(_PD, _DF, "def label(row): return f'{row.g}{row.n}{SUFFIX}'", "SUFFIX = '!'"),
    ),
    Case(
        "merging and pivoting",
        """
        wide = df.pivot_table(index='g', values='n', aggfunc='sum')
        joined = df.merge(names, on='g', how='left')
        """,
        setup=(_PD, _DF, "names = pd.DataFrame({'g': ['a'], 'name': ['Anna']})"),
    ),
    Case(
        "times and their zones",
        """
        s = pd.Series(range(3), index=pd.date_range('2026-01-01', periods=3, tz='Europe/Prague'))
        monthly = s.resample('2D').sum()
        stamp = s.index[0]
        delta = s.index[1] - stamp
        """,
        setup=(_PD,),
    ),
    Case(
        "categories and several levels of index",
        """
        c = pd.Categorical(['lo', 'hi'], categories=['lo', 'hi'], ordered=True)
        f = pd.DataFrame({'c': c}, index=pd.MultiIndex.from_tuples([(1, 'a'), (1, 'b')], names=['n', 's']))
        one = f.loc[(1, 'b')]
        """,
        setup=(_PD,),
    ),
    Case(
        "types that know missing values",
        """
        f = pd.DataFrame({
            'i': pd.array([1, None], dtype='Int64'),
            's': pd.array(['x', None], dtype='string'),
            'b': pd.array([True, None], dtype='boolean'),
        })
        missing = f.isna().sum()
        """,
        setup=(_PD,),
    ),
    Case(
        "attributes of a frame",
        """
        df.attrs['source'] = 'here'
        df.index.name = 'row'
        df.columns.name = 'col'
        df = df
        """,
        setup=(_PD, _DF),
    ),
    Case(
        "a frame of the notebook's objects",
        "f = pd.DataFrame({'o': [Point(1), Point(2)]})\nfirst = f.o[0]",
        setup=(_PD, "class Point:\n    def __init__(self, x): self.x = x"),
        then=("print(type(first) is Point, first is f.o[0])",),
    ),
    Case(
        "reading and writing text",
        "import io\ntext = df.to_csv(index=False)\nagain = pd.read_csv(io.StringIO(text))",
        setup=(_PD, _DF),
    ),
    Case(
        "an empty frame",
        "empty = df[df.n > 99]\nnothing = pd.DataFrame()\nno_series = pd.Series(dtype=float)",
        setup=(_PD, _DF),
    ),
    Case(
        "one frame under two names and in a list",
        """
        a = df.copy()
        b = a
        frames = [a, df]
        df = df
        """,
        setup=(_PD, _DF),
    ),
    Case("a description is shown", "df.describe()", setup=(_PD, _DF)),
    Case("a series is shown", "df.groupby('g').n.sum()", setup=(_PD, _DF)),
    Case("display of the head and a last expression", "display(df.head(2))\ndf.tail(1)", setup=(_PD, _DF)),
    Case(
        "a chain of methods over lines",
        """
        result = (
            df
            .assign(z=1)  # a comment
            .rename(columns=str.upper)
            .sort_values('N', ascending=False)
        )
        """,
        setup=(_PD, _DF),
    ),
    Case(
        "an attribute of frames that the notebook has registered",
        "r = df.my.total()",
        setup=(
            """
            import pandas as pd
            import numpy as np
            """,
            """
            @pd.api.extensions.register_dataframe_accessor("my")
            class My:
                def __init__(self, o):
                    self.o = o
                def total(self):
                    return self.o.sum().sum()
            df = pd.DataFrame({"a": [1, 2]})
            """,
        ),
    ),
    Case(
        "an attribute of series that the cell registers",
        """
        @pd.api.extensions.register_series_accessor("dbl")
        class Dbl:
            def __init__(self, o):
                self.o = o
            def x(self):
                return self.o * 2
        r = s.dbl.x()
        """,
        setup=(
            """
            import pandas as pd
            import numpy as np
            """,
            "s = pd.Series([1, 2])",
        ),
        then=("print(s.dbl.x().tolist())",),
    ),
)
