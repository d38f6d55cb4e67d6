"""Digests of graphs: equal in every process for what is equal, different for what is not."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy
import pytest

from zenml_modal_nb.packaging.fingerprint import fingerprint

NOTEBOOK = """
import enum, functools
from abc import ABC, abstractmethod
from dataclasses import dataclass

names = {"ada", "grace", "edsger", "barbara"}
pairs = frozenset({("a", 1), ("b", 2), ("c", 3)})
words = ["x", {"y": b"z", "w": (1.5, None)}]

def helper(x, *, known=frozenset({"p", "q", "r"})):
    return x in {"one", "two", "three"} or other(x) in known

def other(x):
    def inner():
        return x, names
    return inner

@functools.lru_cache
def cached(x):
    return helper(x)

class Shape(ABC):
    __slots__ = ("side",)
    @abstractmethod
    def area(self): ...

class Square(Shape):
    kinds: set[str] = {"flat", "regular", "convex"}
    def area(self):
        return self.side ** 2

class Colour(enum.Enum):
    RED = 1

@dataclass
class Point:
    x: int = 0

point = Point(3)
"""
PROGRAM = f"""
from zenml_modal_nb.packaging.fingerprint import fingerprint
namespace = {{"__name__": "__main__"}}
exec(compile({NOTEBOOK!r}, __import__("sys").argv[1], "exec"), namespace)
wanted = {{name: value for name, value in namespace.items() if not name.startswith("__")}}
if __import__("sys").argv[2:]:
    fingerprint(wanted, namespace)  # as a kernel that has sent it before
print(fingerprint(wanted, namespace))
"""


def test_another_process_finds_the_same_digest_whatever_its_hashes_and_the_cells_names() -> None:
    found = set()
    for seed, cell, again in (("0", "Cell In[3]", []), ("1", "Cell In[70]", ["again"]), ("2", "x.py", [])):
        ended = subprocess.run(
            [sys.executable, "-c", PROGRAM, cell, *again],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(ended.stdout)
    assert len(found) == 1


def digest(code: str) -> str:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(code, namespace)
    return fingerprint(namespace["wanted"], namespace)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("wanted = 1", "wanted = 1.0"),
        ("wanted = {1, 2}", "wanted = {1, '2'}"),
        ("wanted = {1, 2}", "wanted = frozenset({1, 2})"),
        ("wanted = [1, 2]", "wanted = [2, 1]"),
        ("wanted = {'a': 1, 'b': 2}", "wanted = {'b': 2, 'a': 1}"),
        ("wanted = lambda x: x + 1", "wanted = lambda x: x + 2"),
        ("k = 1\nwanted = lambda: k", "k = 2\nwanted = lambda: k"),
        ("wanted = lambda x: x in {1, 2}", "wanted = lambda x: x in {1, 3}"),
        ("wanted = lambda x, y=1: y", "wanted = lambda x, y=2: y"),
        ("class wanted:\n    a = 1", "class wanted:\n    a = 2"),
        ("class wanted:\n    a: int", "class wanted:\n    a: float"),
        ("a = [1]\nwanted = [a, a]", "a, b = [1], [1]\nwanted = [a, b]"),
        ("a = {1}\nwanted = [a, a]", "a, b = {1}, {1}\nwanted = [a, b]"),
        ("wanted = (lambda n: lambda: n)(1)", "wanted = (lambda n: lambda: n)(2)"),
    ],
)
def test_whatever_differs_has_another_digest(one: str, other: str) -> None:
    assert digest(one) == digest(one)
    assert digest(one) != digest(other)


def test_memory_counts_with_its_shape_and_type() -> None:
    array = numpy.arange(10_000)
    digests = [
        fingerprint(each, {})
        for each in (array, array.copy(), array + 1, array.reshape(100, 100), array.view("f8"))
    ]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 4
