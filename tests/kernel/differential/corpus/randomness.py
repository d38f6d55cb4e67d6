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
    Case(
        "numpy seeded by an earlier cell",
        "draws = np.random.rand(2)",
        setup=("import numpy as np\nnp.random.seed(1)",),
        then=("print(np.random.rand(2))",),
    ),
    Case(
        "Python seeded by an earlier cell",
        "draw = random.random()",
        setup=("import random\nrandom.seed(1)",),
        then=("print(random.random())",),
    ),
    Case(
        "seeds of the cell hold for later cells",
        "import random\nimport numpy as np\nrandom.seed(2)\nnp.random.seed(2)",
        then=("print(random.random(), np.random.rand())",),
    ),
    Case(
        "warnings filtered by an earlier cell",
        "warnings.warn('unseen')\nwarnings.warn('seen', FutureWarning)",
        setup=("import warnings\nwarnings.simplefilter('ignore', UserWarning)",),
        then=("warnings.resetwarnings()",),
    ),
    Case(
        "an option of pandas set by an earlier cell",
        "print(pd.DataFrame({'a': range(10)}))\nwidth = pd.get_option('display.max_rows')",
        setup=("import pandas as pd\npd.set_option('display.max_rows', 4)",),
        then=("pd.reset_option('display.max_rows')",),
    ),
    Case(
        "an option of pandas set by the cell",
        "import pandas as pd\npd.set_option('display.max_rows', 4)",
        then=("print(pd.get_option('display.max_rows'))\npd.reset_option('display.max_rows')",),
    ),
    Case(
        "numpy's print options of an earlier cell",
        "print(np.array([1 / 3]))",
        setup=("import numpy as np\nnp.set_printoptions(precision=2)",),
        then=("np.set_printoptions(precision=8)",),
    ),
    Case(
        "parameters of plots set by an earlier cell",
        "width = plt.rcParams['lines.linewidth']",
        setup=("import matplotlib.pyplot as plt\nplt.rcParams['lines.linewidth'] = 7",),
        then=("plt.rcdefaults()",),
    ),
    Case(
        "parameters of plots set by the cell",
        "import matplotlib.pyplot as plt\nplt.rcParams['lines.linewidth'] = 7",
        then=("print(plt.rcParams['lines.linewidth'])\nplt.rcdefaults()",),
    ),
    Case(
        "the precision of decimals of an earlier cell",
        "third = Decimal(1) / 3",
        setup=("from decimal import Decimal, getcontext\ngetcontext().prec = 4",),
        then=("getcontext().prec = 28",),
    ),
    Case(
        "functions imported from random",
        """
        r = [randint(0, 99), rnd()]
        xs = list(range(5))
        shuffle(xs)
        """,
        setup=(
            """
            from random import randint, random as rnd, shuffle, seed
            seed(3)
            """,
        ),
        then=(
            """
            print(rnd(), randint(0, 99))
            seed(3)
            print(rnd())
            """,
        ),
        fast=True,
    ),
    Case(
        "functions imported from numpy's random",
        """
        r = [randn(), rand()]
        c = choice(5)
        """,
        setup=(
            """
            from numpy.random import rand, randn, seed, choice
            seed(3)
            """,
        ),
        then=(
            """
            print(rand())
            seed(3)
            print(rand())
            """,
        ),
    ),
    Case(
        "functions of random in a dictionary",
        'v = table["r"]()',
        setup=(
            """
            import random
            random.seed(3)
            table = {"r": random.random}
            """,
        ),
        then=('print(random.random(), table["r"]())',),
    ),
    Case(
        "functions imported from random by the cell",
        """
        from random import randint, seed
        seed(5)
        a = randint(0, 1000)
        """,
        then=(
            """
            print(randint(0, 1000))
            import random
            print(random.random())
            """,
        ),
    ),
    Case(
        "a distribution that draws from numpy's generator",
        """
        f = stats.norm(1, 2)
        x = g.rvs()
        """,
        setup=(
            """
            from scipy import stats
            import numpy as np
            np.random.seed(1)
            g = stats.gamma(2)
            """,
        ),
        then=(
            """
            np.random.seed(0)
            print(f.rvs(), g.rvs())
            """,
        ),
    ),
    Case(
        "numpy's own generator under another name",
        "a = rs.rand()",
        setup=(
            """
            from sklearn.utils import check_random_state
            import numpy as np
            np.random.seed(1)
            rs = check_random_state(None)
            """,
        ),
        then=("print(rs is np.random.mtrand._rand, np.random.rand(), rs.rand())",),
    ),
    Case(
        "logging set up by an earlier cell",
        """
        log.info("in cell")
        logging.debug("no")
        logging.info("root")
        """,
        setup=(
            """
            import logging, sys
            logging.basicConfig(
                level=logging.INFO, format="%(levelname)s:%(name)s:%(message)s", stream=sys.stdout, force=True
            )
            log = logging.getLogger("hunt.a")
            """,
        ),
        then=(
            """
            log.info("after")
            logging.basicConfig(level=logging.WARNING, handlers=[], force=True)
            """,
        ),
        fast=True,
    ),
    Case(
        "logging set up by the cell",
        """
        import logging, sys
        logging.basicConfig(level=logging.INFO, format="%(message)s!", stream=sys.stdout, force=True)
        logging.info("x")
        """,
        then=(
            """
            logging.info("after")
            logging.basicConfig(level=logging.WARNING, handlers=[], force=True)
            """,
        ),
    ),
    Case(
        "a logger's own handler",
        'log.info("in cell %d", 5)',
        setup=(
            """
            import logging, sys
            log = logging.getLogger("hunt.x")
            log.setLevel("INFO")
            log.propagate = False
            log.handlers[:] = [logging.StreamHandler(sys.stdout)]
            """,
        ),
        then=(
            """
            log.info("y")
            print(len(log.handlers))
            """,
        ),
    ),
    Case(
        "scikit-learn's settings of an earlier cell",
        "t = type(StandardScaler().fit_transform(df)).__name__",
        setup=(
            """
            import sklearn
            import pandas as pd
            from sklearn.preprocessing import StandardScaler
            df = pd.DataFrame({"n": [1.0, 2.0]})
            sklearn.set_config(transform_output="pandas")
            """,
        ),
        then=('sklearn.set_config(transform_output="default")',),
    ),
    Case(
        "scikit-learn's settings of the cell",
        """
        sklearn.set_config(transform_output="pandas")
        z = StandardScaler().fit_transform(df)
        t = type(z).__name__
        """,
        setup=(
            """
            import sklearn
            import pandas as pd
            from sklearn.preprocessing import StandardScaler
            df = pd.DataFrame({"n": [1.0, 2.0]})
            """,
        ),
        then=(
            """
            print(type(StandardScaler().fit_transform(df)).__name__)
            sklearn.set_config(transform_output="default")
            """,
        ),
    ),
    Case(
        "plotly's template of an earlier cell",
        """
        f = go.Figure(go.Bar(y=[1]))
        t = pio.templates.default
        c = f.layout.template.layout.plot_bgcolor
        del f
        """,
        setup=(
            """
            import plotly.graph_objects as go, plotly.io as pio
            pio.templates.default = "plotly_white"
            """,
        ),
        then=('pio.templates.default = "plotly"',),
    ),
    Case(
        "plotly's template of the cell",
        """
        import plotly.io as pio
        pio.templates.default = "ggplot2"
        """,
        then=(
            """
            print(pio.templates.default)
            pio.templates.default = "plotly"
            """,
        ),
    ),
)
