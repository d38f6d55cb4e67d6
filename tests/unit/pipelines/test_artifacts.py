"""Values of any kind as artifacts: what ZenML restores it saves itself, the rest comes back by our pickling."""

from __future__ import annotations

import argparse
import collections
import dataclasses
import enum
import functools
import importlib
import pathlib
import types
import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fresh import run_fresh

from zenml_modal_nb.errors import ArtifactError
from zenml_modal_nb.pipelines.restorable import is_restorable

pytestmark = pytest.mark.usefixtures("own_zenml")


class Colour(enum.IntEnum):
    RED = 1


@dataclasses.dataclass
class Plain:
    n: int
    names: list[str]


@dataclasses.dataclass
class Loose:
    pair: Any


@functools.cache
def cached(n: int) -> int:
    return n


itself: list[object] = [1]
itself.append(itself)
one: dict[str, object] = {}
other: dict[str, object] = {"one": one}
one["other"] = other

BY_ZENML = {
    "plain": [None, True, 3, 2.5, "ž", b"raw"],
    "json": [[1, "a", [2, {"k": None}]], {"a": [1], "b": {"c": 2}}, (1, 2), {1, 2}, [], {}],
    "folders": [{1: "int key", 2: "another"}, [b"bytes", 1], ([1], (2, b"")), {"array": np.ones(3)}],
    "pickled": [np.ones((2, 2)), np.array(5.0), 1j, collections.deque([1]), frozenset({1}), range(3)],
    # A class of this module is another one where the whole suite has led ZenML to import it by a longer name.
    "others": [uuid.UUID(int=5), argparse.Namespace(n=1, names=["a"])],
}
BY_US = {
    "another type inside": [[(1, 2)], {"a": {1}}, {"t": (1,)}, {1: [(2,)]}],
    "subclasses": [Colour.RED, np.float64(2), collections.Counter("aab"), collections.OrderedDict(a=1)],
    "a class's own": [collections.defaultdict(int, a=1), Loose((1, 2)), [Colour.RED, 1]],
    "cycles": [itself, one],
    "code": [types, lambda: 1, cached, Plain],
    "one process's": [pathlib.Path("somewhere"), ..., NotImplemented, [...]],
}


@pytest.mark.parametrize("value", [v for values in BY_ZENML.values() for v in values], ids=repr)
def test_what_zenml_restores_is_left_to_it(value: object) -> None:
    assert is_restorable(value)
    assert same(through_zenml(value), value)


@pytest.mark.parametrize(
    "value", [v for values in BY_US.values() for v in values], ids=lambda v: type(v).__name__
)
def test_what_zenml_would_not_restore_is_pickled_and_comes_back(value: object) -> None:
    assert not is_restorable(value)
    found = through_zenml(value)
    assert type(found) is type(value)
    if value is not itself and value is not one and not callable(value):
        assert found == value


def test_a_cycle_is_a_cycle_again() -> None:
    found = through_zenml(itself)
    assert found[1] is found
    found = through_zenml(one)
    assert found["other"]["one"] is found


def test_loading_leaves_living_functions_and_classes_alone() -> None:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(
        "def counter():\n"
        "    n = 0\n"
        "    def count():\n"
        "        nonlocal n\n"
        "        n += 1\n"
        "        return n\n"
        "    return count\n"
        "class Settings:\n"
        "    size = 1\n",
        namespace,
    )
    count, settings = namespace["counter"](), namespace["Settings"]
    count()
    artifact = save([count, settings()])
    count()
    settings.size = 2
    copy, instance = artifact.load()
    assert (copy(), count()) == (2, 3)
    assert isinstance(instance, settings)
    assert settings.size == 2
    assert artifact.load()[0]() == 2


def test_an_artifact_of_the_notebooks_class_is_loaded_by_another_process(tmp_path: pathlib.Path) -> None:
    program = """
import zenml_modal_nb.pipelines.warmup as warmup
warmup.wait()
from zenml_modal_nb.pipelines import artifacts, scope, stack
with scope.using(stack.own_stack()):
    SCALE = 10
    class Point:
        def __init__(self, x): self.x = x
        def scaled(self): return self.x * SCALE
    print(artifacts.save([Point(4)], "points").id)
"""
    (identity,) = run_fresh(program, tmp_path).stdout.split()[-1:]
    loaded = run_fresh(
        "import __main__\n__main__.__file__ = 'program.py'\n"  # ZenML takes its directory for the source root
        "from zenml.client import Client\n"
        f"(point,) = Client().get_artifact_version({identity!r}).load()\n"
        "print(type(point).__name__, point.scaled())\n"
        f"print(Client().get_artifact_version({identity!r}).run_metadata['type'])",
        tmp_path,
    )
    assert loaded.stdout.split()[-3:] == ["Point", "40", "builtins.list"]


def test_a_class_that_does_not_exist_here_is_named(gone: types.ModuleType) -> None:
    artifact = save([gone.Thing(), ...])
    forget(gone)
    with pytest.raises(ArtifactError, match=r"The recorded builtins.list cannot be restored here.*zmnb_gone"):
        artifact.load()


def test_a_file_that_was_changed_since_is_not_loaded() -> None:
    artifact = save(...)
    file = pathlib.Path(artifact.uri) / "value.zmnb"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(ArtifactError, match="not what was recorded"):
        artifact.load()


@pytest.fixture
def gone(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    """A module that a test makes disappear."""
    (tmp_path / "zmnb_gone.py").write_text("class Thing: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("zmnb_gone")
    yield module
    forget(module)


def forget(module: types.ModuleType) -> None:
    import sys

    sys.modules.pop(module.__name__, None)
    sys.path[:] = [each for each in sys.path if not (pathlib.Path(each) / "zmnb_gone.py").exists()]
    importlib.invalidate_caches()


def save(value: object) -> Any:
    from zenml_modal_nb.pipelines import artifacts, scope, stack

    with scope.using(stack.own_stack()):
        return artifacts.save(value, "a_value")


def through_zenml(value: object) -> Any:
    return save(value).load()


def same(found: Any, value: Any) -> bool:
    if isinstance(value, dict) and "array" in value:
        return same(found["array"], value["array"])
    if isinstance(value, np.ndarray):
        return bool(np.array_equal(found, value)) and found.shape == value.shape
    return type(found) is type(value) and bool(found == value)
