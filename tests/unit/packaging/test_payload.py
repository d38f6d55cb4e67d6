"""Values on their way to a sandbox and back: shared where they were shared, blamed by their names."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import numpy
import pytest

from zenml_modal_nb.errors import PackagingError, ResultError
from zenml_modal_nb.packaging.payload import pack, unpack, unpack_error
from zenml_modal_nb.runner import pickling


def there(values: dict[str, object], namespace: dict[str, Any] | None = None) -> dict[str, Any]:
    """What a cell in the sandbox finds."""
    return dict(pickling.load(bytes(pack(values, namespace or {})), {})["values"])


def back(named: dict[str, object], last: object = None, namespace: dict[str, Any] | None = None) -> Any:
    graph = {"values": named} if last is None else {"values": named, "last": last}
    return unpack(bytes(pickling.dump(graph, {})), namespace if namespace is not None else {})


def test_what_two_names_share_is_shared_there() -> None:
    shared = [1]
    found = there({"a": shared, "b": {"inner": shared}, "c": shared})
    assert found["a"] is found["c"] is found["b"]["inner"]


def test_a_cycle_travels() -> None:
    ring: dict[str, Any] = {}
    ring["self"] = ring
    found = there({"ring": ring})["ring"]
    assert found["self"] is found


def test_what_results_share_is_shared_here_the_last_value_too() -> None:
    shared = [1]
    named, last = back({"a": shared, "b": [shared]}, last=shared)
    assert named["a"] is named["b"][0] is last


def test_arrays_come_back_writable_and_equal() -> None:
    array = numpy.arange(100_000)
    named, _ = back({"array": array})
    named["array"][0] = 7
    assert named["array"][1:].tolist() == array[1:].tolist()


def test_an_array_is_not_copied_to_be_sent() -> None:
    array = numpy.arange(100_000)
    packed = pack({"array": array}, {})
    views = [piece for piece in packed.pieces if isinstance(piece, memoryview)]
    assert any(numpy.shares_memory(numpy.frombuffer(view, array.dtype), array) for view in views)


def test_every_value_that_cannot_travel_is_named_with_its_type_and_reason() -> None:
    values = {"fine": 1, "lock": threading.Lock(), "socket": SimpleNamespace(inner=threading.Event())}
    with pytest.raises(PackagingError) as refused:
        pack(values, {})
    text = str(refused.value)
    assert "lock (lock): " in text
    assert "socket (SimpleNamespace): " in text
    assert "fine" not in text
    assert "Nothing was created" in text


class Hostile:
    def __reduce__(self) -> Any:
        raise ZeroDivisionError("on purpose")


def test_an_object_whose_own_code_fails_is_named() -> None:
    with pytest.raises(PackagingError, match=r"thing \(Hostile\): on purpose"):
        pack({"thing": Hostile()}, {})


def test_nothing_that_came_back_is_no_results() -> None:
    assert unpack(b"", {}) == ({}, None)


@pytest.mark.parametrize("data", [b"nonsense", b"ZMNB1\n", b"ZMNB1\n" + b"\xff" * 8, b"ZMNB1\n" + bytes(16)])
def test_damaged_results_are_said_to_be(data: bytes) -> None:
    with pytest.raises(ResultError, match="cannot be restored here"):
        unpack(data, {})


def test_a_result_of_a_package_that_is_missing_here_says_so() -> None:
    # GLOBAL opcode: an object of a module that only the image has
    body = pickling.dump({"values": {}}, {})
    graph = bytes(body).replace(b"values", b"values")
    assert unpack(graph, {})[0] == {}
    missing = b"\x80\x02cno_such_module_zmnb\nThing\n."
    size = len(missing).to_bytes(8, "big")
    head = pickling.MAGIC + (1).to_bytes(8, "big") + size
    with pytest.raises(ResultError, match=r"ModuleNotFoundError.*no_such_module_zmnb"):
        unpack(head + bytes(-len(head) % 64) + missing, {})


def test_a_function_that_comes_back_has_the_notebooks_variables() -> None:
    namespace: dict[str, Any] = {"factor": 3, "__name__": "__main__"}
    exec("def f(x): return x * factor", namespace)
    data = bytes(pickling.dump({"values": {"f": namespace["f"]}}, namespace))
    del namespace["f"]
    named, _ = unpack(data, namespace)
    namespace["factor"] = 5
    assert named["f"](2) == 10
    assert named["f"].__globals__ is namespace


def test_an_exception_comes_back_as_what_it_was() -> None:
    error = unpack_error(bytes(pickling.dump(KeyError("x"), {})), {})
    assert isinstance(error, KeyError)
    assert error.args == ("x",)
