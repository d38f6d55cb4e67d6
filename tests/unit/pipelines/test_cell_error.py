"""The exception of a failed cell, as what it was where that is possible."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from zenml_modal_nb.errors import RemoteCellError
from zenml_modal_nb.packaging.payload import unpack_error
from zenml_modal_nb.pipelines.cell_error import recordable, restore
from zenml_modal_nb.runner import pickling
from zenml_modal_nb.runner.program import Terminated


def fields(error: BaseException | None, ename: str = "E", evalue: str = "why") -> dict[str, Any]:
    pickled = None if error is None else base64.b64encode(bytes(pickling.dump(error, {}))).decode()
    return {"ename": ename, "evalue": evalue, "frames": [], "pickled": pickled}


def restored(record: dict[str, Any]) -> BaseException:
    return restore(record, lambda data: unpack_error(data, {}))


def test_an_exception_is_what_it_was() -> None:
    error = restored(fields(KeyError("x")))
    assert type(error) is KeyError
    assert error.args == ("x",)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_what_would_end_zenmls_machinery_is_told_to_it_by_its_name(error: BaseException) -> None:
    found = restored(fields(error))
    assert type(found) is type(error)
    told = recordable(found)
    assert isinstance(told, RemoteCellError)
    assert str(told) == ("SystemExit: 3" if isinstance(error, SystemExit) else "KeyboardInterrupt")


def test_the_runners_own_end_is_told_by_its_name() -> None:
    found = restored(fields(Terminated("told to end"), "Terminated", "told to end"))
    assert isinstance(found, RemoteCellError)


@pytest.mark.parametrize("pickled", [None, "no base64 é", "AAAA", ""])
def test_an_exception_that_did_not_come_whole_is_told_by_its_name(pickled: str | None) -> None:
    found = restored({**fields(None, "TorchError", "CUDA"), "pickled": pickled})
    assert isinstance(found, RemoteCellError)
    assert (found.ename, found.evalue) == ("TorchError", "CUDA")


def test_something_that_is_no_exception_is_not_raised() -> None:
    record = fields(None)
    record["pickled"] = base64.b64encode(bytes(pickling.dump("text", {}))).decode()
    assert isinstance(restored(record), RemoteCellError)
