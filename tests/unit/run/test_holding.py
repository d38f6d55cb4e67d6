"""Which options hold with which step operator: the README's table is the one that cells are refused by."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from zenml_modal_nb.errors import InvalidRequestError
from zenml_modal_nb.magics.options import SUPPORTED
from zenml_modal_nb.pipelines.operators import Operator
from zenml_modal_nb.request import StepRequest
from zenml_modal_nb.run.holding import KINDS, LACKS, refuse_lacking

README = Path(__file__).parents[3] / "README.md"
BEGIN, END = "<!-- options: written by tests/unit/run/test_holding.py -->\n", "<!-- end -->"
ASKING = {
    "--on": StepRequest(on="local"),
    "--env K": StepRequest(env=(("K", None),)),
    "--secret": StepRequest(secrets=("name",)),
    "--volume": StepRequest(volumes=(("data", "/data"),)),
    "--cache": StepRequest(cache=True),
    "--define": StepRequest(define=True),
}
OPERATORS = {
    "detached": Operator(),
    "connected, our flavor": Operator("own", execution="connected"),
    "connected, ZenML's flavor": Operator("modal", "modal", "connected"),
}


def table() -> str:
    flags = [option.flag for option in SUPPORTED if option.flag != "--operator"]
    flags.insert(flags.index("--env"), "--env K")
    flags[flags.index("--env")] = "--env K=V"
    rows = [f"| option | {' | '.join(KINDS)} |", "|---" * (len(KINDS) + 1) + "|"]
    rows += [
        f"| `{flag}` | {' | '.join('no' if flag in LACKS[kind] else 'yes' for kind in KINDS)} |"
        for flag in flags
    ]
    return "\n".join(rows) + "\n"


def test_the_readme_has_the_table() -> None:
    """`ZENML_MODAL_NB_WRITE=1 pytest` of this file writes it."""
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    shown, _, after = rest.partition(END)
    if os.environ.get("ZENML_MODAL_NB_WRITE"):
        README.write_text(f"{before}{BEGIN}{table()}{END}{after}", encoding="utf-8")
        return
    assert shown == table()


@pytest.mark.parametrize("option", ASKING)
@pytest.mark.parametrize("kind", KINDS)
def test_what_does_not_hold_is_refused_and_nothing_else(kind: str, option: str) -> None:
    operator = OPERATORS[kind]
    assert operator.kind == kind
    if option not in LACKS[kind]:
        refuse_lacking(ASKING[option], operator)
        return
    with pytest.raises(InvalidRequestError) as refused:
        refuse_lacking(ASKING[option], operator)
    assert f"{option} does not hold with the step operator '{operator.name}'" in str(refused.value)
    assert "Nothing was created." in str(refused.value)


def test_every_refused_option_is_one_that_there_is() -> None:
    assert set().union(*LACKS.values()) == set(ASKING)
