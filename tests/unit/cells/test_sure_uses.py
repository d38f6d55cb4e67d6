"""What code surely uses when it is called, read from its bytecode."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from zenml_modal_nb.cells.bytecode import Use, sure_uses

helper = later = module = manager = flag = items = None


def calls() -> None:
    import json.decoder

    helper(json)
    module.function(1)
    kept = later
    return kept.helper()


def branches() -> None:
    if flag:
        helper()
    module.function()


def loops() -> None:
    for each in items:
        helper(each)


def tries() -> None:
    try:
        import json

        helper(json)
    except ValueError:
        later()


def leaves() -> None:
    return helper()
    later()


def manages() -> None:
    with manager() as managed:
        helper(managed)


def defines() -> object:
    def inner() -> None:
        helper()

    return inner


@pytest.mark.parametrize(
    ("function", "uses"),
    [
        (
            calls,
            [
                Use(("json.decoder",), imported=True),
                Use(("helper",), called=True),
                Use(("module", "function"), called=True),
                Use(("later",)),
            ],
        ),
        (branches, [Use(("flag",))]),
        (loops, [Use(("items",))]),
        (tries, []),
        (leaves, [Use(("helper",), called=True)]),
        (manages, [Use(("manager",), called=True)]),
        (defines, []),
    ],
)
def test_what_no_branch_loop_or_try_can_leave_out(function: Callable[[], object], uses: list[Use]) -> None:
    assert list(sure_uses(function.__code__)) == uses
