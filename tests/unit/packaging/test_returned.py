"""What a sandbox sends, restored in the notebook: whose memory it takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zenml_modal_nb.packaging.returned import restore
from zenml_modal_nb.runner.cell import Run
from zenml_modal_nb.runner.known import Known
from zenml_modal_nb.runner.results import collect


def sent(**values: Any) -> bytearray:
    """What a sandbox sends of a cell that has bound these."""
    from pathlib import Path

    run = Run.of_header(
        {"run": {"source": "", "filename": "<cell>", "step": "step", "outputs": list(values), "grace": None}}
    )
    return bytearray(bytes(collect(run, values, {}, Known((), values, Path(), {}), None, {}).values))


def test_an_array_that_is_most_of_what_came_takes_its_memory() -> None:
    data = sent(large=np.arange(1_000_000), small=np.arange(3_000))
    view = np.frombuffer(data, "u1")
    named = restore(memoryview(data), {}, []).named
    assert np.shares_memory(named["large"], view)
    assert not np.shares_memory(named["small"], view)
    for array in named.values():
        assert (array == np.arange(len(array))).all()
        array[0] = 7


def test_no_array_keeps_the_memory_of_others() -> None:
    data = sent(one=np.ones(100_000), other=np.ones(100_000), third=np.ones(100_000))
    view = np.frombuffer(data, "u1")
    named = restore(memoryview(data), {}, []).named
    assert not any(np.shares_memory(array, view) for array in named.values())


@pytest.mark.parametrize("kept", [bytes, lambda data: memoryview(data).toreadonly()])
def test_what_somebody_keeps_is_not_written_to(kept: Any) -> None:
    data = sent(large=np.zeros(1_000_000))
    before = bytes(data)
    array = restore(kept(data), {}, []).named["large"]
    array[:] = 1
    assert bytes(data) == before
