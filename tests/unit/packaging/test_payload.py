"""Values on their way to a sandbox: shared where they were shared, blamed by their names."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import numpy
import pytest

from zenml_modal_nb.errors import PackagingError
from zenml_modal_nb.packaging.payload import pack, unpack_error
from zenml_modal_nb.runner import pickling


def there(values: dict[str, object], namespace: dict[str, Any] | None = None) -> dict[str, Any]:
    """What a cell in the sandbox finds."""
    return dict(pickling.load(bytes(pack(values, namespace or {}).values), {})["values"])


def test_what_two_names_share_is_shared_there() -> None:
    shared = [1]
    found = there({"a": shared, "b": {"inner": shared}, "c": shared})
    assert found["a"] is found["c"] is found["b"]["inner"]


def test_a_cycle_travels() -> None:
    ring: dict[str, Any] = {}
    ring["self"] = ring
    found = there({"ring": ring})["ring"]
    assert found["self"] is found


def test_an_array_is_not_copied_to_be_sent() -> None:
    array = numpy.arange(100_000)
    packed = pack({"array": array}, {}).values
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
    with pytest.raises(PackagingError, match=r"thing \(Hostile\): ZeroDivisionError: on purpose"):
        pack({"thing": Hostile()}, {})


def test_an_exception_comes_back_as_what_it_was() -> None:
    error = unpack_error(bytes(pickling.dump(KeyError("x"), {})), {})
    assert isinstance(error, KeyError)
    assert error.args == ("x",)


class Slotted:
    __slots__ = ("inner",)

    def __init__(self, inner: object) -> None:
        self.inner = inner


def closing_over(lock: object) -> Any:
    def held() -> object:
        return lock

    held.__module__ = "__main__"  # as a function of the notebook
    return held


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"lock": threading.Lock()}, 'state["lock"]'),
        ({"a": [1, {"b": threading.Lock()}]}, 'state["a"][1]["b"]'),
        ({1: threading.Lock()}, "state[1]"),
        ((1, threading.Lock()), "state[1]"),
        (SimpleNamespace(inner=SimpleNamespace(lock=threading.Lock())), "state.inner.lock"),
        (Slotted([threading.Lock()]), "state.inner[0]"),
        (closing_over([threading.Lock()]), "state.<closure>.lock[0]"),
    ],
)
def test_the_place_of_what_cannot_travel_is_named_with_the_cells_line(value: object, place: str) -> None:
    with pytest.raises(PackagingError) as refused:
        pack({"state": value, "n": 1}, {}, lines=lambda names: dict.fromkeys(names, 3))
    assert f"line 3: state ({type(value).__name__}): {place}: TypeError: cannot pickle" in str(refused.value)


def test_what_refers_to_itself_is_searched_once() -> None:
    ring: dict[str, Any] = {"lock": threading.Lock()}
    ring = {"self": ring, "end": ring}
    ring["self"]["ring"] = ring
    with pytest.raises(PackagingError, match=r'ring\["self"\]\["lock"\]: TypeError'):
        pack({"ring": ring}, {})
