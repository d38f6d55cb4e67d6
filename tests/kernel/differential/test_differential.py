"""A corpus of cells, each run by plain IPython and through `%%modal_step`: the notebook must end in the same state."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
from corpus import GROUPS
from corpus.case import Case
from sides import Ahead, Outcome, Side, differences, text_of

# Those of `built` that run by default.
_BUILT = frozenset(
    {
        "displays: the last expression is HTML",
        "estimators: a model trained there predicts here",
        "ipython syntax: shell lines in a helper of another cell",
    }
)

# What DESIGN.md lists that a cell may hold, as it looks in a cell (`cell`), in one or those before it (`any`), on its
# magic line (`options`), or in the message with which it is refused (`refused`).
_LISTED = (
    ("cell", r"^(\w+ = )?await "),
    ("cell", r"^!\w"),
    ("cell", r"^\w+ = !"),
    ("cell", r"^%pip install"),
    ("cell", r"^!pip install"),
    ("cell", r"^\w+ \+ 1\Z"),  # a last expression
    ("cell", r"\bplt\.plot\("),
    ("cell", r"\btqdm\b"),
    ("setup", r"^class \w+"),
    ("setup", r"^def \w+"),
    ("setup", r"^path\.write_text\(.*def "),  # a local module
    ("cell", r"\bnonlocal\b"),  # a closure
    ("setup", r"\bnonlocal\b"),
    ("cell", r"\(\w+(\(\w+\))? for \w+ in "),  # a generator
    ("cell", r"\[.+ for \w+ in "),  # comprehensions
    ("cell", r"\{.+ for \w+ in "),
    ("cell", r"^del \w+"),
    ("cell", r"^\w+ [-+*/|]= "),
    ("cell", r"^if \w+:\n\s+\w+ = "),  # conditional assignment
    ("cell", r"^@\w+"),
    ("setup", r"^@\w+"),
    ("cell", r"^\w+ = (list|dict|tuple)\["),  # a type alias
    ("cell", r": TypeAlias = "),
    ("cell", r"^\s+def \w+.*\n\s+def "),  # nested functions
    ("cell", r"\bglobal\b"),
    ("setup", r"\bglobal\b"),
    ("cell", r"^from \w+ import \*"),
    ("setup", r"^from \w+ import \*"),
    ("cell", r"^from __future__ import"),
    ("setup", r"^from __future__ import"),
    ("cell", r"^\w+\.append\("),  # a change in place
    ("cell", r"^display\("),
    ("cell", r"\bIPython\.display\b"),
    ("setup", r"def _repr_html_\("),
    ("options", r"--in "),
    ("options", r"--out "),
    ("options", r"--file "),
    ("options", r"--fetch "),
    ("refused", r"input\(\)"),
    ("refused", r"\Asock\Z"),
    ("refused", r"\Alock\Z"),
    ("refused", r"the magic %frobnicate"),
    ("refused", r"'undefined_name' is not defined"),
)

CASES = {f"{group}: {case.name}": case for group, cases in GROUPS.items() for case in cases}


def chosen(*, refused: bool, built: bool = False) -> list[Any]:
    """The corpus as parameters; what is not fast runs with everything only."""
    return [
        pytest.param(
            case, id=name, marks=[] if (name in _BUILT if built else case.fast) else [pytest.mark.slow]
        )
        for name, case in CASES.items()
        if (case.refused is not None) is refused
    ]


@pytest.mark.parametrize("case", chosen(refused=False))
def test_the_notebook_ends_in_the_same_state(case: Case, here: Side, there: Ahead) -> None:
    compare(case, there.outcome(case), here.run(case))


@pytest.mark.parametrize("case", chosen(refused=False, built=True))
def test_what_the_cell_imports_is_all_that_its_image_needs(case: Case, here: Side, built: Ahead) -> None:
    compare(case, built.outcome(case), here.run(case))


@pytest.mark.parametrize("case", chosen(refused=True))
def test_what_cannot_work_there_is_refused_before_anything_changes(case: Case, there: Ahead) -> None:
    assert case.refused is not None
    outcome = there.outcome(case)
    error = outcome.shown[0].error
    assert error is not None
    assert case.refused in error[1]
    assert (outcome.shown[0].output, outcome.started) == ([], False)
    assert not differences(outcome.after, outcome.before)


@pytest.mark.parametrize(("place", "look"), _LISTED)
def test_the_corpus_has_a_case_of_whatever_a_cell_may_hold(place: str, look: str) -> None:
    def texts(case: Case) -> list[str]:
        found = getattr(case, place) or ""
        return [text_of(each) for each in ([found] if isinstance(found, str) else found)]

    assert any(re.search(look, text, re.M) for case in CASES.values() for text in texts(case))


def compare(case: Case, there: Outcome, here: Outcome) -> None:
    """Fail where the notebook ends otherwise than here, but for what is told to stay there."""
    told = [each for each in there.shown[0].stderr.splitlines(keepends=True) if _tells(each, case)]
    assert len(told) == len(case.stays), there.shown[0].stderr
    found = there.without_lines(told).differences(here.without_names(case.stays))
    assert not found, "\n".join(found)


def _tells(line: str, case: Case) -> bool:
    return any(
        line.startswith(f"{name} is not in the notebook, it cannot come back: ") for name in case.stays
    )


def test_the_corpus_has_a_fast_case_of_every_group_and_no_name_twice() -> None:
    assert len(CASES) >= 150
    assert [name for name, count in Counter(case.name for case in CASES.values()).items() if count > 1] == []
    assert set(CASES) >= _BUILT
    for group, cases in GROUPS.items():
        assert any(case.fast for case in cases), group
