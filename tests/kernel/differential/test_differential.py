"""A corpus of cells, each run by plain IPython and through `%%modal_step`: the notebook must end in the same state."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from corpus import GROUPS
from corpus.case import Case
from sides import Ahead, Outcome, Side, differences

# Those of `built` that run by default.
_BUILT = frozenset(
    {
        "displays: the last expression is HTML",
        "estimators: a model trained there predicts here",
        "ipython syntax: shell lines in a helper of another cell",
    }
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
