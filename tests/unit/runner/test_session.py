"""Random states and settings go to the sandbox with a cell, and what the cell makes of them comes back."""

import decimal
import random
import sys
import warnings

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from sandboxed import ran

from zenml_modal_nb.runner import filters, session


@pytest.fixture(autouse=True)
def _as_it_was():
    """Leave this process as it was."""
    state = session.take()
    listed = warnings.filters[:]
    yield
    for name, value in state.items():
        if name != "warnings":
            session._FACETS[name].put(sys.modules[name], value)
    warnings.filters[:] = listed


def carried(cell, outputs=()):
    """Run a cell with this process's state, and take over what it has left; returns what it bound."""
    namespace = {"__name__": "__main__"}
    state = session.take()
    run = ran(cell, namespace=namespace, outputs=outputs, isolated=False, state=state)
    assert run.result["ok"], run.error
    returned = run.returned()
    random.random(), np.random.rand()  # what the client does meanwhile
    session.put(returned.session, namespace, state)
    return returned


def test_a_seeded_notebook_draws_the_same_numbers_here_and_there():
    random.seed(7)
    np.random.seed(7)
    plain = [random.random() for _ in range(4)], np.random.rand(4).tolist()
    random.seed(7)
    np.random.seed(7)
    first = random.random(), np.random.rand()
    cell = (
        "import random, numpy as np\ndrawn = [random.random(), random.random()], np.random.rand(2).tolist()"
    )
    there = carried(cell, ["drawn"]).named["drawn"]
    last = random.random(), np.random.rand()
    assert ([first[0], *there[0], last[0]], [first[1], *there[1], last[1]]) == plain


def test_a_cell_that_seeds_leaves_the_sequence_to_the_next_one():
    carried("import random, numpy\nrandom.seed(3)\nnumpy.random.seed(3)")
    drawn = random.random(), np.random.rand()
    random.seed(3)
    np.random.seed(3)
    assert drawn == (random.random(), np.random.rand())


def test_what_a_cell_does_not_draw_is_drawn_next():
    random.seed(5)
    returned = carried("x = 1")
    drawn = random.random()
    random.seed(5)
    assert drawn == random.random()
    assert returned.session == {}


def test_settings_hold_in_the_cell_and_those_it_makes_hold_afterwards():
    pd.set_option("display.max_rows", 7)
    mpl.rcParams["lines.linewidth"] = 4.5
    np.set_printoptions(precision=2)
    np.seterr(divide="ignore")
    decimal.getcontext().prec = 9
    limit = sys.getrecursionlimit() + 11
    sys.setrecursionlimit(limit)
    returned = carried(
        "import decimal, sys, numpy as np, pandas as pd, matplotlib as mpl\n"
        "seen = [pd.get_option('display.max_rows'), mpl.rcParams['lines.linewidth'], str(np.array([1 / 3])),\n"
        "        np.geterr()['divide'], decimal.getcontext().prec, sys.getrecursionlimit()]\n"
        "pd.reset_option('display.max_rows'); pd.set_option('display.precision', 3)\n"
        "mpl.rcParams['axes.grid'] = True; mpl.rcParams['lines.linewidth'] = mpl.rcParamsDefault['lines.linewidth']\n"
        "np.set_printoptions(precision=4); np.seterr(over='raise')\n"
        "decimal.getcontext().prec = 11; sys.setrecursionlimit(sys.getrecursionlimit() + 1)",
        ["seen"],
    )
    assert returned.named["seen"] == [7, 4.5, "[0.33]", "ignore", 9, limit]
    assert (pd.get_option("display.max_rows"), pd.get_option("display.precision")) == (60, 3)
    assert (mpl.rcParams["axes.grid"], mpl.rcParams["lines.linewidth"]) == (True, 1.5)
    assert (str(np.array([1 / 3])), np.geterr()["over"]) == ("[0.3333]", "raise")
    assert (decimal.getcontext().prec, sys.getrecursionlimit()) == (11, limit + 1)


def test_nothing_is_imported_for_settings():
    modules = ("numpy", "pandas", "matplotlib", "torch", "decimal")
    cell = f"import sys\nfound = [name for name in {modules} if name in sys.modules]"
    assert carried(cell, ["found"]).named["found"] == []


def test_filters_of_warnings_hold_in_the_cell_and_those_it_adds_hold_afterwards():
    warnings.filterwarnings("error", message="old", category=DeprecationWarning)
    warnings.simplefilter("ignore", pd.errors.PerformanceWarning)
    here = warnings.filters[:]
    returned = carried(
        "import warnings\n"
        "try:\n    warnings.warn('old ways', DeprecationWarning)\n    raised = False\n"
        "except DeprecationWarning:\n    raised = True\n"
        "import pandas as pd\n"
        "warnings.warn('slow', pd.errors.PerformanceWarning)\n"
        "warnings.filterwarnings('ignore', message='new')\n",
        ["raised"],
    )
    assert returned.named["raised"] is True
    assert warnings.filters[0] not in here
    assert warnings.filters[0][0] == "ignore"
    assert warnings.filters[0][1].pattern == "new"
    assert [entry for entry in warnings.filters if entry in here] == here


def test_filters_that_a_cell_removes_are_removed_here_but_for_those_it_could_not_know():
    a, b, c, d, new, late = ((name, None, "builtins", "Warning", None, 0) for name in "abcdnl")
    assert filters.merged([a, b, c], [a, c], [new, c]) == [new, b, c]
    assert filters.merged([a, b, c], [a, c], [a, c, late]) == [a, b, c, late]
    assert filters.merged([a, b], [a], []) == []
    assert filters.merged([a, b], [a, b], [b, a]) == [a, b]
    assert filters.merged([], [], [d]) == [d]
